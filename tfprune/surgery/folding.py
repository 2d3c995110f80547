"""Folds constant channel factors into the weights that read the channels.

A gate that multiplies channels by non-negative constants can be removed exactly
if everything between it and the weights that read the channels is positively
homogeneous (ReLU, pooling, padding, flattening, and ops that do the same):
those weights then absorb the factors. After any other operation, folding is not
possible.
"""

import numbers

import keras
import numpy as np

from tfprune.graph import channel_graph
from tfprune.graph import document
from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib
from tfprune.graph import values
from tfprune.sparsity import weights

_LAYERS = keras.layers
# f(a x) = a f(x) for a >= 0, and for several inputs with the same a.
_MERGE = (
    _LAYERS.Add,
    _LAYERS.Average,
    _LAYERS.Maximum,
    _LAYERS.Minimum,
    _LAYERS.Subtract,
)
_PASS = (
    *_MERGE,
    _LAYERS.AveragePooling1D,
    _LAYERS.AveragePooling2D,
    _LAYERS.AveragePooling3D,
    _LAYERS.Concatenate,
    _LAYERS.Cropping1D,
    _LAYERS.Cropping2D,
    _LAYERS.Cropping3D,
    _LAYERS.Dropout,
    _LAYERS.Flatten,
    _LAYERS.GaussianDropout,
    _LAYERS.GlobalAveragePooling1D,
    _LAYERS.GlobalAveragePooling2D,
    _LAYERS.GlobalAveragePooling3D,
    _LAYERS.GlobalMaxPooling1D,
    _LAYERS.GlobalMaxPooling2D,
    _LAYERS.GlobalMaxPooling3D,
    _LAYERS.Identity,
    _LAYERS.LeakyReLU,
    _LAYERS.MaxPooling1D,
    _LAYERS.MaxPooling2D,
    _LAYERS.MaxPooling3D,
    _LAYERS.Permute,
    _LAYERS.PReLU,
    _LAYERS.RepeatVector,
    _LAYERS.Reshape,
    _LAYERS.SpatialDropout1D,
    _LAYERS.SpatialDropout2D,
    _LAYERS.SpatialDropout3D,
    _LAYERS.UpSampling1D,
    _LAYERS.UpSampling2D,
    _LAYERS.UpSampling3D,
    _LAYERS.ZeroPadding1D,
    _LAYERS.ZeroPadding2D,
    _LAYERS.ZeroPadding3D,
)
_NOISE = (_LAYERS.AlphaDropout, _LAYERS.GaussianNoise)
_MERGE_OPS = frozenset("Add Fmax Fmin Maximum Minimum Subtract".split())
# They take apart an axis, which must not be that of the channels.
_APART_OPS = frozenset(["Unstack"])
_PASS_OPS = (
    _MERGE_OPS
    | _APART_OPS
    | frozenset(
        "Absolute Amax Amin AdaptiveAveragePool AdaptiveMaxPool Append "
        "ArraySplit AveragePool BroadcastTo Concatenate Copy CropImages "
        "DepthToSpace Diagonal Dsplit Dstack ExpandDims ExtractPatches Fabs "
        "Flip Fliplr GaussianBlur GetItem Hsplit Hstack LeakyRelu Max MaxPool "
        "Mean Min Moveaxis Negative Pad PadImages Relu Repeat Reshape Resize "
        "Rot90 SpaceToDepth Split Squeeze Stack StopGradient Sum Swapaxes Take "
        "Tile Trace Transpose".split()
    )
)
_QUOTIENTS = ("Divide", "TrueDivide")
# Numbers that an op computes with beside its input, which must be 0 or none.
_NUMBERS = ("constant_values", "fill_value", "initial")


def into_readers(graph, gates):
    """Computes weights that absorb the factors of removed gates.

    Args:
        graph: a `ChannelGraph` of the model without gates.
        gates: `dict` from a layer's path to a float array of shape
            `(graph.size,)`: the non-negative factors of its output channels.

    Returns:
        `dict` from `id(variable)` to a numpy array, as for `rebuild.shrink`.

    Raises:
        ValueError: If an operation between a gate and the weights that read
            its channels does not preserve factors, or weights read the
            channels with different factors.
    """
    return _Walk(graph, gates).changes()


class _Walk:
    """Propagates the factors through the model, step by step."""

    def __init__(self, graph, gates):
        self._graph = graph
        self._on = {}  # id(tensor): factors of its channels
        self._reads = {}  # (id(variable), axis): (binding, factors along it)
        bindings, self._states = {}, _states(graph)
        for b in graph.bindings:
            if b.role == channel_graph.READS:
                bindings.setdefault(b.layer, []).append(b)
        steps = iter(graph.steps)

        def apply(site, args, kwargs):
            step = next(steps)
            found = bindings.get(step.layer, ())
            factors = self._after(step, found, site, args, kwargs)
            if step.layer in gates:
                factors = factors * _checked(gates[step.layer], step)
            for tensor in step.outputs:
                self._on[id(tensor)] = factors
            outputs = list(step.outputs)
            return outputs if len(outputs) > 1 else outputs[0]

        document.run(graph.config, graph.model, graph.inputs, apply)
        if any((self._factors(t) != 1).any() for t in graph.outputs):
            raise _cannot("the model", "its output is gated")

    def changes(self):
        found = {}
        for binding, factors in self._reads.values():
            if (factors != 1).any():
                key = id(binding.variable)
                old = values.numpy(binding.variable, exact=True)
                shape = [1] * old.ndim
                shape[binding.axis] = -1
                new = found.get(key, old).astype(np.float32)
                found[key] = (new * factors.reshape(shape)).astype(old.dtype)
        return found

    def _factors(self, tensor):
        """The factors of a tensor's channels, 1 for all other channels."""
        factors = np.ones(self._graph.size)
        labels = np.unique(tensor.labels)
        known = self._on.get(id(tensor))
        if known is not None:
            factors[labels] = known[labels]
        return factors

    def _after(self, step, bindings, site, args, kwargs):
        """The factors on the outputs of a step."""
        factors = self._joint(step)
        if bindings:
            states = self._states.get(step.layer, [])
            if (factors[states] != 1).any():
                raise _cannot(step.layer, "its first state is gated")
            read = np.zeros(self._graph.size, bool)
            for b in bindings:
                read[b.labels] = True
                self._read(b, factors[b.labels])
            if (factors[~read] != 1).any():
                raise _cannot(step.layer, "it does not read all channels")
            return np.ones(self._graph.size)
        if (factors != 1).any():
            if not _passes(site, args, kwargs) or not _keeps_apart(step, site):
                raise _cannot(step.layer, f"a {step.op} follows it")
        return factors

    def _joint(self, step):
        """The factors of all inputs; shared channels must agree."""
        factors = np.ones(self._graph.size)
        seen = np.zeros(self._graph.size, bool)
        for tensor in step.inputs:
            labels = np.unique(tensor.labels)
            found = self._factors(tensor)
            both = labels[seen[labels]]
            if not np.array_equal(found[both], factors[both]):
                raise _cannot(step.layer, "its inputs have different gates")
            factors[labels] = found[labels]
            seen[labels] = True
        return factors

    def _read(self, binding, factors):
        key = id(binding.variable), binding.axis
        _, before = self._reads.setdefault(key, (binding, factors))
        if not np.array_equal(before, factors):
            raise _cannot(binding.layer, "it is called on different gates")


def _states(graph):
    """The labels that a layer makes in one step and reads in the next one."""
    reads, writes = {}, {}
    for b in graph.bindings:
        if b.role == channel_graph.WRITES:
            writes.setdefault(b.layer, []).append(b.labels)
        elif b.role == channel_graph.READS and b.input_axis is None:
            reads.setdefault(b.layer, []).append(b.labels)
    return {
        layer: np.intersect1d(
            np.concatenate(found), np.concatenate(writes[layer])
        )
        for layer, found in reads.items()
        if layer in writes
    }


def _checked(gate, step):
    labels = np.concatenate([t.labels.reshape(-1) for t in step.outputs])
    if np.unique(labels).size < labels.size:
        raise _cannot(step.layer, "some of its channels are tied together")
    if not (gate >= 0).all():
        raise ValueError(
            "Factors must not be negative. Received: "
            f"{float(gate.min())} after layer {step.layer!r}."
        )
    return gate


def _passes(site, args, kwargs):
    """Whether a layer or op gives `a f(x)` for `a x`, `a >= 0`."""
    live, name = site.live, rulebook.name_of(site.entry)
    if name.startswith("ops."):
        return _op_passes(name.removeprefix("ops."), site, args, kwargs)
    if isinstance(live, _LAYERS.ReLU):
        return weights.keeps_factors(live)
    if isinstance(live, _LAYERS.Activation):
        return weights.keeps_factors(live.activation)
    if isinstance(live, _NOISE):
        return not kwargs.get("training")
    return isinstance(live, _PASS)


def _op_passes(name, site, args, kwargs):
    scaled = [isinstance(x, tensor_lib.Tensor) for x in args]
    if name == "Multiply":
        return scaled.count(True) == 1
    if name in _QUOTIENTS:
        return scaled == [True, False]
    if name == "Cast":
        return "float" in str(site.entry["config"]["dtype"])
    if name in _MERGE_OPS:
        given = zip(args, scaled, strict=True)
        return all(is_tensor or _is_zero(x) for x, is_tensor in given)
    beside = {**site.entry["config"], **kwargs}
    if name == "Pad":
        beside |= dict(zip(_NUMBERS, args[1:], strict=False))
    return name in _PASS_OPS and all(
        _is_zero(beside[key]) for key in _NUMBERS if beside.get(key) is not None
    )


def _is_zero(number):
    if isinstance(number, tensor_lib.Constant):
        return not np.any(number.value)
    return isinstance(number, numbers.Number) and not number


def _keeps_apart(step, site):
    """Whether each number in the outputs comes from one channel alone."""
    made = np.concatenate([t.labels.reshape(-1) for t in step.outputs])
    given = [t.labels.reshape(-1) for t in step.inputs]
    name = rulebook.name_of(site.entry).removeprefix("ops.")
    if isinstance(site.live, _MERGE) or name in _MERGE_OPS:
        # What is broadcast has no factor of each channel.
        return all(np.isin(made, labels).all() for labels in given)
    if name in _APART_OPS and not np.isin(given[0], made).all():
        return False
    return bool(np.isin(made, np.concatenate(given)).all())


def _cannot(layer, reason):
    return ValueError(
        "A factor can only fold into weights that read the channel through "
        f"ReLU, pooling, padding, flattening or the like. Received: {layer!r}: "
        f"{reason}. Drop the factors (fold=False), or `skip` the layers "
        "whose channels it reads."
    )
