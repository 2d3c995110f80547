"""The ops that a model becomes in an int8 file, read off exported ones."""

import dataclasses

import keras

from tfprune.costs import layer_ops
from tfprune.costs import memory

_LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
# The op of a kernel in each time step, where steps are written out.
_DENSE, _CONV = "FULLY_CONNECTED", "CONV_2D"
# Ops of layers whose rule names none, and of an attention beside its kernels.
_SEVERAL = {
    "AdditiveAttention": 7,
    "GroupNormalization": 15,
    "LayerNormalization": 13,
    "RMSNormalization": 7,
}
_ATTENTION = {
    "MultiHeadAttention": 12,
    # Keras's name of its class, and that of the layer.
    **dict.fromkeys(("GroupedQueryAttention", "GroupQueryAttention"), 16),
}
# Kernels that are dense layers, at each position.
_DENSE_LAYERS = {"Dense", "EinsumDense", *_ATTENTION}
# Their kernels have an axis more: a reshape before the first one of a chain
# adds it, and one behind the last takes it away.
_OF_ONE_AXIS = {
    "AveragePooling1D",
    "Conv1D",
    "Conv1DTranspose",
    "DepthwiseConv1D",
    "MaxPooling1D",
    "SeparableConv1D",
}
# What reshapes are moved across.
_BY_VALUE = {"ADD", "MUL", "SUB"}
# With constants they become part of the kernel before them.
_FOLDED = {"MUL", "ADD"}


@dataclasses.dataclass(frozen=True, eq=False)
class Op:
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
    def in_steps(self):
        """Whether the time steps of a layer are written out."""
        return bool(self.written_out or self.gates)

    @property
    def runs(self):
        """How many ops of all time steps have a kernel."""
        return sum(count for count, _ in self.written_out)

    def channels(self, keep):
        shape = memory.kept_shape(self.output, keep)
        varying = self.output.varying
        return (shape[varying[0]] if varying else shape[-1]) or 1


def of(graph, owners):
    """The ops of a graph.

    Args:
        graph: a `ChannelGraph`.
        owners: `dict` from the name of a layer to how many kernels it has.

    Returns:
        List of `Op`, one for each step that is neither fused nor only a view.
    """
    made_by = {id(t): s for s in graph.steps for t in s.outputs}
    around = _around(graph, made_by)
    ops = []
    for step in graph.steps:
        kernels = owners.get(step.layer, 0) if step.work else 0
        layer = inner(graph.layers[step.layer])
        if kernels:
            op = _with_kernels(step, kernels, layer)
        else:
            count = _several(step, layer) or max(
                len(plain_ops(step, made_by)), len(activation(layer))
            )
            op = Op(count, 0, False, step.outputs[0])
        count = op.count + around.get(id(step), 0)
        if count:
            ops.append(dataclasses.replace(op, count=count))
    return ops


def _several(step, layer):
    """How many ops a layer without kernels becomes; `None` if not known."""
    kind = type(layer).__name__
    if kind == "UnitNormalization":
        return len(layer_ops.of_layer(layer, len(step.outputs[0].shape)))
    return _SEVERAL.get(kind)


def _around(graph, made_by):
    """How many ops are around layers of one axis; `dict` by `id`s of steps.

    A reshape on each side, unless another such layer is there; sums and what is
    folded do not separate them. Causal padding is an op before the reshape.
    """
    layers = {id(s): inner(graph.layers[s.layer]) for s in graph.steps}
    causal = {
        number: getattr(layer, "padding", None) == "causal"
        for number, layer in layers.items()
        if type(layer).__name__ in _OF_ONE_AXIS
    }
    readers = {number: [] for number in causal}
    counts = {number: 1 + padded for number, padded in causal.items()}
    for step in graph.steps:
        if id(step) not in causal and _is_between(step, made_by):
            continue
        found = _makers(step, causal, made_by)
        if found and found <= causal.keys() and not causal.get(id(step), True):
            counts[id(step)] = 0
        for number in found & causal.keys():
            readers[number].append(id(step))
    for number, found in readers.items():
        # Those that are not padded take it as it is.
        counts[number] += not found or any(causal.get(i, True) for i in found)
    return counts


def _makers(step, known, made_by):
    """The `id`s of the steps before another one, but for those in between."""
    found, passed, queue = set(), set(), [step]
    while queue:
        for tensor in queue.pop().inputs:
            before = made_by.get(id(tensor))
            if before is None or id(before) in known:
                found.add(id(before))
            elif not _is_between(before, made_by):
                found.add(id(before))
            elif id(before) not in passed:
                passed.add(id(before))
                queue.append(before)
    return found


def _is_between(step, made_by):
    """Whether a step is fused, or computes each value by itself."""
    return not step.work and set(plain_ops(step, made_by)) <= _BY_VALUE


def _with_kernels(step, kernels, layer):
    (output, *_), written = step.outputs, step.file_ops
    if _LSTM in written:
        lstms = written.count(_LSTM)
        joined = lstms > 1 and "CONCATENATION" in written
        sides = lstms if joined else 1
        return Op(len(written), 0, False, output, lstms=lstms, sides=sides)
    if _CONV in written:
        # Biases differ from step to step, kernels do not.
        gates, joined = written.count(_CONV), "CONCATENATION" in written
        return Op(
            *(len(written), kernels, False, output),
            sides=2 if joined else 1,
            gates=gates,
        )
    if _DENSE in written:
        return Op(len(written), kernels, False, output, step.work)
    kind = type(layer).__name__
    count = kernels + len(activation(layer)) + _ATTENTION.get(kind, 0)
    convolves = len(output.shape) > 2 and kind not in _DENSE_LAYERS
    return Op(count, kernels, convolves, output)


def activation(layer):
    """The ops of a layer's activation, or of one that stands alone.

    Args:
        layer: a Keras layer.

    Returns:
        Tuple of `str`, names of ops.
    """
    layer = inner(layer)
    found = layer_ops.alone(layer)  # keras.ops.silu, a Softmax layer
    if found is not None:
        return found
    function = getattr(layer, "activation", None)
    if function is None or isinstance(layer, keras.layers.RNN):
        return ()
    if isinstance(function, keras.layers.Layer):
        name = type(function).__name__
        return layer_ops.LAYERS.get(name) or activation(function)
    name = getattr(function, "__name__", "")
    return layer_ops.ACTIVATIONS.get(name, layer_ops.TABLE)


def inner(layer):
    """The layer within a wrapper, or the layer itself."""
    return getattr(layer, "layer", layer)


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
