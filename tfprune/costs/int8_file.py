"""Predicts flash and RAM of a model's int8 file on a microcontroller.

Flash is the size of the array that `export_micro` writes, which is the .tflite
file without names and notes that no board reads: one byte per kernel weight;
per output channel of a kernel, a bias (4 bytes) and, for kernel and bias, a
scale (4) and a zero point (8); and the description of ops and tensors.

RAM is the tensor arena of TFLite Micro: the activations, one byte per element,
placed by its greedy planner (`memory.offsets`), and the interpreter's
persistent data: records of ops and tensors, and a multiplier and a shift (8
bytes) per output channel of a convolution.

The constants were fitted to files of common networks. The remaining error, such
as equal biases that are stored once, hardly changes when channels are removed,
so a measured file corrects the next prediction; see `tfprune.fit_target`. The
relative error is larger for smaller networks.
"""

import math

import numpy as np

from tfprune.costs import file_buffers
from tfprune.costs import file_ops
from tfprune.costs import memory

# Bytes of the array beyond weights and scales: in total, for each op with the
# tensor that it makes, and for the tensors of a kernel and its bias.
_FILE, _MADE, _CONVOLUTION, _DENSE_LAYER = 410, 216, 138, 85
# The same of an op where the time steps of a layer, or of a ConvLSTM, are
# written out, and for each channel of its bias, as biases differ by step.
_MADE_IN_STEP, _MADE_BY_GATE, _STEP_BIAS = 165, 195, 13
# A bias; two scales and two zero points.
_CHANNEL = 4 + 2 * (4 + 8)
# Persistent bytes of the interpreter: in total, per op, per op with a kernel,
# and per output channel of a convolution.
_INTERPRETER, _OP, _KERNEL, _OP_CHANNEL = 950, 186, 44, 8
_ALIGNMENT = 16
# Steps of a ConvLSTM: persistent bytes per op, and those of the planner while
# it plans.
_STEP_OP, _STEP_PLANNING = 90, 106
# An LSTM in one op has a dozen weights, with a scale each, and two states: the
# bytes of their descriptions, of four biases and of both states per unit, of
# the op's record, and of the planner's while it plans.
_LSTM_TENSORS, _LSTM_BIASES, _LSTM_STATES = 1680, 4 * 4, 3
_LSTM_RECORD, _LSTM_PLANNING = 420, 950


class Int8File:
    """Predicts flash and RAM for a set of kept channels.

    Args:
        graph: a `ChannelGraph`.

    Attributes:
        buffers: tuple of `memory.Buffer`, the activations.

    Example:

    >>> file = Int8File(tfprune.channel_graph(model))
    >>> file.flash_bytes(keep), file.ram_bytes(keep)
    """

    def __init__(self, graph):
        plan = memory.plan(graph)
        self._steps = plan.steps
        self.buffers = (*plan.buffers, *file_buffers.beside(graph, plan))
        bound = {id(b.variable): b for b in graph.bindings}
        self._kernels, owners = [], {}
        added = _added_by_wrappers(graph)
        for variable in graph.model.weights:
            name = getattr(variable, "name", "")
            is_kernel = len(variable.shape) > 1 and name != "bias"
            if not is_kernel or id(variable) in added:
                continue
            axes = {b.axis: b.labels for b in graph.bound(variable)}
            fixed = [n for a, n in enumerate(variable.shape) if a not in axes]
            self._kernels.append((math.prod(fixed), tuple(axes.values())))
            if id(variable) in bound:
                layer = bound[id(variable)].layer
                owners[layer] = owners.get(layer, 0) + 1
        self._ops = file_ops.of(graph, owners)

    def flash_bytes(self, keep):
        """Bytes of the array, `int`."""
        weights = sum(
            fixed * math.prod(int(keep[a].sum()) for a in axes)
            for fixed, axes in self._kernels
        )
        channels = sum(
            op.kernels * op.channels(keep)
            for op in self._ops
            if not op.in_steps
        )
        described = sum(
            _LSTM_TENSORS + _LSTM_BIASES * units for units in self._lstms(keep)
        )
        described += sum(map(_described, self._ops))
        described += _STEP_BIAS * sum(
            self._step_channels(op, keep) for op in self._ops
        )
        return weights + described + _CHANNEL * channels + _FILE

    def ram_bytes(self, keep):
        """Bytes of the tensor arena, `int`."""
        return int(self.loads(keep).max())

    def loads(self, keep):
        """Bytes of arena up to the top of the live buffers at each step.

        Returns:
            Int array, shape `(steps + 1,)`, as `memory.Plan.loads`.
        """
        sizes = [self.buffer_bytes(b, keep) for b in self.buffers]
        lives = [(b.first, b.last) for b in self.buffers]
        tops = np.zeros(self._steps + 1, np.int64)
        starts = memory.offsets(sizes, lives)
        for start, size, (first, last) in zip(
            starts, sizes, lives, strict=True
        ):
            part = tops[first : last + 1]
            np.maximum(part, start + size, out=part)
        planning = _LSTM_PLANNING * len(self._lstms(keep))
        planning += sum(
            _STEP_PLANNING * op.count for op in self._ops if op.gates
        )
        return np.maximum(tops, planning) + self._kept_for_good(keep)

    def buffer_bytes(self, buffer, keep):
        """Bytes of arena that a buffer takes, `int`."""
        size = max(_bytes(t, keep) for t in buffer.tensors)
        if isinstance(buffer, file_buffers.Activated):
            freed = sum(self.buffer_bytes(b, keep) for b in buffer.freed)
            size = max(0, buffer.times * size - freed)
        elif isinstance(buffer, file_buffers.Halfway):
            size = _bytes(buffer.middle, keep)
            read = sum(self.buffer_bytes(b, keep) for b in buffer.freed)
            written = self.buffer_bytes(buffer.written, keep)
            size = max(0, size - min(read, written))
        return _aligned(size)

    def _kept_for_good(self, keep):
        count = sum(op.count for op in self._ops if not op.gates)
        channels = sum(
            op.kernels * op.channels(keep) for op in self._ops if op.convolves
        )
        kernels = sum(op.kernels for op in self._ops)
        for op in self._ops:
            kernels += op.runs + op.gates
            channels += self._step_channels(op, keep)
        size = _INTERPRETER + _OP * count + _KERNEL * kernels
        size += sum(_STEP_OP * op.count for op in self._ops if op.gates)
        for units in self._lstms(keep):
            size += _LSTM_RECORD + _LSTM_STATES * units
        return _aligned(size + _OP_CHANNEL * channels)

    def _lstms(self, keep):
        """The units of each LSTM that is one op, a list of `int`."""
        return [
            self._units(op, keep) for op in self._ops for _ in range(op.lstms)
        ]

    def _step_channels(self, op, keep):
        """Output channels of all kernels in all time steps, `int`."""
        return op.gates * self._units(op, keep) + sum(
            runs * int(keep[columns].sum())
            for runs, (*_, columns) in op.written_out
        )

    @staticmethod
    def _units(op, keep):
        return op.channels(keep) // op.sides


def _described(op):
    """Bytes of the array that describe an op and its tensors."""
    if op.in_steps:
        return op.count * (_MADE_BY_GATE if op.gates else _MADE_IN_STEP)
    kernel = _CONVOLUTION if op.convolves else _DENSE_LAYER
    return op.count * _MADE + op.kernels * kernel


def _added_by_wrappers(graph):
    """The ids of masks and thresholds, which are not part of the file."""
    added = set()
    for layer in graph.layers.values():
        inner = getattr(getattr(layer, "layer", None), "weights", None)
        if inner is not None:
            own = {id(v) for v in inner}
            added |= {id(v) for v in layer.weights if id(v) not in own}
    return added


def _bytes(tensor, keep):
    """Bytes of a tensor; floats take one byte, other numbers stay."""
    size = memory.itemsize(tensor.dtype)
    floats = tensor.dtype.startswith(("float", "bfloat"))
    return memory.tensor_bytes(tensor, keep) // (size if floats else 1)


def _aligned(count):
    return -(-count // _ALIGNMENT) * _ALIGNMENT
