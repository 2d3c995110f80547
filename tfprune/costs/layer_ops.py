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
    "softsign": ("ABS", "ADD", "DIV"),
    "tanh": ("TANH",),
    "tanh_shrink": ("TANH", "SUB"),
}
# Ops that have a number for each row, not for each of its values.
_OF_ROWS = {"RSQRT", "MINIMUM"}
_SUMS = {"MEAN", "SUM"}
_JOINED = {"ADD", "MUL", "SUB"}


def parts(names, places, channels):
    """The sizes of ops that compute a tensor together.

    Args:
        names: those of the ops, as the tables above have them.
        places, channels: `int`, of the tensor.

    Yields:
        `dict` of the arguments of an `OpSize`.
    """
    for name in names:
        kind, _, way = name.partition("/")
        one = kind in _OF_ROWS or kind in _SUMS
        yield {
            "kind": kind,
            "places": places,
            "window": channels if kind in _SUMS else 1,
            "reads": channels,
            "writes": 1 if one else channels,
            # With what a row has in common.
            "broadcast": kind in _JOINED and not way and len(names) > 2,
            "way": way,
        }


def kinds(names):
    """The kinds of ops, a set of `str`, as the schema of TFLite names them."""
    return {name.partition("/")[0] for name in names}
