"""Layers and activations that are several ops in an int8 file.

Read off exported files. What has a kernel of multiply-adds, `core_steps` knows.
"""

# A function that no kernel has becomes a table, whose rows are looked up; the
# addition is one of integers.
_INT32 = "/INT32"
TABLE = ("CAST", f"ADD{_INT32}", "GATHER")
_SCALED = ("MEAN", "RSQRT", "MUL", "MUL")
HEADS = ("RESHAPE", "MUL", "SOFTMAX")
LAYERS = {
    "Embedding": ("GATHER",),
    "Flatten": ("RESHAPE",),
    "GetItem": ("STRIDED_SLICE",),
    "GroupNormalization": (
        *("RESHAPE", "MEAN", *TABLE, "SUB", *TABLE, *_SCALED, "ADD"),
        "RESHAPE",
    ),
    "LayerNormalization": (
        *("MEAN", *TABLE, "SQUARED_DIFFERENCE", *_SCALED, "ADD"),
    ),
    "LeakyReLU": ("LEAKY_RELU",),
    "Permute": ("TRANSPOSE",),
    "RMSNormalization": (*TABLE, *_SCALED),
    "Reshape": ("RESHAPE",),
    "Transpose": ("TRANSPOSE",),
    "UnitNormalization": (*TABLE, "SUM", "RSQRT", "MINIMUM", "MUL"),
}
ACTIVATIONS = {
    "celu": TABLE,
    "elu": TABLE,
    "exponential": TABLE,
    "gelu": TABLE,
    "hard_sigmoid": ("MUL",),
    "hard_silu": ("HARD_SWISH",),
    "hard_tanh": (),
    "leaky_relu": ("LEAKY_RELU",),
    "linear": (),
    "log_softmax": ("LOG_SOFTMAX",),
    "mish": TABLE,
    "relu": (),  # part of the kernel before it
    "relu6": (),
    "selu": TABLE,
    "sigmoid": ("LOGISTIC",),
    "silu": ("LOGISTIC", "MUL"),
    "softmax": ("SOFTMAX",),
    "softplus": TABLE,
    "softsign": TABLE,
    "tanh": ("TANH",),
    "tanh_shrink": ("TANH", "SUB"),
}
# Keras names ops as these functions, but for underscores; more are looked up.
_LOOKED_UP = (
    "cbrt ceil cos erf exp exp2 expm1 floor hardshrink log log10 log1p log2 "
    "logsigmoid negative reciprocal round sign sin softshrink sparseplus "
    "sparsesigmoid sqrt square squareplus threshold trunc"
).split()
_BY_VALUE = {
    "absolute": ("ABS",),
    "rsqrt": ("RSQRT",),
    **dict.fromkeys(_LOOKED_UP, TABLE),
    **{name.replace("_", ""): ops for name, ops in ACTIVATIONS.items()},
}
# Ops that have a number for each row, not for each of its values.
_OF_ROWS = {"RSQRT", "MINIMUM"}
_SUMS = {"MEAN", "SUM"}
_JOINED = {"ADD", "MUL", "SUB"}


def of_layer(layer, rank):
    """The ops of a layer that no rule names.

    Args:
        layer: a Keras layer.
        rank: `int`, how many axes its output has.

    Returns:
        Tuple of `str`, empty if they are not known.
    """
    kind = type(layer).__name__
    if kind == "UnitNormalization":
        axes = layer.axis if isinstance(layer.axis, list) else [layer.axis]
        if [axis % rank for axis in axes] == [rank - 1]:
            return ("L2_NORMALIZATION",)
    return LAYERS.get(kind, ())


def alone(layer):
    """The ops of an activation that is a layer or an op by itself.

    Args:
        layer: a Keras layer or op, such as that of `keras.ops.silu`.

    Returns:
        Tuple of `str`; `None` if it is none of these.
    """
    kind = type(layer).__name__.lower()
    return _relu(layer) if kind == "relu" else _BY_VALUE.get(kind)


def _relu(layer):
    """The ops of a ReLU; not all are part of the kernel before them."""
    most = getattr(layer, "max_value", None)
    slope = getattr(layer, "negative_slope", 0)
    if getattr(layer, "threshold", 0) or (slope and most is not None):
        return TABLE
    if slope:
        return ("LEAKY_RELU",)
    return () if most in (None, 6) else ("MINIMUM", "RELU")


def parts(names, places, channels):
    """The sizes of ops that compute a tensor together.

    Args:
        names: those of the ops, as the tables above have them.
        places, channels: `int`, of the tensor.

    Yields:
        `dict` of the arguments of an `OpSize`.
    """
    # A single number is joined value by value where both are compared.
    joined = {"MINIMUM", *(_JOINED if len(names) > 2 else ())}
    for name in names:
        kind, _, way = name.partition("/")
        one = kind in _SUMS or (kind in _OF_ROWS and len(names) > 2)
        yield {
            "kind": kind,
            "places": places,
            "window": channels if kind in _SUMS else 1,
            "reads": channels,
            "writes": 1 if one else channels,
            # With what a row has in common.
            "broadcast": kind in joined and not way and not one,
            "way": way,
        }


def kinds(names):
    """The kinds of ops, a set of `str`, as the schema of TFLite names them."""
    return {name.partition("/")[0] for name in names}
