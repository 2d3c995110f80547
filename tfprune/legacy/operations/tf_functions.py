"""Functions of TensorFlow that old models call, in terms of `keras.ops`.

Keras 2 wrote each of them as a layer of class `TFOpLambda` or
`SlicingOpLambda`, with the function's name and its arguments.
"""

import keras

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


def _l2_normalize(x, axis=None, epsilon=1e-12):
    total = _OPS.sum(_OPS.square(x), axis=_axes(axis), keepdims=True)
    return x * _OPS.rsqrt(_OPS.maximum(total, epsilon))


def _norm(tensor, ord="euclidean", axis=None, keepdims=False):
    if ord not in ("euclidean", 2):
        return _OPS.norm(tensor, ord=ord, axis=_axes(axis), keepdims=keepdims)
    total = _OPS.sum(_OPS.square(tensor), axis=_axes(axis), keepdims=keepdims)
    return _OPS.sqrt(total)


def _gather(params, indices, axis=None, batch_dims=0):
    if batch_dims:
        raise ValueError(
            "A gather must not have batch dimensions. Received: "
            f"batch_dims={batch_dims}. Build the model in code."
        )
    return _OPS.take(params, indices, axis=axis or 0)


def _unstack(value, num=None, axis=0):
    return [_OPS.take(value, i, axis=axis) for i in range(value.shape[axis])]


def _argument(op):
    # Indices are int32 here, which all backends have.
    return lambda input, axis=None, output_type="int64": op(
        input, axis=axis or 0
    )


def _one_hot(
    indices, depth, on_value=None, off_value=None, axis=None, dtype=None
):
    hot = _OPS.one_hot(
        indices,
        depth,
        axis=-1 if axis is None else axis,
        dtype=dtype or "float32",
    )
    on, off = on_value, off_value
    if on is None and off is None:
        return hot
    off = 0.0 if off is None else off
    return hot * ((1.0 if on is None else on) - off) + off


def _swish(features, beta=1.0):
    return features * _OPS.sigmoid(features * beta)


def _no_nan(x, y):
    safe = _OPS.where(_OPS.equal(y, 0), _OPS.ones_like(y), y)
    return _OPS.where(_OPS.equal(y, 0), _OPS.zeros_like(x), x / safe)


_BINARY = {
    "__operators__.add": _OPS.add,
    "math.add": _OPS.add,
    "math.divide": _OPS.true_divide,
    "math.divide_no_nan": _no_nan,
    "math.equal": _OPS.equal,
    "math.floordiv": _OPS.floor_divide,
    "math.floormod": _OPS.mod,
    "math.greater": _OPS.greater,
    "math.greater_equal": _OPS.greater_equal,
    "math.less": _OPS.less,
    "math.less_equal": _OPS.less_equal,
    "math.logical_and": _OPS.logical_and,
    "math.logical_or": _OPS.logical_or,
    "math.maximum": _OPS.maximum,
    "math.minimum": _OPS.minimum,
    "math.mod": _OPS.mod,
    "math.multiply": _OPS.multiply,
    "math.not_equal": _OPS.not_equal,
    "math.pow": _OPS.power,
    "math.squared_difference": lambda x, y: _OPS.square(x - y),
    "math.subtract": _OPS.subtract,
    "math.truediv": _OPS.true_divide,
}
_UNARY = {
    "identity": lambda x: keras.layers.Identity()(x),
    "math.abs": _OPS.abs,
    "math.ceil": _OPS.ceil,
    "math.cos": _OPS.cos,
    "math.erf": _OPS.erf,
    "math.exp": _OPS.exp,
    "math.expm1": _OPS.expm1,
    "math.floor": _OPS.floor,
    "math.log": _OPS.log,
    "math.log1p": _OPS.log1p,
    "math.log_sigmoid": _OPS.log_sigmoid,
    "math.logical_not": _OPS.logical_not,
    "math.negative": _OPS.negative,
    "math.reciprocal": _OPS.reciprocal,
    "math.round": _OPS.round,
    "math.rsqrt": _OPS.rsqrt,
    "math.sigmoid": _OPS.sigmoid,
    "math.sign": _OPS.sign,
    "math.sin": _OPS.sin,
    "math.softplus": _OPS.softplus,
    "math.softsign": _OPS.softsign,
    "math.sqrt": _OPS.sqrt,
    "math.square": _OPS.square,
    "math.tan": _OPS.tan,
    "math.tanh": _OPS.tanh,
    "nn.elu": _OPS.elu,
    "nn.relu": _OPS.relu,
    "nn.relu6": _OPS.relu6,
    "nn.selu": _OPS.selu,
    "nn.sigmoid": _OPS.sigmoid,
    "nn.softplus": _OPS.softplus,
    "nn.softsign": _OPS.softsign,
    "nn.tanh": _OPS.tanh,
    "ones_like": _OPS.ones_like,
    "stop_gradient": _OPS.stop_gradient,
    "zeros_like": _OPS.zeros_like,
}
_REDUCTIONS = {
    "math.reduce_mean": _OPS.mean,
    "math.reduce_sum": _OPS.sum,
    "math.reduce_max": _OPS.max,
    "math.reduce_min": _OPS.min,
    "math.reduce_prod": _OPS.prod,
    "math.reduce_all": _OPS.all,
    "math.reduce_any": _OPS.any,
    "math.reduce_euclidean_norm": lambda x, axis, keepdims: _norm(
        x, axis=axis, keepdims=keepdims
    ),
    "math.reduce_logsumexp": _OPS.logsumexp,
    "math.reduce_std": _OPS.std,
    "math.reduce_variance": _OPS.var,
}

# Function names as Keras 2 wrote them. The first argument is given by
# position, the others by the names that TensorFlow has for them.
FUNCTIONS = (
    {name: _binary(op) for name, op in _BINARY.items()}
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
        "nn.silu": _swish,
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
        "compat.v1.gather": _gather,
        "gather": _gather,
        "linalg.l2_normalize": _l2_normalize,
        "linalg.norm": _norm,
        # Its second operand is called x.
        "math.atan2": lambda y, x: _OPS.arctan2(y, x),
        "math.add_n": lambda inputs: sum(inputs[1:], start=inputs[0]),
        "math.argmax": _argument(_OPS.argmax),
        "math.argmin": _argument(_OPS.argmin),
        "math.cumsum": lambda x, axis=0: _OPS.cumsum(x, axis),
        "math.l2_normalize": _l2_normalize,
        "math.scalar_mul": lambda scalar, x: scalar * x,
        "nn.l2_normalize": _l2_normalize,
        "nn.log_softmax": lambda logits, axis=-1: _OPS.log_softmax(
            logits, axis
        ),
        "norm": _norm,
        "one_hot": _one_hot,
        "reverse": lambda tensor, axis: _OPS.flip(tensor, axis),
        "unstack": _unstack,
        "where": lambda condition, x, y: _OPS.where(condition, x, y),
        "compat.v1.norm": _norm,
        "nn.swish": _swish,
    }
)
