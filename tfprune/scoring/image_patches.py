"""Layers that read channels, as matrix products on patches of their input.

For a dense layer or a convolution with any stride, padding and dilation, each
output before bias and activation is a row of inputs times the weights:
`patches @ matrix`. Only the requested rows are extracted, never those of the
whole feature map.
"""

import dataclasses
import math

import keras
import numpy as np

from tfprune.graph import channel_graph
from tfprune.graph import values
from tfprune.scoring import adapters


@dataclasses.dataclass(frozen=True, eq=False)
class Geometry:
    """The geometry of a layer's window, spatial axes only.

    Attributes:
        window: tuple, the size of the kernel.
        strides: tuple.
        dilation: tuple.
        padding: tuple of pairs, zeros before and after each axis.
        steps: tuple, distance between neighboring inputs after inserting
            zeros: the strides of a transposed convolution.
    """

    window: tuple = ()
    strides: tuple = ()
    dilation: tuple = ()
    padding: tuple = ()
    steps: tuple = ()


class Reader:
    """One layer that reads channels.

    Attributes:
        binding: the `channel_graph.Binding` of its reading axis.
        live: the layer as the model has it.
        layer: the layer that holds the weights, `live` or one inside it.
        groups: `int`, convolution groups, each of which reads its own
            channels.
        labels: int array, shape `(columns,)`: the channel that each column
            of a patch belongs to.
    """

    def __init__(self, binding, live):
        self.binding = binding
        self.live = live
        self.layer = _owner(live, binding.attribute)
        self.groups = getattr(self.layer, "groups", 1)
        self._kind = _KINDS[binding.patches]
        taps = math.prod(binding.variable.shape[:-2])
        self.labels = np.tile(binding.labels, taps)

    @property
    def path(self):
        """`str`, path of the layer."""
        return self.binding.layer

    def matrix(self, value=None):
        """The weights, shape `(groups, columns, outputs)`, float64.

        With LoRA, what it adds is part of them.

        Args:
            value: array of the variable's shape; `None` uses its value.
        """
        if value is None:
            value = values.numpy(self.binding.variable) + self._adapted()
        kernel = self._kind.turn(np.asarray(value, np.float64))
        kernel = kernel.reshape(self.labels.size, self.groups, -1)
        return np.moveaxis(kernel, 1, 0)

    def kernel(self, matrix, kept=None):
        """A `matrix` as a value of the variable, float32.

        Args:
            matrix: array, shape `(groups, columns, outputs)`.
            kept: bool array, shape `(columns,)`; the others become zero.
                `None` keeps all.
        """
        old = self._kind.turn(values.numpy(self.binding.variable))
        matrix = matrix - self.matrix(self._adapted())
        if kept is not None:
            matrix = np.where(kept[:, None], matrix, 0)
        kernel = np.moveaxis(matrix, 0, 1).reshape(old.shape)
        return np.ascontiguousarray(self._kind.turn(kernel), np.float32)

    def _adapted(self):
        """What the layer adds to the variable: the product of LoRA, or 0s."""
        own = values.numpy(self.binding.variable)
        if not getattr(self.layer, "lora_enabled", False):
            return np.zeros_like(own)
        name = self.binding.attribute.rpartition(".")[2]
        return values.numpy(getattr(self.layer, name)) - own

    def inputs(self, x):
        """What the layer reads, each position once.

        Args:
            x: array, the layer's input, batch first.

        Returns:
            Float array, shape `(samples * positions, groups, channels)`.
        """
        x = self._prepared(x)
        return x.reshape(-1, self.groups, x.shape[-1] // self.groups)

    def patches(self, x, positions=None, rng=None):
        """What the layer reads for its outputs.

        Args:
            x: array, the layer's input, batch first.
            positions: `int`, output positions drawn per sample, and step of
                a `TimeDistributed` layer, with replacement; if there are no
                more than that, or if `None`, all are used in order.
            rng: `numpy.random.Generator` for the draw.

        Returns:
            Float array, shape `(samples * positions, groups, columns)`.
        """
        x = self._prepared(x)
        geometry = self._kind.geometry(self.layer, x.shape[1:-1])
        x = _spread(x, geometry)
        sizes = _positions(x.shape[1:-1], geometry)
        total = math.prod(sizes)
        if positions is None or positions >= total:
            at = np.broadcast_to(np.arange(total), (len(x), total))
        else:
            at = rng.integers(0, total, (len(x), positions))
        at = np.unravel_index(at, sizes) if sizes else ()
        rows = _gather(x, at, geometry)
        count = rows.shape[0] * rows.shape[1]
        # (rows, taps, groups, channels of a group)
        rows = rows.reshape(count, -1, self.groups, x.shape[-1] // self.groups)
        rows = np.moveaxis(rows, 2, 1)
        return rows.reshape(count, self.groups, self.labels.size)

    def _prepared(self, x):
        """The input of the layer that has the weights, channels last."""
        x = values.numpy(x)
        window = len(self.binding.variable.shape) - 2
        if window:  # The layer around it has more axes after the batch's.
            x = x.reshape(-1, *x.shape[x.ndim - window - 1 :])
        return self._kind.prepare(self.layer, x)


def readers(graph):
    """The layers that read channels.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        `(found, others)`: a list of `Reader`, and the bindings of layers that
        do not read patches (attention, recurrent layers).
    """
    found, others = [], []
    merged = adapters.merged(graph)
    for binding in graph.bindings:
        live = graph.layers[binding.layer]
        is_adapter = merged.get(id(binding.variable), binding) is None
        if binding.role != channel_graph.READS or is_adapter:
            continue
        if binding.patches and binding.input_axis is not None:
            found.append(Reader(binding, live))
        else:
            others.append(binding)
    return found, others


def _owner(live, attribute):
    """The layer that has the variable, inside of layers around it."""
    *parts, attribute = attribute.split(".")
    for part in parts:
        live = getattr(live, part)
    while not hasattr(live, attribute):
        live = live.layer
    return live


def _spread(x, geometry):
    """Puts zeros between and around, `(samples, *spatial, channels)`."""
    for axis, step in enumerate(geometry.steps, 1):
        if step > 1:
            sizes = list(x.shape)
            sizes[axis] = (x.shape[axis] - 1) * step + 1
            wide = np.zeros(sizes, x.dtype)
            np.moveaxis(wide, axis, 0)[::step] = np.moveaxis(x, axis, 0)
            x = wide
    pads = ((0, 0), *geometry.padding, (0, 0))
    return np.pad(x, pads) if np.any(pads) else x


def _positions(sizes, geometry):
    """How many outputs there are along each spatial axis."""
    spans = [
        d * (k - 1) + 1
        for k, d in zip(geometry.window, geometry.dilation, strict=True)
    ]
    return tuple(
        (n - span) // s + 1
        for n, span, s in zip(sizes, spans, geometry.strides, strict=True)
    )


def _gather(x, at, geometry):
    """Windows at output positions, `(samples, positions, *window, C)`."""
    rank = len(at)
    index = [np.arange(len(x)).reshape((-1, 1) + (1,) * rank)]
    for axis, where in enumerate(at):
        taps = [1] * rank
        taps[axis] = -1
        offsets = np.arange(geometry.window[axis]) * geometry.dilation[axis]
        starts = where * geometry.strides[axis]
        starts = starts.reshape(starts.shape + (1,) * rank)
        index.append(starts + offsets.reshape(taps))
    return x[tuple(index)]


def _channels_last(layer, x):
    """`(samples, *spatial, channels)`."""
    first = getattr(layer, "data_format", None) == "channels_first"
    return np.moveaxis(x, 1, -1) if first else x


def _between(layer, x):
    """What the pointwise half of a separable convolution reads."""
    x = keras.ops.depthwise_conv(
        x,
        keras.ops.convert_to_tensor(layer.depthwise_kernel),
        strides=layer.strides,
        padding=layer.padding,
        data_format=layer.data_format,
        dilation_rate=layer.dilation_rate,
    )
    return _channels_last(layer, values.numpy(x))


def _pointwise(layer, sizes):
    one = (1,) * len(sizes)
    return Geometry(one, one, one, ((0, 0),) * len(sizes), one)


def _convolution(layer, sizes):
    parts = layer.kernel_size, layer.strides, layer.dilation_rate
    padding = map(_PADDING[layer.padding], sizes, *parts)
    return Geometry(*map(tuple, parts), tuple(padding), (1,) * len(sizes))


def _transposed(layer, sizes):
    rank = len(layer.kernel_size)
    extra = layer.output_padding
    extra = extra if isinstance(extra, (tuple, list)) else (extra,) * rank
    parts = layer.kernel_size, layer.strides, layer.dilation_rate, extra
    padding = map(_TRANSPOSED_PADDING[layer.padding], *parts)
    return Geometry(
        tuple(layer.kernel_size),
        (1,) * rank,
        tuple(layer.dilation_rate),
        tuple(padding),
        tuple(layer.strides),
    )


def _same(size, window, stride, dilation):
    span = dilation * (window - 1) + 1
    total = max((-(-size // stride) - 1) * stride + span - size, 0)
    return total // 2, total - total // 2


def _same_transposed(window, stride, dilation, extra):
    span = dilation * (window - 1) + 1
    # The output has `size * stride` positions if nothing else is asked for.
    total = span + (stride - 2 if extra is None else span % 2 - 2 + extra)
    before = min(-(-total // 2), span - 1)
    return before, total - before


def _valid_transposed(window, stride, dilation, extra):
    span = dilation * (window - 1) + 1
    extra = max(stride - span, 0) if extra is None else extra
    return span - 1, span - 1 + extra


_PADDING = {
    "same": _same,
    "valid": lambda size, window, stride, dilation: (0, 0),
    "causal": lambda size, window, stride, dilation: (
        dilation * (window - 1),
        0,
    ),
}
_TRANSPOSED_PADDING = {"same": _same_transposed, "valid": _valid_transposed}


def _turned(kernel):
    """`(*window, outputs, channels)` and the way back: both ends turned."""
    window = tuple(range(kernel.ndim - 2))
    return np.flip(np.swapaxes(kernel, -1, -2), window)


@dataclasses.dataclass(frozen=True)
class _Kind:
    """What differs between the values of `Binding.patches`.

    Attributes:
        geometry: function `(layer, spatial sizes) -> Geometry`.
        prepare: function `(layer, input) -> array`, channels last.
        turn: function that brings the kernel to `(*window, channels,
            outputs)`; its own inverse.
    """

    geometry: object
    prepare: object = _channels_last
    turn: object = np.asarray


_KINDS = {
    "pointwise": _Kind(_pointwise),
    "convolution": _Kind(_convolution),
    "separable": _Kind(_pointwise, _between),
    "transposed": _Kind(_transposed, turn=_turned),
}
