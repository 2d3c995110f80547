"""Functions of TensorFlow that old models call, in terms of `keras.ops`.

Keras 2 wrote each of them as a layer of class `TFOpLambda` or
`SlicingOpLambda`, with the function's name and its arguments.
"""

import keras

from tfprune.legacy.operations import more_ops

_OPS = keras.ops


def _binary(op):
    return lambda x, y: op(x, y)


def _unary(op):
    return lambda x: op(x)


def _reduction(op):
    return lambda x, axis=None, keepdims=False: op(
        x, axis=_axes(axis), keepdims=keepdims
    )


def _axes(axis):
    return tuple(axis) if isinstance(axis, list) else axis


def _split(value, num_or_size_splits, axis=0):
    if isinstance(num_or_size_splits, int):
        return _OPS.split(value, num_or_size_splits, axis)
    bounds, total = [], 0
    for size in num_or_size_splits[:-1]:
        total += size
        bounds.append(total)
    return _OPS.split(value, bounds, axis)


def _transpose(a, perm=None, conjugate=False):
    return _OPS.transpose(a, perm)


def _matmul(a, b, transpose_a=False, transpose_b=False):
    if transpose_a:
        a = _OPS.swapaxes(a, -1, -2)
    return _OPS.matmul(a, _OPS.swapaxes(b, -1, -2) if transpose_b else b)


def _getitem(x, slice_spec):
    parts = [
        slice(part["start"], part["stop"], part["step"])
        if isinstance(part, dict)
        else part
        for part in slice_spec
    ]
    return x[tuple(parts)]


def _resize(
    images,
    size,
    method="bilinear",
    preserve_aspect_ratio=False,
    antialias=False,
):
    if preserve_aspect_ratio:
        raise ValueError(
            "Images must be resized to a fixed size. Received: tf."
            "image.resize with preserve_aspect_ratio=True, which has no "
            "translation. Build the model in code."
        )
    return _OPS.image.resize(
        images, tuple(size), interpolation=method, antialias=antialias
    )


def _cast(x, dtype):
    return _OPS.cast(x, dtype)


_BINARY = {
    "__operators__.add": _OPS.add,
    "math.add": _OPS.add,
    "math.subtract": _OPS.subtract,
    "math.multiply": _OPS.multiply,
    "math.truediv": _OPS.true_divide,
    "math.divide": _OPS.true_divide,
    "math.maximum": _OPS.maximum,
    "math.minimum": _OPS.minimum,
    "math.pow": _OPS.power,
    "math.squared_difference": lambda x, y: _OPS.square(x - y),
}
_UNARY = {
    "math.abs": _OPS.abs,
    "math.exp": _OPS.exp,
    "math.log": _OPS.log,
    "math.negative": _OPS.negative,
    "math.rsqrt": _OPS.rsqrt,
    "math.sigmoid": _OPS.sigmoid,
    "math.softplus": _OPS.softplus,
    "math.sqrt": _OPS.sqrt,
    "math.square": _OPS.square,
    "math.tanh": _OPS.tanh,
    "nn.relu": _OPS.relu,
    "nn.relu6": _OPS.relu6,
    "nn.elu": _OPS.elu,
    "nn.selu": _OPS.selu,
    "nn.sigmoid": _OPS.sigmoid,
    "nn.tanh": _OPS.tanh,
    "identity": lambda x: keras.layers.Identity()(x),
}
_REDUCTIONS = {
    "math.reduce_mean": _OPS.mean,
    "math.reduce_sum": _OPS.sum,
    "math.reduce_max": _OPS.max,
    "math.reduce_min": _OPS.min,
    "math.reduce_prod": _OPS.prod,
}

# Function names as Keras 2 wrote them. The first argument is given by
# position, the others by the names that TensorFlow has for them.
FUNCTIONS = (
    more_ops.FUNCTIONS
    | {name: _binary(op) for name, op in _BINARY.items()}
    | {name: _unary(op) for name, op in _UNARY.items()}
    | {name: _reduction(op) for name, op in _REDUCTIONS.items()}
    | {
        "__operators__.getitem": _getitem,
        "cast": _cast,
        "clip_by_value": lambda t, clip_value_min, clip_value_max: _OPS.clip(
            t, clip_value_min, clip_value_max
        ),
        "concat": lambda values, axis: _OPS.concatenate(values, axis),
        "expand_dims": lambda input, axis: _OPS.expand_dims(input, axis),
        "image.resize": _resize,
        "nn.gelu": lambda features, approximate=False: _OPS.gelu(
            features, approximate
        ),
        "nn.leaky_relu": lambda features, alpha=0.2: _OPS.leaky_relu(
            features, alpha
        ),
        "nn.silu": lambda features, beta=1.0: (
            features * _OPS.sigmoid(features * beta)
        ),
        "nn.softmax": lambda logits, axis=-1: _OPS.softmax(logits, axis),
        "linalg.matmul": _matmul,
        "pad": lambda tensor, paddings, constant_values=0: _OPS.pad(
            tensor, paddings, constant_values=constant_values
        ),
        "reshape": lambda tensor, shape: _OPS.reshape(tensor, shape),
        "split": _split,
        "squeeze": lambda input, axis=None: _OPS.squeeze(input, axis),
        "stack": lambda values, axis=0: _OPS.stack(values, axis),
        "tile": lambda input, multiples: _OPS.tile(input, multiples),
        "transpose": _transpose,
    }
)
