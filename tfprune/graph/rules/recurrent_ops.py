"""What recurrent layers become in a .tflite file of integers.

An LSTM is one op, unless it is unusual or behind a mask. The time steps of all
other layers are written out. Read off exported files.
"""

import collections

import keras
import numpy as np

from tfprune.graph import tensor as tensor_lib
from tfprune.graph.lowering import activation_ops
from tfprune.graph.lowering import file_op
from tfprune.graph.lowering import in_file

# Buffers of an LSTM, which hold the gates of a time step, in int16.
_BUFFERS = 4
# Those of the first step of a ConvLSTM, whose states are zero, of each other
# one, and what these have besides where maps are rows.
_CONV_FIRST = ("LOGISTIC", "TANH", "MUL") * 2
_CONV_STEP = (*("LOGISTIC", "MUL") * 3, *("TANH",) * 2, *("ADD",) * 5)
_FIRST_ROWS = ("RESHAPE", "ADD") * 3
_ROWS = (*("RESHAPE",) * 10, *("ADD",) * 4)
_FIRST_GATES, _GATES = 3, 4
# What makes a mask of numbers, and what it adds to each time step.
_FOUND = ("NOT_EQUAL", "CAST", "REDUCE_MAX")
_MASK = ("STRIDED_SLICE", "SELECT_V2", "SELECT_V2", "QUANTIZE")


def apart(call):
    """Adds the ops that give each time step its input."""
    how = {"in_time": "vectors"}
    x = call.file.op("RESHAPE", call.x, **how)
    _, *rest = call.x.parts
    steps = range(call.x.shape[1] or 1)
    made = tuple(file_op.Made((1, *rest)) for _ in steps)
    call.file.op("UNPACK", x, made=made, **how)


def together(call, units):
    """Adds the ops that join the outputs of all time steps."""
    if call.config["return_sequences"]:
        made = file_op.Made((call.x.shape[1] or 1, units))
        last = call.file.ops[-1].output
        x = call.file.op("PACK", last, made=made, in_time="vectors")
        call.file.op("RESHAPE", x, made=file_op.like(made))


def find_mask(call):
    """Adds the ops that find the time steps that a mask leaves out."""
    made = file_op.Made((call.x.shape[1] or 1,))
    call.file.chain(_FOUND, call.x, made=made)


def write_out(call, inputs, units, gates, *, masked):
    """Adds the ops of all time steps.

    Args:
        call: the `Call`.
        inputs, units: labels.
        gates: `int`.
        masked: `bool`, whether steps may be left out.
    """
    mask, steps = _MASK if masked else (), call.x.shape[1] or 1
    for times, first in ((1, True), (steps - 1, False)):
        file = step(call, inputs, units, gates, mask, first=first)
        if times:
            call.file.take(file, times=times, in_time="vectors")


def step(call, inputs, units, gates, mask=(), *, first=False):
    """The ops of one time step; states are zero before the first one."""
    columns = np.tile(units, gates)
    file, made = in_file.InFile(), file_op.Made((columns,))
    for labels in (inputs,) if first else (inputs, units):
        work = ((1, (labels, columns)),)
        file.op(file_op.DENSE, call.x, made=made, work=work)
    x = file_op.Made((units,))
    file.chain(mask, x)
    _STEPS[gates](file, x, made, call.live, first)
    return file


def _simple_step(file, x, _, layer, first):
    if not first:
        _join(file, ("ADD",), x)
    activation_ops.add(file, x, layer.activation)


def _gru_step(file, x, columns, layer, first):
    if not first:
        for _ in range(3):
            file.op("STRIDED_SLICE", columns, made=file_op.like(x))
    file.op("SPLIT", columns, made=tuple(file_op.like(x) for _ in range(3)))
    for _ in range(2):
        gate = _join(file, ("ADD",), x)
        activation_ops.add(file, gate, layer.recurrent_activation)
    activation_ops.add(file, _join(file, ("ADD",), x), layer.activation)
    file.op("SUB", x)  # From 1.
    _join(file, ("MUL", "MUL"), x)
    if not first:
        _join(file, ("MUL", "ADD"), x)


def _lstm_step(file, x, columns, layer, first):
    file.op("SPLIT", columns, made=tuple(file_op.like(x) for _ in range(4)))
    for _ in range(2 if first else 3):
        activation_ops.add(file, x, layer.recurrent_activation)
    for _ in range(2):
        activation_ops.add(file, x, layer.activation)
    _join(file, ("MUL", "MUL"), x)
    if not first:
        file.op("RESHAPE", columns)
        _join(file, ("ADD", "ADD"), columns)
        _join(file, ("MUL", "ADD"), x)


def _join(file, kinds, x):
    """Adds ops of two tensors as large as `x`; returns what the last makes."""
    return [file.op(kind, x, x) for kind in kinds][-1]


# By how many gates there are, what each time step computes besides products.
_STEPS = {1: _simple_step, 3: _gru_step, 4: _lstm_step}


def is_one_op(call):
    """Whether all time steps of a layer are one op."""
    return (
        isinstance(call.live, keras.layers.LSTM)
        and call.config["activation"] == "tanh"
        and call.config["recurrent_activation"] == "sigmoid"
        and len(call.tensors) == len(call.output_shapes) == 1
        and not call.is_masked
    )


def fuse(call, units):
    """Adds the one op of an LSTM, and what makes its input and output."""
    file, x, steps = call.file, call.x, call.x.shape[1] or 1
    if call.config["go_backwards"]:
        x = file.op("GATHER", x)
    gate = file_op.Made((1, units), "int16")
    made = file_op.Made((steps, units))
    scratch = (gate,) * _BUFFERS
    x = file.op(file_op.LSTM, x, made=made, scratch=scratch)
    if not call.config["return_sequences"]:
        file.op("STRIDED_SLICE", x, made=file_op.Made((units,)))


def write_out_maps(call, units, spatial):
    """Adds the ops of a ConvLSTM, in which the maps of all gates wait."""
    file, steps = call.file, call.x.shape[1] or 1
    given = keras.tree.flatten(call.argument(1, "initial_state"))
    is_given = any(isinstance(x, tensor_lib.Tensor) for x in given)
    *_, channels = call.x.parts
    places = call.output_shapes[0][-1 - spatial : -1]
    a_map = file_op.Made((*(n or 1 for n in places), units))
    an_input = file_op.Made((*call.x.parts[1:-1], channels))
    # Those of all steps' inputs.
    waiting = (file_op.Made((_GATES * steps, *a_map.parts)),)
    how = {"in_time": "maps"}
    x = file.op("RESHAPE", call.x, scratch=waiting, **how)
    x = file.op("UNPACK", x, made=an_input, scratch=waiting, **how)
    first = _GATES if is_given else _FIRST_GATES
    how["made"] = a_map
    window = {"window": tuple(call.config["kernel_size"])}
    window["strides"] = (1,) * spatial
    after = _GATES * (steps - 1)
    x = call.file.op("CONV_2D", x, times=first + after, **window, **how)
    again = after + _GATES * is_given
    if again:
        x = call.file.op("CONV_2D", x, times=again, **window, **how)
    first, others = _CONV_FIRST, _CONV_STEP
    if spatial == 1:
        first, others = (*first, *_FIRST_ROWS), (*others, *_ROWS)
    names = [*(others if is_given else first), *others * (steps - 1)]
    for kind, times in collections.Counter(names).items():
        joined = (x, x) if kind in ("ADD", "MUL") else (x,)
        x = file.op(kind, *joined, times=times, scratch=waiting, **how)
    if call.config["return_sequences"]:
        for kind in ("PACK", "RESHAPE"):
            how["made"] = file_op.Made((steps, *a_map.parts))
            x = file.op(kind, x, **how)


def requantize(file):
    """Gives all steps of an LSTM a scale, before its last one is taken."""
    if [op.kind for op in file.ops[-2:]] == [file_op.LSTM, "STRIDED_SLICE"]:
        last = file.ops.pop()
        x = file.op("QUANTIZE", file.ops[-1].output)
        file.op("STRIDED_SLICE", x, made=last.outputs)


def merge(call, ends):
    """Adds what becomes one of both sides' outputs.

    Args:
        call: the `Call`.
        ends: list of both, each a `Made`.
    """
    file, (forward, backward) = call.file, ends
    if len(call.output_shapes[0]) > 2:  # In the order of the input again.
        backward = file.op("REVERSE_V2", backward)
    mode = call.config["merge_mode"]
    if mode == "concat":
        if len(call.output_shapes[0]) > 2:
            forward = file.op("QUANTIZE", forward)
        *outer, units = forward.parts
        both = file_op.Made((*outer, (2, units)))
        file.op("CONCATENATION", forward, backward, made=both)
        return
    file.op("MUL" if mode == "mul" else "ADD", forward, backward)
