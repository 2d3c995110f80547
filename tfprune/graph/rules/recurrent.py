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
# In a .tflite file of integers an LSTM is one op, unless it is unusual or
# behind a mask; its buffers hold the gates of a time step, in int16.
_ONE_OP, _BUFFERS = "UNIDIRECTIONAL_SEQUENCE_LSTM", 4
# The ops of one time step of all else, which such a file writes out.
_DENSE = ("FULLY_CONNECTED", "FULLY_CONNECTED", "ADD")
_SIMPLE = (*_DENSE, "TANH")
_GRU = (
    *_DENSE,
    *("STRIDED_SLICE", "ADD") * 3,
    *("LOGISTIC", "MUL") * 2,
    *("SPLIT", "TANH", "SUB", "MUL"),
)
_LSTM = (
    *_DENSE,
    *("LOGISTIC", "MUL") * 3,
    *("TANH", "ADD") * 2,
    *("SPLIT", "RESHAPE"),
)
# Those of the first step of a ConvLSTM, whose states are zero, of each other
# one, and what these have besides where maps are rows.
_CONV_FIRST = (
    *("CONV_2D",) * 3,
    *("LOGISTIC", "TANH", "MUL") * 2,
)
_CONV_STEP = (
    *("CONV_2D",) * 8,
    *("LOGISTIC", "MUL") * 3,
    *("TANH",) * 2,
    *("ADD",) * 5,
)
_ROWS = ("RESHAPE",) * 6 + ("ADD",)
# What a mask adds to each time step.
_MASK = ("STRIDED_SLICE", "SELECT_V2")


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


@rulebook.rule("SimpleRNN", file_ops=_SIMPLE)
@rulebook.rule("GRU", file_ops=_GRU)
@rulebook.rule("LSTM", file_ops=_LSTM)
def recurrent(call):
    inputs = call.channels(-1)
    (gates,) = (n for c, n in GATES.items() if isinstance(call.live, c))
    units, columns = _units(call, gates)
    call.bind("cell.kernel", 0, inputs, READS, input_axis=-1)
    call.bind("cell.recurrent_kernel", 0, units, READS)
    steps = call.x.shape[1] or 1
    call.multiply_adds(steps, inputs, columns)
    call.multiply_adds(steps, units, columns)
    if _is_one_op(call):
        _hold(call, units)
    else:
        if _masks(call) or call.is_masked:
            call.file_ops += _MASK
        call.file_ops *= steps
    return _outputs(call, units, [units])


def _is_one_op(call):
    return (
        isinstance(call.live, keras.layers.LSTM)
        and call.config["activation"] == "tanh"
        and call.config["recurrent_activation"] == "sigmoid"
        and len(call.tensors) == len(call.output_shapes) == 1
        and not call.is_masked
    )


def _hold(call, units):
    """What the one op of an LSTM holds, and what makes its input and output."""
    labels = tensor_lib.on_axis(units, 3, 2)
    batch, steps, _ = call.x.shape
    states = tensor_lib.Tensor((batch, 1, units.size), labels, "int16")
    call.file_ops, call.held = (_ONE_OP,), [states] * _BUFFERS
    if call.config["go_backwards"]:
        # The reversed input takes its place.
        call.file_ops += ("GATHER",)
    if not call.config["return_sequences"]:
        call.file_ops += ("STRIDED_SLICE",)
        shape = (batch, steps, units.size)
        call.held.append(tensor_lib.Tensor(shape, labels))


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
        _write_out(call, units, spatial)
    return _outputs(call, units, [units])


def _write_out(call, units, spatial):
    """The ops of a ConvLSTM, and the maps of the gates, which all wait."""
    steps = call.x.shape[1] or 1
    given = keras.tree.flatten(call.argument(1, "initial_state"))
    is_given = any(isinstance(x, tensor_lib.Tensor) for x in given)
    call.file_ops = ("RESHAPE", "UNPACK")
    call.file_ops += _CONV_STEP if is_given else _CONV_FIRST
    call.file_ops += _CONV_STEP * (steps - 1)
    if spatial == 1:
        call.file_ops += _ROWS * (steps - 1)
    outer, count = call.output_shapes[0][:-1], 4 * steps
    if call.config["return_sequences"]:
        # A gate's map makes room for an output.
        call.file_ops += ("PACK", "RESHAPE")
        outer, count = (outer[0], *outer[2:]), 3 * steps + 1
    shape = (outer[0], count, *outer[1:], units.size)
    rank = len(shape)
    labels = tensor_lib.on_axis(units, rank, rank - 1)
    call.held = [tensor_lib.Tensor(shape, labels)]


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
    call.file_ops = inner.file_ops * steps
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
        call.file_ops += inner.file_ops
        x = tensor_lib.Tensor((x.shape[0], size), units[None], x.dtype)
        after += [labels[None] for labels in states_after]
    return [x.labels, *after]


@rulebook.rule("SimpleRNNCell", file_ops=_SIMPLE)
@rulebook.rule("GRUCell", file_ops=_GRU)
@rulebook.rule("LSTMCell", file_ops=_LSTM)
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
    found = rulebook.of(entry, call.live)(call)
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
    shapes = call.output_shapes[: 1 + states]
    if call.config["merge_mode"] == "concat":
        *outer, both = shapes[0]
        shapes = [(*outer, both // 2), *shapes[1:]]
    given = keras.tree.flatten(call.argument(1, "initial_state"))
    given = [x for x in given if x is not None]
    halves = given[: len(given) // 2], given[len(given) // 2 :]
    masks = _masks(call)
    for x in masks:
        call.freeze(x.labels, "a mask over time steps")
    sides, held = [], []
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
        sides.append(rulebook.of(entry, inner.live)(inner))
        call.file_ops += inner.file_ops
        held.append(inner.held)
    for one, other in zip(*sides, strict=True):
        call.join(one, other)
    (forward, *ahead), (backward, *behind) = sides
    if apart:
        merged = [forward, backward]
    elif call.config["merge_mode"] == "concat":
        merged = [np.concatenate([forward, backward], -1)]
    else:
        merged = [forward]
    if not apart:
        _merge(call, forward)
    # One side runs after the other.
    call.held += max(held, key=len)
    return [*merged, *ahead, *behind]


def _merge(call, forward):
    """What becomes one of both sides' outputs, which wait for each other."""
    ops = {"concat": ("QUANTIZE", "CONCATENATION"), "mul": ("MUL",)}
    call.file_ops += ops.get(call.config["merge_mode"], ("ADD",))
    *outer, _ = call.output_shapes[0]
    if len(outer) == 2:
        call.file_ops += ("REVERSE_V2",)
    labels = tensor_lib.on_axis(forward.reshape(-1), len(outer) + 1, len(outer))
    side = tensor_lib.Tensor((*outer, labels.size), labels)
    call.held += [side, side]
