"""Folds constant channel factors into the weights that read the channels.

A gate that multiplies channels by non-negative constants can be removed exactly
if everything between it and the weights that read the channels is positively
homogeneous (ReLU, pooling, padding, flattening): those weights then absorb the
factors. After any other operation, folding is not possible.
"""

import keras
import numpy as np

from tfprune.graph import channel_graph
from tfprune.graph import values

_LAYERS = keras.layers
# f(a x) = a f(x) for a >= 0, and for several inputs with the same a.
_PASS = (
    _LAYERS.Add,
    _LAYERS.Average,
    _LAYERS.AveragePooling1D,
    _LAYERS.AveragePooling2D,
    _LAYERS.AveragePooling3D,
    _LAYERS.Concatenate,
    _LAYERS.Cropping1D,
    _LAYERS.Cropping2D,
    _LAYERS.Cropping3D,
    _LAYERS.Dropout,
    _LAYERS.Flatten,
    _LAYERS.GlobalAveragePooling1D,
    _LAYERS.GlobalAveragePooling2D,
    _LAYERS.GlobalAveragePooling3D,
    _LAYERS.GlobalMaxPooling1D,
    _LAYERS.GlobalMaxPooling2D,
    _LAYERS.GlobalMaxPooling3D,
    _LAYERS.Identity,
    _LAYERS.LeakyReLU,
    _LAYERS.Maximum,
    _LAYERS.MaxPooling1D,
    _LAYERS.MaxPooling2D,
    _LAYERS.MaxPooling3D,
    _LAYERS.Permute,
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
_ACTIVATIONS = (
    keras.activations.linear,
    keras.activations.relu,
    keras.activations.leaky_relu,
)


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
        for step in graph.steps:
            factors = self._after(step, bindings.get(step.layer, ()))
            if step.layer in gates:
                factors = factors * _checked(gates[step.layer], step)
            for tensor in step.outputs:
                self._on[id(tensor)] = factors
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

    def _after(self, step, bindings):
        """The factors on the outputs of a step."""
        factors = self._joint(step)
        live = self._graph.layers[step.layer]
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
        if (factors != 1).any() and not _passes(live):
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


def _passes(live):
    if isinstance(live, _LAYERS.ReLU):
        return live.max_value is None and not live.threshold
    if isinstance(live, _LAYERS.Activation):
        return live.activation in _ACTIVATIONS
    return isinstance(live, _PASS)


def _cannot(layer, reason):
    return ValueError(
        "A factor can only fold into weights that read the channel through "
        f"ReLU, pooling, padding or flattening. Received: {layer!r}: "
        f"{reason}. Drop the factors (fold=False), or `skip` the layers "
        "whose channels it reads."
    )
