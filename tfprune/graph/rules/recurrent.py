"""Recurrent layers: a unit is removed with its rows and its column per gate."""

import math

import keras
import numpy as np

from tfprune.graph import call as call_lib
from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib
from tfprune.graph.rules import activation
from tfprune.graph.rules import recurrent_ops

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


def _outputs(call, output, units):
    """Labels of all outputs; joins initial states with the units.

    Args:
        call: the `Call`.
        output: the units that the layer returns.
        units: list, the units of each state; one for all if they are the same.
    """
    states = keras.tree.flatten(call.argument(1, "initial_state"))
    for x, labels in zip(states, _each(units, len(states)), strict=False):
        if isinstance(x, tensor_lib.Tensor):
            call.join(call.channels(-1, x), labels)
    for x in _masks(call):
        call.freeze(x.labels, "a mask over time steps")
    after = _each(units, len(call.output_shapes) - 1)
    return [
        call.spread(labels, axis=-1, k=k)
        for k, labels in enumerate([output, *after])
    ]


def _masks(call):
    """The tensors that are neither the input nor states."""
    states = keras.tree.flatten(call.argument(1, "initial_state"))
    return [
        x for x in call.tensors[1:] if all(x is not state for state in states)
    ]


def _each(units, count):
    """The units of `count` states; one layer has the same units in all."""
    return units[:count] if len(units) > 1 else units * count


@rulebook.rule("SimpleRNN", "GRU", "LSTM")
def recurrent(call):
    inputs = call.channels(-1)
    (gates,) = (n for c, n in GATES.items() if isinstance(call.live, c))
    units, columns = _units(call, gates)
    call.bind("cell.kernel", 0, inputs, READS, input_axis=-1)
    call.bind("cell.recurrent_kernel", 0, units, READS)
    steps = call.x.shape[1] or 1
    call.multiply_adds(steps, inputs, columns)
    call.multiply_adds(steps, units, columns)
    call.file.whole = True
    if recurrent_ops.is_one_op(call):
        recurrent_ops.fuse(call, units)
    else:
        masked = bool(_masks(call)) or call.is_masked
        if call.is_masked and not _masks(call):
            recurrent_ops.find_mask(call)
        recurrent_ops.apart(call)
        recurrent_ops.write_out(call, inputs, units, gates, masked=masked)
        recurrent_ops.together(call, units)
    return _outputs(call, units, [units])


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
    if spatial < 3:  # TFLite Micro has no CONV_3D.
        call.file.whole = True
        recurrent_ops.write_out_maps(call, units, spatial)
    return _outputs(call, units, [units])


@rulebook.rule("RNN")
def rnn(call):
    """The cell sees one time step, and its states."""
    sizes = _state_sizes(call.live.cell)
    if sizes is None:
        return call.freeze_all("an RNN whose states are not vectors")
    x, output = call.x, call.output_shapes[0]
    labels = tensor_lib.on_axis(call.channels(-1), x.rank - 1, x.rank - 2)
    step = tensor_lib.Tensor(x.shape[:1] + x.shape[2:], labels, x.dtype)
    states = [
        tensor_lib.Tensor((x.shape[0], n), call.fresh(n, f"state{i}")[None])
        for i, n in enumerate(sizes)
    ]
    entry, inner = call.inside(
        "cell",
        prefix="cell.",
        args=(step, states),
        kwargs={},
        output_shapes=[(output[0], output[-1]), *(s.shape for s in states)],
    )
    inner.work = []
    after, *states_after = _outputs_of_cell(inner, entry, states)
    steps = x.shape[1] or 1
    call.work += [(steps * n, axes) for n, axes in inner.work]
    recurrent_ops.apart(call)
    each = {"times": steps, "in_time": "vectors"}
    call.file.take(inner.file, given=[(step, x)], **each)
    recurrent_ops.together(call, after)
    # Those of a stateful layer.
    places = _places(call.live.states, "states")
    for place, units in zip(places, states_after, strict=False):
        call.bind(place, -1, units)
    for units in states_after:
        # A state depends on earlier ones, whatever the cell's rule says.
        call.drive(units)
    return _outputs(call, after, states_after)


@rulebook.rule("StackedRNNCells")
def stacked_cells(call):
    """Each cell reads the output of the one before."""
    x, given, after = call.x, call.tensors[1:], []
    for i, cell in enumerate(call.live.cells):
        count = len(_state_sizes(cell))
        states, given = given[:count], given[count:]
        size = cell.output_size
        entry, inner = call.inside(
            ("cells", i),
            f"cells.{i}",
            f"cells.{i}.",
            sees_input=i == 0,
            args=(x, states),
            output_shapes=[(x.shape[0], size), *(s.shape for s in states)],
        )
        units, *states_after = _outputs_of_cell(inner, entry, states)
        call.file.take(inner.file)
        x = tensor_lib.Tensor((x.shape[0], size), units[None], x.dtype)
        after += [labels[None] for labels in states_after]
    return [x.labels, *after]


@rulebook.rule("SimpleRNNCell", "GRUCell", "LSTMCell")
def cell(call):
    inputs = call.channels(-1)
    units, *others = (call.channels(-1, state) for state in call.tensors[1:])
    for other in others:
        call.join(units, other)
    gates = call.variable("kernel").shape[-1] // units.size
    columns = np.tile(units, gates)
    call.bind("kernel", 0, inputs, READS, input_axis=-1)
    call.bind("kernel", -1, columns, WRITES)
    call.bind("recurrent_kernel", 0, units, READS, padded=True)
    call.bind("recurrent_kernel", -1, columns, WRITES)
    call.bind("bias", -1, columns)
    call.count("units", units)
    for name in ("activation", "recurrent_activation"):
        activation.activate(call, units, name)
    call.multiply_adds(1, inputs, columns)
    call.multiply_adds(1, units, columns)
    call.file.take(recurrent_ops.step(call, inputs, units, gates))
    return [units[None]] * len(call.output_shapes)


def _places(states, name):
    """The names of states, which may be lists of lists, for `call.bind`."""
    if not isinstance(states, (list, tuple)):
        return [name]
    parts = [_places(s, f"{name}.{i}") for i, s in enumerate(states)]
    return sum(parts, [])


def _state_sizes(cell):
    """The sizes of a cell's states, or `None` if one is not a vector."""
    sizes = keras.tree.flatten(cell.state_size)
    return sizes if all(isinstance(n, int) for n in sizes) else None


def _outputs_of_cell(call, entry, states):
    """1-D labels of a cell's output and states, which come back each step."""
    found = call.follow(rulebook.of(entry, call.live))
    shapes = call.output_shapes
    labels = [
        np.repeat(array.reshape(-1), n)
        if array.size == 1
        else array.reshape(-1)
        for array, (_, n) in zip(found, shapes, strict=True)
    ]
    for state, after in zip(states, labels[1:], strict=True):
        call.join(state.labels.reshape(-1), after)
    return labels


@rulebook.rule("Bidirectional")
def bidirectional(call):
    """Joins both directions, as Keras requires equally many units in them."""
    apart = call.config["merge_mode"] is None
    states = (len(call.output_shapes) - 1 - apart) // 2
    first, *others = call.output_shapes
    shapes = [first, *others[apart : apart + states]]
    if call.config["merge_mode"] == "concat":
        *outer, both = shapes[0]
        shapes = [(*outer, both // 2), *shapes[1:]]
    given = keras.tree.flatten(call.argument(1, "initial_state"))
    given = [x for x in given if x is not None]
    halves = given[: len(given) // 2], given[len(given) // 2 :]
    masks = _masks(call)
    for x in masks:
        call.freeze(x.labels, "a mask over time steps")
    sides, ends = [], []
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
            kwargs={
                **({"initial_state": half} if half else {}),
                **({"mask": masks[0]} if masks else {}),
            },
            output_shapes=shapes,
        )
        sides.append(inner.follow(rulebook.of(entry, inner.live)))
        if call.config["merge_mode"] == "concat" and inner.file.ops:
            recurrent_ops.requantize(inner.file)
        call.file.take(inner.file)
        ends.append(inner.file.ops[-1].output if inner.file.ops else call.x)
    for one, other in zip(*sides, strict=True):
        call.join(one, other)
    (forward, *ahead), (backward, *behind) = sides
    if apart:
        merged = [forward, backward]
    elif call.config["merge_mode"] == "concat":
        both = [forward, backward]
        if forward.shape[-1] < shapes[0][-1]:  # No channels there.
            both = [forward]
        merged = [np.concatenate(both, -1)]
    else:
        merged = [forward]
    if not apart:
        recurrent_ops.merge(call, ends)
    return [*merged, *ahead, *behind]
