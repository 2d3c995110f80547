"""Activation functions, and whether they act elementwise."""

import inspect

import keras

ELEMENTWISE = frozenset(
    "linear relu relu6 elu selu gelu silu swish sigmoid tanh softplus softsign "
    "exponential hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu celu "
    "mish log_sigmoid tanh_shrink soft_shrink hard_shrink squareplus "
    "threshold sparse_sigmoid sparse_plus".split()
)

# Unary elementwise ops.
OPS = (
    "Absolute Arccos Arccosh Arcsin Arcsinh Arctan Arctanh Cbrt Ceil Celu Clip "
    "Conjugate ConvertToTensor Copy Cos Cosh Deg2rad Elu Erf Erfc Erfinv Exp "
    "Exp2 Expm1 Fabs Floor Gelu HardShrink HardSigmoid HardSilu HardTanh I0 "
    "Isfinite Isinf Isnan Isneginf Isposinf LeakyRelu Log Log10 Log1p Log2 "
    "LogSigmoid LogicalNot NanToNum Negative OnesLike Rad2deg Reciprocal Relu "
    "Relu6 Round Rsqrt SaturateCast Selu Sigmoid Sign Signbit Silu Sin Sinh "
    "SoftShrink Softplus Softsign SparsePlus SparseSigmoid Sqrt Sinc Square "
    "Squareplus StopGradient Tan Tanh TanhShrink Threshold Trunc ZerosLike "
    "Cast Angle Imag Isreal Real"
).split()

# Layers that may be an activation.
LAYERS = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU)

# Binary elementwise ops.
BINARY = "Add Subtract Multiply Divide TrueDivide Power Maximum Minimum".split()


def activate(call, labels, key="activation"):
    """Passes labels through the activation that the layer's config names.

    Freezes the channels if the activation mixes them, as softmax does, or if
    it is a function that cannot be shown to be elementwise.

    Returns:
        `labels`.
    """
    return activate_as(call, labels, call.live, key, call.config)


def activate_as(call, labels, live, key="activation", config=None):
    """Like `activate`, but for the activation of another layer, `live`."""
    config = live.get_config() if config is None else config
    name = config.get(key)
    if isinstance(name, dict):
        # A lambda has neither.
        name = name.get("registered_name") or name.get("class_name", "lambda")
    function = getattr(live, key, None)
    # A function of the user's own may be called as one of Keras is.
    own = inspect.isfunction(function) and not _of_keras(function)
    if name is None or (name in ELEMENTWISE and not own):
        return labels
    if not callable(function) or not _elementwise(function):
        layer = isinstance(function, keras.layers.Layer)
        why = "is a layer of its own" if layer else "mixes channels"
        call.freeze(labels, f"activation {name!r} {why}")
    return labels


def _elementwise(function):
    """Whether a function consists of elementwise Keras ops alone."""
    if isinstance(function, keras.layers.Layer):
        # A call would build it, for these sizes.
        return type(function) in LAYERS
    x = keras.Input((2, 19))
    try:
        operations = keras.Model(x, function(x)).operations[1:]
    except Exception:  # Not made of Keras ops, so it may do anything.
        return False
    return all(
        type(op).__name__ in (*OPS, *BINARY) and op.output.shape == x.shape
        for op in operations
    )


def _of_keras(function):
    return (function.__module__ or "").startswith("keras.")
