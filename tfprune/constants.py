"""Channels that hold the same value whatever the input is."""

import keras
import numpy as np

from tfprune.graph import channel_graph
from tfprune.graph import document
from tfprune.graph import tensor as tensor_lib
from tfprune.graph import values


class Constants:
    """Finds the values of constant channels and moves them into biases.

    Nothing is computed until a channel is asked for.

    Args:
        graph: a `ChannelGraph`.
    """

    def __init__(self, graph):
        self._graph = graph
        self._readers = None

    def foldable(self, constant):
        """Which constant channels can be removed without a change.

        Args:
            constant: bool array, shape `(graph.size,)`: channels that do not
                depend on the input.

        Returns:
            Bool array of that shape: those that are zero wherever they are
            read, or that have one value there that a bias can take over.
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
        """The biases of the readers of folded channels.

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
    """What one reading axis sees of each channel.

    Attributes:
        binding: the `Binding`.
        value: float array, shape `(labels.size,)`, the channel's value.
        movable: bool array of that shape, whether the channel can go if it is
            constant.
        bias: the layer's bias, or `None`.
    """

    def __init__(self, binding, layer, maps):
        self.binding = binding
        self.bias = getattr(layer, "bias", None)
        # A separable convolution reads its input through a depthwise kernel,
        # which keeps zeros and may repeat channels.
        times = binding.labels.size // maps[0].shape[1]
        low = np.repeat(np.min([m.min(0) for m in maps], axis=0), times)
        high = np.repeat(np.max([m.max(0) for m in maps], axis=0), times)
        self.value = (low + high) / 2
        spread = 1e-6 * np.maximum(np.abs(self.value), 1e-6)
        uniform = high - low <= spread
        zero = (low == 0) & (high == 0)
        fits = (
            self.bias is not None
            and binding.attribute == "kernel"
            and not binding.padded
            and getattr(layer, "groups", 1) == 1
        )
        self.movable = zero | (uniform & fits)
        self.value[zero] = 0.0

    def shift(self, gone):
        """What the channels `gone` add to each output, shape `(outputs,)`."""
        kernel = values.numpy(self.binding.variable)
        kernel = np.moveaxis(kernel, self.binding.axis, 0)
        kernel = kernel.reshape(kernel.shape[0], -1, self.bias.shape[0])
        return np.einsum("i,iko->o", self.value * gone, kernel)


def _readers(graph):
    """Runs the model once and looks at the inputs of all readers."""
    bindings = {}
    for binding in graph.bindings:
        if binding.role == channel_graph.READS:
            layer = graph.layers[binding.layer]
            bindings.setdefault(id(layer), (layer, []))[1].append(binding)
    seen = {key: [] for key in bindings}
    steps = iter(graph.steps)

    def apply(site, args, kwargs):
        step = next(steps)
        args, kwargs = keras.tree.map_structure(_plain, (args, kwargs))
        if id(site.live) in seen:
            x = values.numpy(keras.tree.flatten(args)[0])
            seen[id(site.live)].append(_by_channel(x, step.inputs[0]))
        return site.live(*args, **kwargs)

    inputs = [
        np.zeros([1] + [n or 16 for n in x.shape[1:]], x.dtype)
        for x in graph.inputs
    ]
    document.run(graph.config, graph.model, inputs, apply)
    return [
        _Reader(binding, layer, seen[key])
        for key, (layer, group) in bindings.items()
        for binding in group
    ]


def _plain(x):
    return x.value if isinstance(x, tensor_lib.Constant) else x


def _by_channel(x, tensor):
    """An array as `(positions, channels)`."""
    axis = tensor.varying[0] if tensor.varying else x.ndim - 1
    return np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
