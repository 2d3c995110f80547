"""Recurrent layers: a unit goes with its rows and its columns of all gates."""

import math

import keras
import numpy as np

from tfprune.graph import call as call_lib
from tfprune.graph import rulebook
from tfprune.graph.rules import activation

READS, WRITES = call_lib.READS, call_lib.WRITES

# How many matrices, one beside the other, the kernels of a cell hold.
GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}


def _units(call, gates, key="units"):
    """New units, and the columns that each has in the kernels."""
    units = call.fresh(call.config[key])
    columns = np.tile(units, gates)
    call.bind("cell.kernel", -1, columns, WRITES)
    call.bind("cell.recurrent_kernel", -1, columns, WRITES)
    call.bind("cell.bias", -1, columns)
    for i in range(2):  # Those that a stateful layer keeps.
        call.bind(f"states.{i}", -1, units)
    call.count(key, units)
    # A state depends on those before it, whatever the inputs are.
    call.drive(units)
    for name in ("activation", "recurrent_activation"):
        activation.activate(call, units, name)
    return units, columns


def _outputs(call, units):
    """Labels of all outputs; states that are given go with the units."""
    states = keras.tree.flatten(call.argument(1, "initial_state"))
    for x in call.tensors[1:]:
        if any(x is state for state in states):
            call.join(call.channels(-1, x), units)
        else:
            call.freeze(x.labels, "a mask of steps")
    return [
        call.spread(units, axis=-1, k=k) for k in range(len(call.output_shapes))
    ]


@rulebook.rule(*GATES)
def recurrent(call):
    inputs = call.channels(-1)
    units, columns = _units(call, GATES[type(call.live).__name__])
    call.bind("cell.kernel", 0, inputs, READS, input_axis=-1)
    call.bind("cell.recurrent_kernel", 0, units, READS)
    steps = call.x.shape[1] or 1
    call.multiply_adds(steps, inputs, columns)
    call.multiply_adds(steps, units, columns)
    return _outputs(call, units)


@rulebook.rule("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
def conv_lstm(call):
    if call.config["data_format"] == "channels_first":
        return call.freeze_all("ConvLSTM with channels first")
    inputs, spatial = call.channels(-1), call.x.rank - 3
    units, columns = _units(call, 4, "filters")
    call.bind("cell.kernel", -2, inputs, READS, padded=True, input_axis=-1)
    call.bind("cell.recurrent_kernel", -2, units, READS, padded=True)
    window = math.prod(np.atleast_1d(call.config["kernel_size"]))
    at = math.prod(n or 1 for n in call.output_shapes[0][-1 - spatial : -1])
    at *= call.x.shape[1] or 1
    call.multiply_adds(at * window, inputs, columns)
    call.multiply_adds(at * window, units, columns)
    return _outputs(call, units)


@rulebook.rule("Bidirectional")
def bidirectional(call):
    """Keras takes both directions to have the same number of units."""
    if len(call.tensors) > 1:
        return call.freeze_all("states that are given to Bidirectional")
    apart = call.config["merge_mode"] is None
    states = (len(call.output_shapes) - 1 - apart) // 2
    shapes = call.output_shapes[: 1 + states]
    sides = []
    for key, attribute in (("layer", "forward_layer"), ("backward_layer",) * 2):
        entry, inner = call.inside(
            key, attribute, f"{attribute}.", output_shapes=shapes
        )
        sides.append(rulebook.of(entry)(inner))
    for one, other in zip(*sides, strict=True):
        call.join(one, other)
    (forward, *ahead), (backward, *behind) = sides
    if apart:
        merged = [forward, backward]
    elif call.config["merge_mode"] == "concat":
        merged = [np.concatenate([forward, backward], -1)]
    else:
        merged = [forward]
    return [*merged, *ahead, *behind]
