"""Functions of TensorFlow that slide a window over maps, as `keras.ops`."""

import keras
import numpy as np

from tfprune.legacy.operations import sizes
from tfprune.legacy.operations import tf_arrays

_OPS = keras.ops


def _pool(kind):
    def call(value, ksize, strides, padding, data_format=None):
        rank = len(value.shape) - 2
        check_last(data_format, "pooling")
        if not isinstance(padding, str):
            raise ValueError(
                "A pooling must have SAME or VALID padding. Received: padding="
                f"{padding}. Build the model in code."
            )
        pool = getattr(keras.layers, f"{kind}Pooling{rank}D")
        return pool(
            spatial(ksize, rank), spatial(strides, rank), padding.lower()
        )(value)

    return call


def _any_pool(
    input,
    window_shape,
    pooling_type,
    padding="VALID",
    strides=None,
    dilations=None,
    dilation_rate=None,
    data_format=None,
):
    _check_dense(dilations or dilation_rate, "pooling")
    pool = _pool({"MAX": "Max", "AVG": "Average"}[pooling_type])
    return pool(input, window_shape, strides or 1, padding, data_format)


def spatial(value, rank):
    """Numbers for the spatial axes: of one, of these, or of all axes."""
    found = value if isinstance(value, list) else [value]
    if len(found) == 1:
        return tuple(found * rank)
    return tuple(found[1:-1] if len(found) == rank + 2 else found)


def check_last(data_format, what):
    """Refuses maps with the channels first."""
    if data_format is not None and data_format.startswith("NC"):
        raise ValueError(
            f"A {what} must have the channels last. Received: "
            f"data_format={data_format!r}. Build the model in code."
        )


def _check_dense(dilations, what):
    if np.any(np.ravel(dilations or 1) != 1):
        raise ValueError(
            f"A {what} must be without gaps. Received: dilations={dilations}. "
            "Build the model in code."
        )


def _convolve(x, kernel, strides, padding, dilations, data_format):
    """A convolution, in groups if a kernel has fewer channels than `x`."""
    check_last(data_format, "convolution")
    rank = len(x.shape) - 2
    _, kernel = tf_arrays.alike(x, kernel)
    if not isinstance(padding, str):
        # As many zeros as it says at both ends of each axis.
        x, padding = _OPS.pad(x, np.asarray(padding).tolist()), "VALID"
    groups = x.shape[-1] // kernel.shape[-2]
    sides = [
        _OPS.split(each, groups, -1) if groups > 1 else [each]
        for each in (x, kernel)
    ]
    found = [
        _OPS.conv(
            part,
            own,
            spatial(strides or 1, rank),
            padding.lower(),
            "channels_last",
            spatial(dilations or 1, rank),
        )
        for part, own in zip(*sides, strict=True)
    ]
    return _OPS.concatenate(found, -1) if groups > 1 else found[0]


def _conv2d(
    input,
    filter,
    strides,
    padding,
    data_format=None,
    dilations=None,
    use_cudnn_on_gpu=True,
):
    return _convolve(input, filter, strides, padding, dilations, data_format)


def _conv3d(input, filters, strides, padding, data_format=None, dilations=None):
    return _convolve(input, filters, strides, padding, dilations, data_format)


def _conv1d(
    value,
    filters,
    stride,
    padding,
    use_cudnn_on_gpu=True,
    data_format=None,
    input=None,
    dilations=None,
):
    stride = stride[1:-1] if len(np.ravel(stride)) == 3 else stride
    return _convolve(value, filters, stride, padding, dilations, data_format)


def _any_convolution(
    input,
    filter=None,
    padding="VALID",
    strides=None,
    dilation_rate=None,
    data_format=None,
    filters=None,
    dilations=None,
):
    kernel = filters if filter is None else filter
    rates = dilations or dilation_rate
    return _convolve(input, kernel, strides, padding, rates, data_format)


def _depthwise(
    input,
    filter,
    strides,
    padding,
    rate=None,
    data_format=None,
    dilations=None,
):
    check_last(data_format, "convolution")
    _, kernel = tf_arrays.alike(input, filter)
    if not isinstance(padding, str):
        input, padding = _OPS.pad(input, np.asarray(padding).tolist()), "VALID"
    return _OPS.depthwise_conv(
        input,
        kernel,
        spatial(strides, 2),
        padding.lower(),
        "channels_last",
        spatial(rate or dilations or 1, 2),
    )


def _separable(
    input,
    depthwise_filter,
    pointwise_filter,
    strides,
    padding,
    rate=None,
    data_format=None,
    dilations=None,
):
    x = _depthwise(
        *(input, depthwise_filter, strides, padding),
        *(rate, data_format, dilations),
    )
    return _convolve(x, pointwise_filter, 1, "VALID", None, None)


def _transposed(
    input,
    filters,
    output_shape,
    strides,
    padding="SAME",
    data_format=None,
    dilations=None,
):
    """A transposed convolution to a given size.

    With strides several sizes belong to one input. Keras has one of them, so
    zeros are added or pixels cut off: at both ends what the padding says.
    """
    check_last(data_format, "convolution")
    _check_dense(dilations, "transposed convolution")
    if tf_arrays.symbolic(filters):
        raise ValueError(
            "The kernel of a transposed convolution must be fixed. Received: "
            f"one that the model computes, of shape {tuple(filters.shape)}. "
            "Build the model in code."
        )
    rank = len(input.shape) - 2
    wanted = sizes.listed(output_shape)[1:-1]
    strides = spatial(strides, rank)
    _, kernel = tf_arrays.alike(input, filters)
    if sizes.are_open(wanted) or None in input.shape[1:]:
        raise sizes.unclear(wanted)
    usual = [n * s for n, s in zip(input.shape[1:], strides, strict=False)]
    same = padding == "SAME" and wanted == usual
    layer = getattr(keras.layers, f"Conv{rank}DTranspose")(
        kernel.shape[-2],
        kernel.shape[:-2],
        strides,
        "same" if same else "valid",
        data_format="channels_last",
        use_bias=False,
        trainable=False,
        dtype=input.dtype,
    )
    layer.build(input.shape)
    layer.kernel.assign(kernel)
    x = layer(input)
    if list(x.shape[1:-1]) == wanted and (same or padding == "VALID"):
        return x
    ends, pads = [slice(None)], [(0, 0)]
    bounds = zip(input.shape[1:], kernel.shape, strides, wanted, strict=False)
    for axis, (n, k, s, size) in enumerate(bounds, start=1):
        if padding == "SAME":
            first = max((n - 1) * s + k - size, 0) // 2
        else:
            first = 0 if padding == "VALID" else int(padding[axis][0])
        ends.append(slice(first, first + size))
        pads.append((0, max(first + size - x.shape[axis], 0)))
    if np.any(pads):
        x = _OPS.pad(x, [*pads, (0, 0)])
    return x[tuple(ends)]


def _to_batch(input, block_shape, paddings):
    """`tf.space_to_batch`: each of the pixels of a block is an image."""
    block, rank = list(np.ravel(block_shape)), len(np.ravel(block_shape))
    rest = [(0, 0)] * (len(input.shape) - 1 - rank)
    x = _OPS.pad(input, [(0, 0), *np.asarray(paddings).tolist(), *rest])
    counts = [n // b for n, b in zip(x.shape[1:], block, strict=False)]
    pairs = [n for pair in zip(counts, block, strict=True) for n in pair]
    x = _OPS.reshape(x, (-1, *map(int, pairs), *input.shape[rank + 1 :]))
    axes = [*range(2, 2 * rank + 1, 2), 0, *range(1, 2 * rank, 2)]
    x = _OPS.transpose(x, [*axes, *range(2 * rank + 1, len(x.shape))])
    return _OPS.reshape(x, (-1, *map(int, counts), *input.shape[rank + 1 :]))


def _from_batch(input, block_shape, crops):
    """`tf.batch_to_space`: blocks of pixels of as many images."""
    block, rank = list(np.ravel(block_shape)), len(np.ravel(block_shape))
    x = _OPS.reshape(input, (*map(int, block), -1, *input.shape[1:]))
    axes = [rank]
    for i in range(rank):
        axes += [rank + 1 + i, i]
    x = _OPS.transpose(x, [*axes, *range(2 * rank + 1, len(x.shape))])
    whole = [n * b for n, b in zip(input.shape[1:], block, strict=False)]
    x = _OPS.reshape(x, (-1, *map(int, whole), *input.shape[rank + 1 :]))
    bounds = zip(np.asarray(crops).tolist(), whole, strict=True)
    return x[(slice(None), *(slice(a, n - b) for (a, b), n in bounds))]


def _biased(value, bias, data_format=None):
    check_last(data_format, "bias")
    return _OPS.add(*tf_arrays.alike(value, bias))


def _framed(signal, frame_length, frame_step):
    """`tf.signal.frame`, along the last axis."""
    count = (signal.shape[-1] - frame_length) // frame_step + 1
    first = np.arange(count, dtype="int32")[:, None] * frame_step
    places = first + np.arange(frame_length, dtype="int32")
    return _OPS.take(signal, places, axis=-1)


# Functions of sizes that the model may leave open.
SIZED = {
    "nn.conv1d_transpose": _transposed,
    "nn.conv2d_transpose": _transposed,
    "nn.conv3d_transpose": _transposed,
}
WINDOWS = SIZED | {
    "batch_to_space_nd": _from_batch,
    "nn.avg_pool": _pool("Average"),
    "nn.avg_pool1d": _pool("Average"),
    "nn.avg_pool2d": _pool("Average"),
    "nn.avg_pool3d": _pool("Average"),
    "nn.bias_add": _biased,
    "nn.conv1d": _conv1d,
    "nn.conv2d": _conv2d,
    "nn.conv3d": _conv3d,
    "nn.convolution": _any_convolution,
    "nn.depthwise_conv2d": _depthwise,
    "nn.max_pool": _pool("Max"),
    "nn.max_pool1d": _pool("Max"),
    "nn.max_pool2d": _pool("Max"),
    "nn.max_pool3d": _pool("Max"),
    "nn.pool": _any_pool,
    "nn.separable_conv2d": _separable,
    "signal.frame": _framed,
    "space_to_batch_nd": _to_batch,
}
