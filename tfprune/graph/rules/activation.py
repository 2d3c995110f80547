"""Which activation functions act on each channel by itself."""

import keras

ELEMENTWISE = frozenset(
    "linear relu relu6 elu selu gelu silu swish sigmoid tanh softplus softsign "
    "exponential hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu celu "
    "mish log_sigmoid tanh_shrink soft_shrink hard_shrink squareplus "
    "threshold sparse_sigmoid sparse_plus".split()
)

# Ops of one tensor that treat every element by itself.
OPS = (
    "Absolute Arccos Arccosh Arcsin Arcsinh Arctan Arctanh Cbrt Ceil Celu "
    "Clip Conjugate Copy Cos Cosh Deg2rad Elu Erf Erfc Erfinv Exp Exp2 Expm1 "
    "Fabs Floor Gelu HardShrink HardSigmoid HardSilu HardTanh Isfinite Isinf "
    "Isnan LeakyRelu Log Log10 Log1p Log2 LogSigmoid LogicalNot NanToNum "
    "Negative OnesLike Rad2deg Reciprocal Relu Relu6 Round Rsqrt Selu Sigmoid "
    "Sign Silu Sin Sinh SoftShrink Softplus Softsign SparsePlus SparseSigmoid "
    "Sqrt Sinc Square Squareplus StopGradient Tan Tanh TanhShrink Threshold "
    "Trunc ZerosLike Cast"
).split()

# Ops of two operands that do.
BINARY = "Add Subtract Multiply Divide TrueDivide Power Maximum Minimum".split()


def activate(call, labels, key="activation"):
    """Passes labels through the activation that a layer's config names.

    Channels that meet in the activation (softmax), or pass through a function
    that is not known, stay.

    Returns:
        `labels`.
    """
    return activate_as(call, labels, call.live, key, call.config)


def activate_as(call, labels, live, key="activation", config=None):
    """As `activate`, through the activation of a layer that `live` is."""
    config = live.get_config() if config is None else config
    name = config.get(key)
    if isinstance(name, dict):
        name = name.get("registered_name") or name["class_name"]
    if name is None or name in ELEMENTWISE:
        return labels
    function = getattr(live, key, None)
    if not callable(function) or not _elementwise(function):
        call.freeze(labels, f"activation {name!r} mixes channels")
    return labels


def _elementwise(function):
    """Whether a function is made of ops that act on each element."""
    x = keras.Input((2, 19))
    try:
        operations = keras.Model(x, function(x)).operations[1:]
    except Exception:  # Not made of Keras ops: nothing is known of it.
        return False
    return all(
        type(op).__name__ in (*OPS, *BINARY) and op.output.shape == x.shape
        for op in operations
    )
