"""Operations of TensorFlow's graphs, as `keras.ops`."""

import keras
import numpy as np

from tfprune.legacy.operations import sizes
from tfprune.legacy.operations import tf_arrays
from tfprune.legacy.operations import tf_functions
from tfprune.legacy.operations import tf_images
from tfprune.legacy.operations import tf_windows

_OPS = keras.ops


def _select(condition, x, y):
    """As TensorFlow 1 chose: by rows, if the condition has one axis."""
    inner = (1,) * (len(x.shape) - len(condition.shape))
    if inner and len(condition.shape) == 1:
        condition = _OPS.reshape(condition, (-1, *inner))
    return _OPS.where(condition, x, y)


def _divided(x, y):
    """A quotient; that of whole numbers is whole, towards zero."""
    if not all("int" in str(value.dtype) for value in (x, y)):
        return _OPS.true_divide(x, y)
    size = _OPS.floor_divide(_OPS.abs(x), _OPS.abs(y))
    return _OPS.where(_OPS.equal(x < 0, y < 0), size, _OPS.negative(size))


# Ops that take tensors and have no attribute that changes what they compute.
_SAME = {
    "Abs": _OPS.abs,
    "Acos": _OPS.arccos,
    "Acosh": _OPS.arccosh,
    "Add": tf_arrays.add,
    "AddV2": tf_arrays.add,
    "Asin": _OPS.arcsin,
    "Asinh": _OPS.arcsinh,
    "Atan": _OPS.arctan,
    "Atan2": _OPS.arctan2,
    "Atanh": _OPS.arctanh,
    "Ceil": _OPS.ceil,
    "ClipByValue": tf_functions.FUNCTIONS["clip_by_value"],
    "Cos": _OPS.cos,
    "Cosh": _OPS.cosh,
    "Div": _divided,
    "Elu": _OPS.elu,
    "Equal": _OPS.equal,
    "DivNoNan": tf_functions.FUNCTIONS["math.divide_no_nan"],
    "Erf": _OPS.erf,
    "Erfc": tf_functions.FUNCTIONS["math.erfc"],
    "Exp": _OPS.exp,
    "Expm1": _OPS.expm1,
    "Floor": _OPS.floor,
    "FloorDiv": _OPS.floor_divide,
    "FloorMod": _OPS.mod,
    "Greater": _OPS.greater,
    "GreaterEqual": _OPS.greater_equal,
    "Identity": _OPS.copy,  # The layer would keep a mask.
    "IsFinite": _OPS.isfinite,
    "IsInf": _OPS.isinf,
    "IsNan": _OPS.isnan,
    "Less": _OPS.less,
    "LessEqual": _OPS.less_equal,
    "Log": _OPS.log,
    "Log1p": _OPS.log1p,
    "LogSoftmax": _OPS.log_softmax,
    "LogicalAnd": _OPS.logical_and,
    "LogicalNot": _OPS.logical_not,
    "LogicalOr": _OPS.logical_or,
    "Maximum": _OPS.maximum,
    "Minimum": _OPS.minimum,
    "Mul": _OPS.multiply,
    "MulNoNan": tf_functions.FUNCTIONS["math.multiply_no_nan"],
    "Neg": _OPS.negative,
    "NotEqual": _OPS.not_equal,
    "OnesLike": _OPS.ones_like,
    "Pow": _OPS.power,
    "RealDiv": _OPS.true_divide,
    "Reciprocal": _OPS.reciprocal,
    "Relu": _OPS.relu,
    "Relu6": _OPS.relu6,
    "Rint": _OPS.round,
    "Round": _OPS.round,
    "Rsqrt": _OPS.rsqrt,
    "Select": _select,
    "SelectV2": _OPS.where,
    "Selu": _OPS.selu,
    "Sigmoid": _OPS.sigmoid,
    "Sign": _OPS.sign,
    "Sin": _OPS.sin,
    "Sinh": _OPS.sinh,
    "Softmax": _OPS.softmax,
    "Softplus": _OPS.softplus,
    "Softsign": _OPS.softsign,
    "Sqrt": _OPS.sqrt,
    "Square": _OPS.square,
    "SquaredDifference": tf_functions.FUNCTIONS["math.squared_difference"],
    "StopGradient": _OPS.stop_gradient,
    "Sub": _OPS.subtract,
    "Tan": _OPS.tan,
    "Tanh": _OPS.tanh,
    "Xdivy": tf_functions.FUNCTIONS["math.xdivy"],
    "Xlogy": tf_functions.FUNCTIONS["math.xlogy"],
    "ZerosLike": _OPS.zeros_like,
}
_REDUCTIONS = {
    "All": _OPS.all,
    "Any": _OPS.any,
    "Max": _OPS.max,
    "Mean": tf_arrays.mean,
    "Min": _OPS.min,
    "Prod": _OPS.prod,
    "Sum": _OPS.sum,
}


def _list(value):
    return np.ravel(value).tolist()


def _concat(attributes, *inputs):
    *values, axis = inputs
    return tf_arrays.ARRAYS["concat"](values, axis=int(axis))


def _squeeze(attributes, x):
    axes = attributes.get("squeeze_dims", [])
    axes = sorted(a % len(x.shape) for a in axes)
    if not axes:
        return _OPS.squeeze(x)
    for axis in reversed(axes):
        x = _OPS.squeeze(x, axis)
    return x


def _strided_slice(attributes, x, begin, end, strides):
    parts = []
    masks = {
        name: attributes.get(f"{name}_mask", 0)
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    bounds = zip(_list(begin), _list(end), _list(strides), strict=True)
    for i, (start, stop, step) in enumerate(bounds):
        on = {name for name, mask in masks.items() if mask >> i & 1}
        if "ellipsis" in on:
            parts.append(...)
        elif "new_axis" in on:
            parts.append(None)
        elif "shrink_axis" in on:
            parts.append(start)
        else:
            parts.append(
                {
                    "start": None if "begin" in on else start,
                    "stop": None if "end" in on else stop,
                    "step": step,
                }
            )
    return tf_arrays.getitem(x, parts)


def _slice(attributes, x, begin, size):
    bounds = zip(_list(begin), _list(size), strict=True)
    return x[tuple(slice(b, None if n < 0 else b + n) for b, n in bounds)]


def _pad(attributes, x, paddings, value=0):
    return _OPS.pad(x, np.asarray(paddings).tolist(), constant_values=value)


def _mirror_pad(attributes, x, paddings):
    mode = attributes.get("mode", "REFLECT").lower()
    return _OPS.pad(x, np.asarray(paddings).tolist(), mode=mode)


def _matmul(attributes, x, y):
    for name in ("transpose_a", "adj_x"):
        if attributes.get(name):
            x = _OPS.swapaxes(x, -1, -2)
    for name in ("transpose_b", "adj_y"):
        if attributes.get(name):
            y = _OPS.swapaxes(y, -1, -2)
    return _OPS.matmul(x, y)


def _split_sizes(attributes, x, counts, axis):
    return tf_arrays.split(x, _list(counts), int(axis))


def _bias(attributes, x, bias):
    if attributes.get("data_format") == "NCHW":
        bias = _OPS.reshape(bias, (-1, *[1] * (len(x.shape) - 2)))
    return tf_arrays.add(x, bias)


def _unpack(attributes, x):
    if sizes.are_open(x):
        return sizes.listed(x)
    axis = attributes.get("axis", 0)
    return [_OPS.take(x, i, axis=axis) for i in range(attributes["num"])]


def _gather(attributes, x, indices, axis=0):
    if sizes.are_open(x):
        return sizes.array(np.take(x, np.asarray(indices)).tolist())
    dims = attributes.get("batch_dims", 0)
    return tf_arrays.gather(x, indices, int(axis), dims)


def _function(table, name, *keys):
    """A function whose last arguments are attributes, called `keys`."""

    def call(attributes, *inputs):
        given = {key: attributes[key] for key in keys if key in attributes}
        return table[name](*inputs, **given)

    return call


def _cumulative(name):
    call = _function(tf_arrays.ARRAYS, name, "exclusive", "reverse")
    return lambda attributes, x, axis: call(attributes, x, int(axis))


def _one_hot(attributes, indices, depth, on, off):
    axis = attributes.get("axis", -1)
    hot = _OPS.one_hot(indices, int(depth), axis=axis, dtype=str(on.dtype))
    return hot * (on - off) + off


def _top_k(attributes, x, k):
    return _OPS.top_k(x, int(k), sorted=attributes.get("sorted", True))


def _blocks(op):
    def call(attributes, x):
        tf_windows.check_last(attributes.get("data_format"), "block")
        return op(x, attributes["block_size"])

    return call


def _resize(function):
    def resize(attributes, x, size):
        corners = {
            name: attributes.get(name, False)
            for name in ("align_corners", "half_pixel_centers")
        }
        return function(x, _list(size), **corners)

    return resize


def _resize_cubic(attributes, x, size):
    if not attributes.get("half_pixel_centers"):
        raise ValueError(
            "A bicubic resize must have the corners of TensorFlow 2. Received: "
            "half_pixel_centers=False. Build the model in code."
        )
    resize = tf_functions.FUNCTIONS["image.resize"]
    return resize(x, _list(size), "bicubic")


def _window(name, *keys):
    """A function with a window of what `tf.nn` calls `name`."""

    def call(attributes, *inputs):
        given = {key: attributes[key] for key in keys if key in attributes}
        padding = attributes["padding"]
        if padding == "EXPLICIT":
            ends = attributes["explicit_paddings"]
            padding = np.reshape(ends, (-1, 2)).tolist()
        function = tf_windows.WINDOWS[name]
        return function(*inputs, padding=padding, **given)

    return call


_MAPS = ("strides", "data_format", "dilations")
_POOLS = ("ksize", "strides", "data_format")


def _transposed(attributes, shape, kernel, x):
    call = _window("nn.conv2d_transpose", *_MAPS)
    return call(attributes, x, kernel, shape)


def _called(name):
    """A function that takes all that it needs as inputs."""
    return lambda attributes, *inputs: tf_functions.FUNCTIONS[name](*inputs)


def _diagonal(attributes, x, k=0, padding=0):
    return tf_functions.FUNCTIONS["linalg.diag_part"](x, int(k))


def _rolled(attributes, x, shift, axis):
    return _OPS.roll(x, tuple(_list(shift)), tuple(_list(axis)))


# Functions of sizes that the model may leave open, as `tf` calls them.
_OF_SIZES = {
    "FloorDiv": "math.floordiv",
    "Mul": "math.multiply",
    "Prod": "math.reduce_prod",
}
_OTHERS = {
    "ArgMax": lambda a, x, axis: _OPS.argmax(x, axis=int(axis)),
    "ArgMin": lambda a, x, axis: _OPS.argmin(x, axis=int(axis)),
    "AvgPool": _window("nn.avg_pool2d", *_POOLS),
    "AvgPool3D": _window("nn.avg_pool3d", *_POOLS),
    "BatchMatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "BatchToSpaceND": _called("batch_to_space_nd"),
    "BiasAdd": _bias,
    "BroadcastTo": _called("broadcast_to"),
    "Cast": lambda a, x: tf_arrays.ARRAYS["cast"](x, a["DstT"]),
    "ConcatV2": _concat,
    "Conv2D": _window("nn.conv2d", *_MAPS),
    "Conv2DBackpropInput": _transposed,
    "Conv3D": _window("nn.conv3d", *_MAPS),
    "Cumprod": _cumulative("math.cumprod"),
    "Cumsum": _cumulative("math.cumsum"),
    "DepthToSpace": _blocks(_OPS.depth_to_space),
    "DepthwiseConv2dNative": _window("nn.depthwise_conv2d", *_MAPS),
    "Einsum": lambda a, *x: _OPS.einsum(a["equation"], *x),
    "ExpandDims": lambda a, x, axis: _OPS.expand_dims(x, int(axis)),
    "Fill": _called("fill"),
    "GatherNd": _called("gather_nd"),
    "GatherV2": _gather,
    "IdentityN": lambda a, *x: [_OPS.copy(each) for each in x],
    "LRN": _function(
        tf_images.IMAGES,
        "nn.lrn",
        *("depth_radius", "bias", "alpha", "beta"),
    ),
    "LeakyRelu": lambda a, x: _OPS.leaky_relu(x, a.get("alpha", 0.2)),
    "MatMul": _matmul,
    "MatrixBandPart": lambda a, x, *n: tf_functions.FUNCTIONS[
        "linalg.band_part"
    ](x, *map(int, n)),
    "MatrixDiagPart": _diagonal,
    "MatrixDiagPartV2": _diagonal,
    "MatrixDiagPartV3": _diagonal,
    "MaxPool": _window("nn.max_pool2d", *_POOLS),
    "MaxPool3D": _window("nn.max_pool3d", *_POOLS),
    "MirrorPad": _mirror_pad,
    "OneHot": _one_hot,
    "Pack": lambda a, *x: tf_arrays.ARRAYS["stack"](list(x), a.get("axis", 0)),
    "Pad": _pad,
    "PadV2": _pad,
    "Range": lambda a, *bounds: sizes.counted(
        *(x if isinstance(x, sizes.Open) else np.asarray(x)[()] for x in bounds)
    ),
    "Rank": _called("rank"),
    "Reshape": _called("reshape"),
    "ResizeBicubic": _resize_cubic,
    "ResizeBilinear": _resize(tf_images.resize_bilinear),
    "ResizeNearestNeighbor": _resize(tf_images.resize_nearest),
    "ReverseV2": lambda a, x, axis: _OPS.flip(x, tuple(_list(axis))),
    "Roll": _rolled,
    "Shape": _called("shape"),
    "Size": _called("size"),
    "Slice": _slice,
    "SpaceToBatchND": _called("space_to_batch_nd"),
    "SpaceToDepth": _blocks(_OPS.space_to_depth),
    "Split": lambda a, axis, x: _OPS.split(x, a["num_split"], int(axis)),
    "SplitV": _split_sizes,
    "Squeeze": _squeeze,
    "StridedSlice": _strided_slice,
    "Tile": _called("tile"),
    "TopKV2": _top_k,
    "Transpose": lambda a, x, perm: _OPS.transpose(x, _list(perm)),
    "Unpack": _unpack,
}


def call(layer, name, attributes, inputs):
    """Calls an op.

    Args:
        layer: `str`, the name of its layer.
        name: `str`, what TensorFlow calls the op.
        attributes: `dict` of the attributes of its node.
        inputs: list of tensors and arrays.

    Returns:
        A tensor or a list of tensors.

    Raises:
        ValueError: If the op has no translation.
    """
    if name in _OF_SIZES and sizes.are_open(inputs):
        return sizes.computed(_OF_SIZES[name], *inputs)
    if name in _SAME:
        return _SAME[name](*inputs)
    if name in _REDUCTIONS:
        x, axis = inputs
        keep = attributes.get("keep_dims", False)
        return _REDUCTIONS[name](x, axis=tuple(_list(axis)), keepdims=keep)
    if name not in _OTHERS:
        known = sorted([*_SAME, *_REDUCTIONS, *_OTHERS])
        raise ValueError(
            f"The op of layer {layer!r} has no translation. Received: "
            f"TensorFlowOpLayer of {name!r}; known are {', '.join(known)}."
        )
    return _OTHERS[name](attributes, *inputs)
