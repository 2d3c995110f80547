"""Functions of TensorFlow that old models call, in terms of `keras.ops`.

Keras 2 wrote each of them as a layer of class `TFOpLambda` or
`SlicingOpLambda`, with the function's name and its arguments.
"""

import inspect

import keras
import numpy as np

from tfprune.legacy.operations import sizes
from tfprune.legacy.operations import tf_arrays
from tfprune.legacy.operations import tf_images
from tfprune.legacy.operations import tf_windows

_OPS = keras.ops


def _binary(op):
    return lambda x, y: op(*tf_arrays.alike(x, y))


def _unary(op):
    return lambda x: op(x)


def _reduction(op):
    return lambda x, axis=None, keepdims=False: op(
        x, axis=tf_arrays.axes(axis), keepdims=keepdims
    )


def _l2_normalize(x, axis=None, epsilon=1e-12):
    total = _OPS.sum(_OPS.square(x), axis=tf_arrays.axes(axis), keepdims=True)
    return x * _OPS.rsqrt(_OPS.maximum(total, epsilon))


def _norm(tensor, ord="euclidean", axis=None, keepdims=False):
    if ord not in ("euclidean", 2):
        return _OPS.norm(
            tensor, ord=ord, axis=tf_arrays.axes(axis), keepdims=keepdims
        )
    squares = _OPS.square(tensor)
    total = _OPS.sum(squares, axis=tf_arrays.axes(axis), keepdims=keepdims)
    return _OPS.sqrt(total)


def _normalize(tensor, ord="euclidean", axis=None):
    norm = _norm(tensor, ord, axis, keepdims=True)
    return tensor / norm, norm


def _clipped(t, clip_norm, axes=None):
    norm = _norm(t, axis=axes, keepdims=True)
    return t * clip_norm / _OPS.maximum(norm, clip_norm)


def _between(t, clip_value_min, clip_value_max):
    if not any(map(tf_arrays.symbolic, (clip_value_min, clip_value_max))):
        bounds = map(np.asarray, (clip_value_min, clip_value_max))
        return _OPS.clip(t, *(bound.tolist() for bound in bounds))
    lower, higher = tf_arrays.alike(t, clip_value_min, clip_value_max)[1:]
    return _OPS.maximum(_OPS.minimum(t, higher), lower)


def _argument(op):
    # Indices are int32 here, which all backends have.
    return lambda input, axis=None, output_type="int64": op(
        input, axis=axis or 0
    )


def _along(op):
    # Without an axis it is the last one here, and all of them in Keras.
    return lambda logits, axis=None: op(logits, -1 if axis is None else axis)


def _same(op):
    return lambda self, other: op(*tf_arrays.alike(self, other))


def _swish(features, beta=1.0):
    return features * _OPS.sigmoid(features * beta)


def _no_nan(x, y):
    safe = _OPS.where(_OPS.equal(y, 0), _OPS.ones_like(y), y)
    found = _OPS.true_divide(x, safe)
    return _OPS.where(_OPS.equal(y, 0), _OPS.zeros_like(x), found)


def _only_with(op):
    """A function of x and y that is 0 where x is 0, whatever y is."""

    def call(x, y):
        kept = _OPS.not_equal(x, 0)
        safe = _OPS.where(kept, y, _OPS.ones_like(y))
        return _OPS.where(kept, op(x, safe), _OPS.zeros_like(y))

    return call


def _polynomial(coeffs, x):
    y = _OPS.zeros_like(x)
    for number, coefficient in enumerate(coeffs):
        y = (y * x if number else y) + coefficient
    return y


def _share_of_zeros(value, dtype="float32"):
    return _OPS.mean(_OPS.cast(_OPS.equal(value, 0), dtype))


_BINARY = {
    "__operators__.add": tf_arrays.add,
    "math.add": tf_arrays.add,
    "math.divide": _OPS.true_divide,
    "math.divide_no_nan": _no_nan,
    "math.equal": _OPS.equal,
    "floor_div": _OPS.floor_divide,
    "math.floordiv": _OPS.floor_divide,
    "math.floormod": _OPS.mod,
    "math.greater": _OPS.greater,
    "math.greater_equal": _OPS.greater_equal,
    "math.less": _OPS.less,
    "math.less_equal": _OPS.less_equal,
    "math.logical_and": _OPS.logical_and,
    "math.logical_or": _OPS.logical_or,
    "math.logical_xor": _OPS.logical_xor,
    "math.maximum": _OPS.maximum,
    "math.minimum": _OPS.minimum,
    "math.mod": _OPS.mod,
    "math.multiply": _OPS.multiply,
    "math.multiply_no_nan": lambda x, y: _only_with(_OPS.multiply)(y, x),
    "math.not_equal": _OPS.not_equal,
    "math.pow": _OPS.power,
    "math.squared_difference": lambda x, y: _OPS.square(_OPS.subtract(x, y)),
    "math.subtract": _OPS.subtract,
    "math.truediv": _OPS.true_divide,
    "math.xdivy": _only_with(_OPS.true_divide),
    "math.xlogy": _only_with(lambda x, y: _OPS.multiply(x, _OPS.log(y))),
}
_UNARY = {
    "identity": _OPS.copy,  # The layer would keep a mask.
    "math.abs": _OPS.abs,
    "math.acos": _OPS.arccos,
    "math.acosh": _OPS.arccosh,
    "math.asin": _OPS.arcsin,
    "math.asinh": _OPS.arcsinh,
    "math.atan": _OPS.arctan,
    "math.atanh": _OPS.arctanh,
    "math.ceil": _OPS.ceil,
    "math.cos": _OPS.cos,
    "math.cosh": _OPS.cosh,
    "math.erf": _OPS.erf,
    "math.erfc": lambda x: 1 - _OPS.erf(x),
    "math.erfinv": _OPS.erfinv,
    "math.exp": _OPS.exp,
    "math.expm1": _OPS.expm1,
    "math.floor": _OPS.floor,
    "math.is_finite": _OPS.isfinite,
    "math.is_inf": _OPS.isinf,
    "math.is_nan": _OPS.isnan,
    "math.log": _OPS.log,
    "math.log1p": _OPS.log1p,
    "math.log_sigmoid": _OPS.log_sigmoid,
    "math.logical_not": _OPS.logical_not,
    "math.negative": _OPS.negative,
    "math.reciprocal": _OPS.reciprocal,
    "math.rint": _OPS.round,
    "math.round": _OPS.round,
    "math.rsqrt": _OPS.rsqrt,
    "math.sigmoid": _OPS.sigmoid,
    "math.sign": _OPS.sign,
    "math.sin": _OPS.sin,
    "math.sinh": _OPS.sinh,
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
    "math.reduce_mean": tf_arrays.mean,
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

# Function names as Keras 2 wrote them, without a prefix compat.v1. The first
# argument is given by position, the others by the names that TensorFlow has for
# them.
FUNCTIONS = (
    {name: _binary(op) for name, op in _BINARY.items()}
    | {name: _unary(op) for name, op in _UNARY.items()}
    | {name: _reduction(op) for name, op in _REDUCTIONS.items()}
    | tf_arrays.ARRAYS
    | tf_images.IMAGES
    | tf_windows.WINDOWS
    | {
        "__operators__.eq": _same(_OPS.equal),
        "__operators__.ne": _same(_OPS.not_equal),
        "clip_by_norm": _clipped,
        "clip_by_value": _between,
        "linalg.l2_normalize": _l2_normalize,
        "linalg.norm": _norm,
        "linalg.normalize": _normalize,
        "math.accumulate_n": lambda inputs, shape=None, tensor_dtype=None: sum(
            inputs[1:], start=inputs[0]
        ),
        "math.add_n": lambda inputs: sum(inputs[1:], start=inputs[0]),
        "math.argmax": _argument(_OPS.argmax),
        "math.argmin": _argument(_OPS.argmin),
        # Its second operand is called x.
        "math.atan2": lambda y, x: _OPS.arctan2(y, x),
        "math.l2_normalize": _l2_normalize,
        "math.polyval": _polynomial,
        "math.scalar_mul": lambda scalar, x: _OPS.multiply(scalar, x),
        "math.zero_fraction": _share_of_zeros,
        "nn.crelu": lambda features, axis=-1: _OPS.concatenate(
            [_OPS.relu(features), _OPS.relu(-features)], axis
        ),
        "nn.gelu": lambda features, approximate=False: _OPS.gelu(
            features, approximate
        ),
        "nn.l2_normalize": _l2_normalize,
        "nn.leaky_relu": lambda features, alpha=0.2: _OPS.leaky_relu(
            features, alpha
        ),
        "nn.log_softmax": _along(_OPS.log_softmax),
        "nn.silu": _swish,
        "nn.softmax": _along(_OPS.softmax),
        "nn.swish": _swish,
        "norm": _norm,
    }
)


def call(entry, args, kwargs):
    """Calls the function of a `TFOpLambda` or `SlicingOpLambda`.

    Args:
        entry: `dict`, the layer's entry.
        args, kwargs: what the file passes: symbolic tensors, constants, and
            sizes as `sizes.shape` returns them.

    Returns:
        What the function returns; without symbolic tensors an array.

    Raises:
        ValueError: If the function, or an argument, has no translation.
    """
    name = entry["config"]["function"].removeprefix("compat.v1.")
    if name == "einsum":
        raise _without_tensors(entry, "only the equation")
    if name not in FUNCTIONS:
        raise ValueError(
            f"The function tf.{name} of layer {entry['name']!r} has no "
            f"translation. Received: TFOpLambda of {name!r}; known are "
            f"{', '.join(sorted(FUNCTIONS))}."
        )
    function = FUNCTIONS[name]
    taken = set(inspect.signature(function).parameters)
    kwargs = {
        k: v
        for k, v in kwargs.items()
        if k != "name" and (v is not None or k in taken)
    }
    unknown = set(kwargs) - taken
    if unknown:
        raise ValueError(
            f"An argument of tf.{name} has no counterpart in Keras 3. "
            f"Received: {sorted(unknown)} in layer {entry['name']!r}. "
            "Build the model in code."
        )
    _check_operands(function, entry, args, kwargs)
    sized = name in tf_arrays.SIZED or name in tf_windows.SIZED
    if sizes.are_open([args, kwargs]) and not sized:
        return sizes.computed(name, *args, **kwargs)
    return keras.tree.map_structure(tf_arrays.known, function(*args, **kwargs))


def _check_operands(function, entry, args, kwargs):
    """Raises where Keras 2 wrote one operand of several, as of `x == y`."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        raise _without_tensors(entry, "not all of them") from None


def _without_tensors(entry, what):
    return ValueError(
        "The tensors of a function must be in the file. Received: "
        f"tf.{entry['config']['function']} of layer {entry['name']!r}, of "
        f"which Keras 2 wrote {what}. Build the model in code."
    )
