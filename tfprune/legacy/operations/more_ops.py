"""More functions of TensorFlow that old models call, as `keras.ops`.

Names and arguments are those of TensorFlow; the first argument is given by
position.
"""

import keras

_OPS = keras.ops


def _axes(axis):
    return tuple(axis) if isinstance(axis, list) else axis


def _reduction(op):
    return lambda x, axis=None, keepdims=False: op(
        x, axis=_axes(axis), keepdims=keepdims
    )


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


def _no_nan(x, y):
    safe = _OPS.where(_OPS.equal(y, 0), _OPS.ones_like(y), y)
    return _OPS.where(_OPS.equal(y, 0), _OPS.zeros_like(x), x / safe)


_BINARY = {
    "math.equal": _OPS.equal,
    "math.floordiv": _OPS.floor_divide,
    "math.floormod": _OPS.mod,
    "math.greater": _OPS.greater,
    "math.greater_equal": _OPS.greater_equal,
    "math.less": _OPS.less,
    "math.less_equal": _OPS.less_equal,
    "math.logical_and": _OPS.logical_and,
    "math.logical_or": _OPS.logical_or,
    "math.not_equal": _OPS.not_equal,
    "math.divide_no_nan": _no_nan,
    "math.mod": _OPS.mod,
    "math.atan2": _OPS.arctan2,
}
_UNARY = {
    "math.ceil": _OPS.ceil,
    "math.cos": _OPS.cos,
    "math.erf": _OPS.erf,
    "math.expm1": _OPS.expm1,
    "math.floor": _OPS.floor,
    "math.log1p": _OPS.log1p,
    "math.log_sigmoid": _OPS.log_sigmoid,
    "math.logical_not": _OPS.logical_not,
    "math.reciprocal": _OPS.reciprocal,
    "math.round": _OPS.round,
    "math.sign": _OPS.sign,
    "math.sin": _OPS.sin,
    "math.softsign": _OPS.softsign,
    "math.tan": _OPS.tan,
    "nn.softplus": _OPS.softplus,
    "nn.softsign": _OPS.softsign,
    "ones_like": _OPS.ones_like,
    "stop_gradient": _OPS.stop_gradient,
    "zeros_like": _OPS.zeros_like,
}
_REDUCTIONS = {
    "math.reduce_all": _OPS.all,
    "math.reduce_any": _OPS.any,
    "math.reduce_euclidean_norm": lambda x, axis, keepdims: _norm(
        x, axis=axis, keepdims=keepdims
    ),
    "math.reduce_logsumexp": _OPS.logsumexp,
    "math.reduce_std": _OPS.std,
    "math.reduce_variance": _OPS.var,
}

FUNCTIONS = (
    {name: lambda x, y, op=op: op(x, y) for name, op in _BINARY.items()}
    | {name: lambda x, op=op: op(x) for name, op in _UNARY.items()}
    | {name: _reduction(op) for name, op in _REDUCTIONS.items()}
    | {
        "compat.v1.gather": _gather,
        "gather": _gather,
        "linalg.l2_normalize": _l2_normalize,
        "linalg.norm": _norm,
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
    }
)
# Other names in TensorFlow's registry.
FUNCTIONS |= {
    "compat.v1.norm": _norm,
    "nn.swish": lambda features, beta=1.0: (
        features * _OPS.sigmoid(features * beta)
    ),
}
