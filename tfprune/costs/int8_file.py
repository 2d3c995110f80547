"""Predicts flash and RAM of a model's int8 file on a microcontroller.

Flash is the size of the .tflite file: one byte per kernel weight; per output
channel of a kernel, a bias (4 bytes) and, for kernel and bias, a scale (4) and
a zero point (8); and the description of ops and tensors, including their names.

RAM is the tensor arena of TFLite Micro: the activations, one byte per element,
placed by its greedy planner (`memory.offsets`), and the interpreter's
persistent data: records of ops and tensors, and a multiplier and a shift (8
bytes) per output channel of a convolution.

The constants were fitted to files of common networks. The remaining error, such
as the length of names or equal biases that are stored once, hardly changes when
channels are removed, so a measured file corrects the next prediction; see
`tfprune.fit_target`. The relative error is larger for smaller networks.
"""

import dataclasses
import math

import keras
import numpy as np

from tfprune.costs import layer_ops
from tfprune.costs import memory

# Bytes of a file beyond weights and scales: in total, for each op with the
# tensor that it makes, and for the tensors of a kernel and its bias, which have
# longer names in convolutions.
_FILE, _MADE, _CONVOLUTION, _DENSE_LAYER = 580, 269, 424, 260
# A bias; two scales and two zero points.
_CHANNEL = 4 + 2 * (4 + 8)
# Persistent bytes of the interpreter: in total, per op, per op with a kernel,
# and per output channel of a convolution.
_INTERPRETER, _OP, _KERNEL, _OP_CHANNEL = 950, 186, 44, 8
_ALIGNMENT = 16
# The op of a kernel in each time step, where steps are written out.
_DENSE, _CONV = "FULLY_CONNECTED", "CONV_2D"
# Steps of a ConvLSTM: persistent bytes per op, those of the planner while it
# plans, and a bias of each convolution, with a scale and a zero point each.
_STEP_OP, _STEP_PLANNING, _STEP_BIAS = 90, 106, 4 + (4 + 8)
# An LSTM in one op has a dozen weights, with a scale each, and two states: the
# bytes of their descriptions, of four biases and of both states per unit, of
# the op's record, and of the planner's while it plans.
_LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
_LSTM_TENSORS, _LSTM_BIASES, _LSTM_STATES = 2310, 4 * 4, 3
_LSTM_RECORD, _LSTM_PLANNING = 420, 950
# Ops of layers whose rule names none, and of an attention beside its kernels.
_SEVERAL = {
    "GroupNormalization": 15,
    "LayerNormalization": 13,
    "RMSNormalization": 7,
    "UnitNormalization": 7,
}
_ATTENTION = {"MultiHeadAttention": 12, "GroupQueryAttention": 14}
# A PAD of three axes and a RESHAPE, before a convolution of four.
_CAUSAL = 2
# Kernels that are dense layers, at each position.
_DENSE_LAYERS = {"Dense", "EinsumDense", *_ATTENTION}
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_LAST = "channels_last"
# What a looked-up function holds beside its output: two tensors of int32.
_LOOKED_UP = 7
# What normalizations of maps hold beside their input and output: one that looks
# all values up, and one whose scales and offsets become maps.
_NORMALIZED = {"GroupNormalization": _LOOKED_UP, "LayerNormalization": 3}
# With constants they become part of the kernel before them.
_FOLDED = {"MUL", "ADD"}


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
        self.buffers = (
            *plan.buffers,
            *(*_between(graph), *_held(graph), *_looked_up(graph)),
            *(*_activated(graph, plan), *_halfway(graph, plan)),
        )
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
        self._ops = _ops(graph, owners)

    def flash_bytes(self, keep):
        """Bytes of the .tflite file, `int`."""
        weights = sum(
            fixed * math.prod(int(keep[a].sum()) for a in axes)
            for fixed, axes in self._kernels
        )
        channels = sum(op.kernels * op.channels(keep) for op in self._ops)
        described = sum(
            _LSTM_TENSORS + _LSTM_BIASES * units for units in self._lstms(keep)
        )
        described += sum(op.described for op in self._ops)
        described += sum(
            _STEP_BIAS * op.gates * self._units(op, keep) for op in self._ops
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
        if isinstance(buffer, _Activated):
            freed = sum(self.buffer_bytes(b, keep) for b in buffer.freed)
            size = max(0, buffer.times * size - freed)
        elif isinstance(buffer, _Halfway):
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
            channels += op.gates * self._units(op, keep)
            channels += sum(
                runs * int(keep[columns].sum())
                for runs, (*_, columns) in op.written_out
            )
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

    @staticmethod
    def _units(op, keep):
        return op.channels(keep) // op.sides


@dataclasses.dataclass(frozen=True, eq=False)
class _Op:
    """What a step of the graph becomes in the file.

    Attributes:
        count: `int`, ops in the file.
        kernels: `int`, of these, ops with a kernel and a bias.
        convolves: `bool`, whether they are convolutions.
        output: `Tensor`.
        written_out: tuple of `(coefficient, label arrays)`, the multiply-adds
            of kernels that are run by ops of their own in each time step.
        lstms: `int`, of the ops in the file, LSTMs.
        sides: `int`, by how many units the output has more channels.
        gates: `int`, of the ops in the file, convolutions of a ConvLSTM.
    """

    count: int
    kernels: int
    convolves: bool
    output: object
    written_out: tuple = ()
    lstms: int = 0
    sides: int = 1
    gates: int = 0

    @property
    def runs(self):
        """How many ops of all time steps have a kernel."""
        return sum(count for count, _ in self.written_out)

    @property
    def described(self):
        """Bytes of the file that describe ops and tensors."""
        kernel = _CONVOLUTION if self.convolves else _DENSE_LAYER
        return self.count * _MADE + self.kernels * kernel

    def channels(self, keep):
        shape = memory.kept_shape(self.output, keep)
        varying = self.output.varying
        return (shape[varying[0]] if varying else shape[-1]) or 1


def _ops(graph, owners):
    """List of `_Op`, without steps that are fused or only views."""
    made_by = {id(t): s for s in graph.steps for t in s.outputs}
    ops = []
    for step in graph.steps:
        kernels = owners.get(step.layer, 0) if step.work else 0
        if kernels:
            op = _with_kernels(step, kernels, graph.layers[step.layer])
        else:
            layer = _inner(graph.layers[step.layer])
            count = _SEVERAL.get(type(layer).__name__) or max(
                len(plain_ops(step, made_by)), len(_activation(layer))
            )
            op = _Op(count, 0, False, step.outputs[0])
        if op.count:
            ops.append(op)
    return ops


def _with_kernels(step, kernels, layer):
    (output, *_), written = step.outputs, step.file_ops
    if _LSTM in written:
        lstms = written.count(_LSTM)
        joined = lstms > 1 and "CONCATENATION" in written
        sides = lstms if joined else 1
        return _Op(len(written), 0, False, output, lstms=lstms, sides=sides)
    if _CONV in written:
        # Biases differ from step to step, kernels do not.
        gates, joined = written.count(_CONV), "CONCATENATION" in written
        return _Op(
            *(len(written), kernels, False, output),
            sides=2 if joined else 1,
            gates=gates,
        )
    if _DENSE in written:
        return _Op(len(written), kernels, False, output, step.work)
    kind = type(_inner(layer)).__name__
    count = kernels + len(_activation(layer)) + _ATTENTION.get(kind, 0)
    if getattr(_inner(layer), "padding", None) == "causal":
        count += _CAUSAL
    convolves = len(output.shape) > 2 and kind not in _DENSE_LAYERS
    return _Op(count, kernels, convolves, output)


def _added_by_wrappers(graph):
    """The ids of masks and thresholds, which are not part of the file."""
    added = set()
    for layer in graph.layers.values():
        inner = getattr(getattr(layer, "layer", None), "weights", None)
        if inner is not None:
            own = {id(v) for v in inner}
            added |= {id(v) for v in layer.weights if id(v) not in own}
    return added


def _activation(layer):
    """The ops of a layer's activation, or of one that stands alone."""
    layer = _inner(layer)
    known, kind = layer_ops.ACTIVATIONS, type(layer).__name__
    if kind.lower() in known:  # keras.ops.silu, a Softmax layer
        return known[kind.lower()]
    activation = getattr(layer, "activation", None)
    if activation is None or isinstance(layer, keras.layers.RNN):
        return ()
    if isinstance(activation, keras.layers.Layer):
        name = type(activation).__name__
        return layer_ops.LAYERS.get(name) or _activation(activation)
    return known.get(getattr(activation, "__name__", ""), layer_ops.TABLE)


def _inner(layer):
    """The layer within a wrapper."""
    return getattr(layer, "layer", layer)


def _looks_up(layer):
    """Whether a layer looks up each of its values."""
    found = _activation(layer) or layer_ops.LAYERS.get(
        type(_inner(layer)).__name__, ()
    )
    return found[: len(layer_ops.TABLE)] == layer_ops.TABLE


def _looked_up(graph):
    """A `Buffer` for each byte per value that a looked-up function holds.

    And for those that normalizations hold.
    """
    return [
        memory.Buffer([step.outputs[0]], i, i)
        for i, step in enumerate(graph.steps, start=1)
        for _ in range(_bytes_beside(step, graph.layers[step.layer]))
    ]


def _bytes_beside(step, layer):
    kind = type(_inner(layer)).__name__
    if kind in _NORMALIZED and len(step.outputs[0].shape) > 3:
        return _NORMALIZED[kind]
    return _LOOKED_UP * _looks_up(layer)


@dataclasses.dataclass(frozen=True, eq=False)
class _Activated(memory.Buffer):
    """What the ops of an activation hold besides its output.

    Attributes:
        times: `int`, by how many tensors of that size.
        freed: tuple of `memory.Buffer`, which only the kernel before these ops
            reads.
    """

    times: int = 1
    freed: tuple = ()


@dataclasses.dataclass(frozen=True, eq=False)
class _Halfway(memory.Buffer):
    """What the depthwise half of a separable convolution writes.

    Attributes:
        middle: the `Tensor`.
        freed: tuple of `memory.Buffer`, which only that half reads.
        written: the `memory.Buffer` of the output, which only the other half
            needs.
    """

    middle: object
    freed: tuple
    written: memory.Buffer


def _halfway(graph, plan):
    """A `_Halfway` for each separable convolution."""
    homes = {id(t): b for b in plan.buffers for t in b.tensors}
    found = []
    for i, step in enumerate(graph.steps, start=1):
        layer = _inner(graph.layers[step.layer])
        if not isinstance(layer, _SEPARABLE) or layer.data_format != _LAST:
            continue
        x, output = step.inputs[0], step.outputs[0]
        read, written = homes[id(x)], homes[id(output)]
        times, labels = layer.depth_multiplier, x.labels
        if labels.shape[-1] > 1:
            labels = np.repeat(labels, times, -1)
        shape = (*output.shape[:-1], x.shape[-1] * times)
        middle = output.replace(shape=shape, labels=labels)
        freed = (read,) if read.last == i else ()
        found.append(_Halfway([output], i, i, middle, freed, written))
    return found


def _activated(graph, plan):
    """An `_Activated` for each activation with ops of its own.

    An op does not write where it reads; the second of two reads what the first
    one does, too.
    """
    made_by = {id(t): s for s in graph.steps for t in s.outputs}
    homes = {id(t): b for b in plan.buffers for t in b.tensors}
    found = []
    for i, step in enumerate(graph.steps, start=1):
        layer, output = graph.layers[step.layer], step.outputs[0]
        reads = [homes[id(x)] for x in step.inputs if id(x) in homes]
        times = _activation_reads(step, layer, made_by)
        freed = ()
        if step.work:
            freed = tuple(b for b in dict.fromkeys(reads) if b.last == i)
        elif homes[id(output)] not in reads:
            times -= 1  # It has a buffer for its output already.
        if times > 0:
            found.append(_Activated([output], i, i, times, freed))
    return found


def _activation_reads(step, layer, made_by):
    """How many tensors the last op of an activation reads; 0 without one."""
    if step.memory == "view" or _looks_up(layer):
        return 0  # `_looked_up` counts what these hold.
    names = _activation(layer)
    if not names and not step.work and step.memory == "inplace":
        names = plain_ops(step, made_by)
        if isinstance(layer, keras.layers.PReLU):
            names = ("PRELU",)
        return int(len(names) == 1)  # `_between` counts others.
    return min(len(names), 2)


def _between(graph):
    """A `Buffer` between the ops of a step that becomes several.

    Unless its rule knows what they hold.
    """
    made_by = {id(t): s for s in graph.steps for t in s.outputs}
    return [
        memory.Buffer([step.outputs[0]], i, i)
        for i, step in enumerate(graph.steps, start=1)
        if len(plain_ops(step, made_by)) > 1 and not step.held
    ]


def _held(graph):
    """A `Buffer` for each tensor that a step holds besides its outputs."""
    return [
        memory.Buffer([tensor], i, i)
        for i, step in enumerate(graph.steps, start=1)
        for tensor in step.held
    ]


def plain_ops(step, made_by):
    """What a step without a kernel becomes in the file.

    Args:
        step: a `Step` of a `ChannelGraph`.
        made_by: `dict` from the `id` of a tensor to the step that made it.

    Returns:
        Tuple of `str`, names of ops; empty if the step is a view or part of
        the op before it. An op that no rule names counts as `"ADD"`.
    """
    if step.memory == "view":
        return ()
    if step.memory == "inplace" and _folded(step, made_by):
        return ()
    return step.file_ops or ("ADD",)


def _folded(step, made_by):
    """Whether an op that works in place is part of the one before it."""
    before = made_by.get(id(step.inputs[0]))
    scales = set(step.file_ops) <= _FOLDED
    return not step.file_ops or (
        scales and before is not None and bool(before.work)
    )


def _bytes(tensor, keep):
    """Bytes of a tensor; floats take one byte, other numbers stay."""
    size = memory.itemsize(tensor.dtype)
    floats = tensor.dtype.startswith(("float", "bfloat"))
    return memory.tensor_bytes(tensor, keep) // (size if floats else 1)


def _aligned(count):
    return -(-count // _ALIGNMENT) * _ALIGNMENT
