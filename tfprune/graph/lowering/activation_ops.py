"""The ops of a .tflite file of integers that activations become.

Read off exported files.
"""

import keras

from tfprune.graph.lowering import file_op

_RELUS = {"relu", "relu6", "hard_tanh"}
# What changes no number of the file.
_NOTHING = {
    *("cast", "conjugate", "convert_to_tensor", "copy", "linear"),
    *("saturate_cast", "stop_gradient"),
}
_ONE = {
    "absolute": "ABS",
    "celu": file_op.CELU,
    "hard_silu": "HARD_SWISH",
    "leaky_relu": "LEAKY_RELU",
    "log_softmax": "LOG_SOFTMAX",
    "rsqrt": "RSQRT",
    "sigmoid": "LOGISTIC",
    "softmax": "SOFTMAX",
    "tanh": "TANH",
}
# Those of which a last op joins another one with the input.
_JOINED = {"silu": ("LOGISTIC", "MUL"), "tanh_shrink": ("TANH", "SUB")}


def add(file, x, function):
    """Adds what an activation becomes.

    Args:
        file: an `InFile`.
        x: the `Tensor` or `Made` before it.
        function: as the layer has it: a function, a layer, or `None`.

    Returns:
        The tensor behind it.
    """
    if isinstance(function, keras.layers.Layer):
        return add_layer(file, x, function)
    return add_named(file, x, getattr(function, "__name__", "linear"))


def add_named(file, x, name):
    """As `add`, for the name of a function of Keras ("hard_silu")."""
    if name in _RELUS:
        return file.op("RELU", x)
    if name in _NOTHING:
        return x
    if name == "hard_sigmoid":
        return file.op("MUL", x)
    if name == "clip":
        return file.chain(("MINIMUM", "MAXIMUM"), x)
    if name in _ONE:
        return file.op(_ONE[name], x)
    if name in _JOINED:
        first, last = _JOINED[name]
        return file.op(last, x, file.op(first, x))
    return file.look_up(x)


def add_layer(file, x, layer):
    """As `add`, for a layer that is an activation."""
    if isinstance(layer, keras.layers.ReLU):
        return _relu(file, x, layer)
    for cls, kind in (
        (keras.layers.LeakyReLU, "LEAKY_RELU"),
        (keras.layers.PReLU, "PRELU"),
        (keras.layers.Softmax, "SOFTMAX"),
    ):
        if isinstance(layer, cls):
            return file.op(kind, x)
    if isinstance(layer, keras.layers.ELU):
        return file.look_up(x)
    return add(file, x, getattr(layer, "activation", None))


def _relu(file, x, layer):
    """A ReLU; not all are part of the kernel before them."""
    most, slope = layer.max_value, layer.negative_slope
    if layer.threshold or (slope and most is not None):
        return file.look_up(x)
    if slope:
        return file.op("LEAKY_RELU", x)
    if most in (None, 6):
        return add_named(file, x, "relu")
    return file.chain(("RELU", "MINIMUM", "RELU"), x)
