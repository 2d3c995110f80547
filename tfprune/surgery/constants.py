"""Channels whose values do not depend on the input."""

import keras
import numpy as np

from tfprune.graph import channel_graph
from tfprune.graph import document
from tfprune.graph import tensor as tensor_lib
from tfprune.graph import values


class Constants:
    """Finds the values of constant channels and moves them into biases.

    Values are computed on first use.

    Args:
        graph: a `ChannelGraph`.
    """

    def __init__(self, graph):
        self._graph = graph
        self._readers = None

    def foldable(self, constant):
        """Marks the constant channels that can be removed exactly.

        Args:
            constant: bool array, shape `(graph.size,)`: channels that do not
                depend on the input.

        Returns:
            Bool array of that shape: the channels that are zero wherever they
            are read, or whose single value there can move into a bias.
        """
        constant = constant & ~self._graph.driven
        if not constant.any():
            return constant
        if self._readers is None:
            self._readers = _readers(self._graph)
        for reader in self._readers:
            constant[reader.binding.labels[~reader.movable]] = False
        return constant

    def new_biases(self, folded):
        """Returns the biases of the layers that read folded channels.

        Args:
            folded: bool array, shape `(graph.size,)`.

        Returns:
            `dict` from `id(variable)` to numpy array.
        """
        changes = {}
        for reader in self._readers or ():
            gone = folded[reader.binding.labels] & (reader.value != 0)
            if gone.any():
                bias = reader.bias
                old = changes.get(id(bias), values.numpy(bias))
                changes[id(bias)] = old + reader.shift(gone)
        return changes


class _Reader:
    """The channel values that one reading axis sees.

    Attributes:
        binding: the `Binding`.
        value: float array, shape `(labels.size,)`, the channel's value.
        movable: bool array of that shape, whether the channel can be removed
            if it is constant.
        bias: the layer's bias, or `None`.
    """

    def __init__(self, binding, layer, seen):
        self.binding = binding
        self.bias = getattr(layer, "bias", None)
        groups = getattr(layer, "groups", 1)
        low = np.min([low for low, _ in seen], axis=0)
        high = np.max([high for _, high in seen], axis=0)
        # The groups of a grouped convolution share the rows of its kernel; a
        # separable kernel has several rows per channel.
        low = low.reshape(groups, -1).min(0)
        high = high.reshape(groups, -1).max(0)
        times = binding.labels.size // low.size
        low, high = np.repeat(low, times), np.repeat(high, times)
        self.value = (low + high) / 2
        # A constant is not exactly constant: rounding varies by position.
        rounding = 1e-6 * max(-low.min(), high.max())
        zero = (low == 0) & (high == 0)
        fits = (
            self.bias is not None
            and binding.attribute == "kernel"
            and binding.input_axis is not None
            and not binding.padded
            and groups == 1
        )
        self.movable = zero | ((high - low <= rounding) & fits)
        self.value[zero] = 0.0

    def shift(self, gone):
        """What the channels `gone` add to the outputs, shape `(outputs,)`."""
        kernel = values.numpy(self.binding.variable)
        kernel = np.moveaxis(kernel, self.binding.axis, 0)
        kernel = kernel.reshape(kernel.shape[0], -1, self.bias.shape[0])
        return np.einsum("i,iko->o", self.value * gone, kernel)


def _readers(graph):
    """Runs the model and records the inputs of all readers."""
    bindings = {}
    for binding in graph.bindings:
        if binding.role == channel_graph.READS:
            layer = graph.layers[binding.layer]
            bindings.setdefault(id(layer), (layer, []))[1].append(binding)
    seen = {id(b): [] for _, group in bindings.values() for b in group}

    def apply(site, args, kwargs):
        _, group = bindings.get(id(site.live), (None, ()))
        flat = keras.tree.flatten((args, kwargs))
        tensors = [x for x in flat if hasattr(x, "shape")]
        for binding in group:
            at = binding.input
            for x in tensors if at is None else [tensors[at]]:
                found = _range_by_channel(values.numpy(x), binding)
                seen[id(binding)].append(found)
        args, kwargs = keras.tree.map_structure(_plain, (args, kwargs))
        return site.live(*args, **kwargs)

    # Layers called with training=True write to the model's state.
    with keras.StatelessScope():
        for inputs in _random_inputs(graph):
            document.run(
                graph.config, graph.model, inputs, apply, training=False
            )
    return [
        _Reader(binding, layer, seen[id(binding)])
        for layer, group in bindings.values()
        for binding in group
    ]


def _random_inputs(graph):
    """Flat inputs: two samples, and two sizes if the size is unknown.

    A channel that has one value on all of them counts as constant.
    """
    rng = np.random.default_rng(0)
    unknown = any(None in x.shape[1:] for x in graph.inputs)
    size = values.open_size(graph.model, graph.model.inputs)
    for scale in (1, 2) if unknown else (1,):
        yield [values.random(rng, x, scale, size=size) for x in graph.inputs]


def _plain(x):
    return x.value if isinstance(x, tensor_lib.Constant) else x


def _range_by_channel(x, binding):
    """The smallest and the largest value of each channel."""
    axis = binding.input_axis
    if axis is None or binding.input is None:
        size = binding.labels.size
        return np.full(size, x.min()), np.full(size, x.max())
    others = tuple(a for a in range(x.ndim) if a != axis % x.ndim)
    return x.min(others), x.max(others)
