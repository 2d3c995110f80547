"""Recurrent layers: a unit is removed with its rows and its column per gate."""

import math

import keras
import numpy as np

from tfprune.graph import call as call_lib
from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib
from tfprune.graph.rules import activation

READS, WRITES = call_lib.READS, call_lib.WRITES

# The number of gates, whose matrices stand side by side in the kernels.
GATES = {keras.layers.SimpleRNN: 1, keras.layers.LSTM: 4, keras.layers.GRU: 3}


def _units(call, gates, key="units"):
    """Binds new units; returns them and the labels of the kernels' columns."""
    units = call.fresh(call.config[key])
    columns = np.tile(units, gates)
    call.bind("cell.kernel", -1, columns, WRITES)
    call.bind("cell.recurrent_kernel", -1, columns, WRITES)
    call.bind("cell.bias", -1, columns)
    for i in range(2):  # A stateful layer has state variables.
        call.bind(f"states.{i}", -1, units)
    call.count(key, units)
    # A state depends on earlier states, so constant inputs do not make it
    # constant.
    call.drive(units)
    for name in ("activation", "recurrent_activation"):
        activation.activate(call, units, name)
    return units, columns


def _outputs(call, *units):
    """Labels of all outputs; joins initial states with the units.

    Args:
        call: the `Call`.
        *units: the units of each state; those of the last cell are also the
            layer's output.
    """
    states = keras.tree.flatten(call.argument(1, "initial_state"))
    for x, labels in zip(states, _each(units, len(states)), strict=False):
        if isinstance(x, tensor_lib.Tensor):
            call.join(call.channels(-1, x), labels)
    for x in call.tensors[1:]:
        if all(x is not state for state in states):
            call.freeze(x.labels, "a mask over time steps")
    after = _each(units, len(call.output_shapes) - 1)
    return [
        call.spread(labels, axis=-1, k=k)
        for k, labels in enumerate([units[-1], *after])
    ]


def _each(units, count):
    """The units of `count` states; one layer has the same units in all."""
    return units[:count] if len(units) > 1 else units * count


@rulebook.rule("SimpleRNN", "LSTM", "GRU")
def recurrent(call):
    inputs = call.channels(-1)
    (gates,) = (n for c, n in GATES.items() if isinstance(call.live, c))
    units, columns = _units(call, gates)
    call.bind("cell.kernel", 0, inputs, READS, input_axis=-1)
    call.bind("cell.recurrent_kernel", 0, units, READS)
    steps = call.x.shape[1] or 1
    call.multiply_adds(steps, inputs, columns)
    call.multiply_adds(steps, units, columns)
    return _outputs(call, units)


@rulebook.rule("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
def conv_lstm(call):
    if call.config["data_format"] == "channels_first":
        return call.freeze_all("ConvLSTM with data_format='channels_first'")
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


# The number of gates and of states of each cell.
_CELLS = {
    keras.layers.SimpleRNNCell: (1, 1),
    keras.layers.LSTMCell: (4, 2),
    keras.layers.GRUCell: (3, 1),
}


@rulebook.rule("RNN")
def rnn(call):
    """One cell, or several stacked ones."""
    cell, keys = call.live.cell, ("config", "cell", "config")
    cells = [(cell, "cell", keys)]
    if type(cell) is keras.layers.StackedRNNCells:
        cells = [
            (inner, f"cell.cells.{i}", (*keys, "cells", i, "config"))
            for i, inner in enumerate(cell.cells)
        ]
    if any(type(inner) not in _CELLS for inner, _, _ in cells):
        names = ", ".join(type(inner).__name__ for inner, _, _ in cells)
        return call.freeze_all(f"an RNN whose cells have no rule: {names}")
    steps, inputs, states = call.x.shape[1] or 1, call.channels(-1), []
    for place, (inner, path, keys) in enumerate(cells):
        gates, count = _CELLS[type(inner)]
        units = call.fresh(inner.units, f"cell{place}")
        columns = np.tile(units, gates)
        first = {"input_axis": -1} if place == 0 else {"padded": True}
        call.bind(f"{path}.kernel", 0, inputs, READS, **first)
        call.bind(f"{path}.kernel", -1, columns, WRITES)
        call.bind(f"{path}.recurrent_kernel", 0, units, READS, padded=True)
        call.bind(f"{path}.recurrent_kernel", -1, columns, WRITES)
        call.bind(f"{path}.bias", -1, columns)
        call.edit((*keys, "units"), units)
        call.drive(units)
        for name in ("activation", "recurrent_activation"):
            activation.activate_as(call, units, inner, name)
        call.multiply_adds(steps, inputs, columns)
        call.multiply_adds(steps, units, columns)
        states += [units] * count
        inputs = units
    for i, labels in enumerate(states):  # Variables of a stateful layer.
        call.bind(f"states.{i}", -1, labels)
    return _outputs(call, *states)


@rulebook.rule("Bidirectional")
def bidirectional(call):
    """Joins both directions, as Keras requires equally many units in them."""
    apart = call.config["merge_mode"] is None
    states = (len(call.output_shapes) - 1 - apart) // 2
    shapes = call.output_shapes[: 1 + states]
    given = keras.tree.flatten(call.argument(1, "initial_state"))
    given = [x for x in given if x is not None]
    halves = given[: len(given) // 2], given[len(given) // 2 :]
    for x in call.tensors[1:]:
        if all(x is not state for state in given):
            call.freeze(x.labels, "a mask over time steps")
    sides = []
    for half, (key, attribute) in zip(
        halves,
        (("layer", "forward_layer"), ("backward_layer",) * 2),
        strict=True,
    ):
        entry, inner = call.inside(
            key,
            attribute,
            f"{attribute}.",
            args=(call.x,),
            kwargs={"initial_state": half} if half else {},
            output_shapes=shapes,
        )
        sides.append(rulebook.of(entry, inner.live)(inner))
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
