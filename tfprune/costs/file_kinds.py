"""The kinds of ops in a model's int8 file, for the code that they need.

How many there are does not matter here, as it does in `core_steps`. What
layers become was read off exported files.
"""

import numpy as np

from tfprune.costs import core_steps

# A function that no kernel has becomes a table, whose rows are looked up.
_TABLE = ("ADD", "CAST", "GATHER")
_MOMENTS = (*_TABLE, "MEAN", "MUL", "RSQRT")
_HEADS = ("BATCH_MATMUL", "FULLY_CONNECTED", "MUL", "RESHAPE", "SOFTMAX")
# Layers that are more, or something else, than `core_steps` knows.
_LAYERS = {
    "Attention": ("BATCH_MATMUL", "SOFTMAX"),
    "Conv1D": ("CONV_2D", "RESHAPE"),
    "Conv2DTranspose": ("TRANSPOSE_CONV",),
    "Embedding": ("GATHER",),
    "Flatten": ("RESHAPE",),
    "GroupNormalization": (*_MOMENTS, "RESHAPE", "SUB"),
    "GroupQueryAttention": (*_HEADS, "BROADCAST_TO", "TRANSPOSE"),
    "LayerNormalization": (*_MOMENTS, "SQUARED_DIFFERENCE"),
    "GetItem": ("STRIDED_SLICE",),
    "LeakyReLU": ("LEAKY_RELU",),
    "Matmul": ("BATCH_MATMUL",),
    "MultiHeadAttention": (*_HEADS, "TRANSPOSE"),
    "Permute": ("TRANSPOSE",),
    "RMSNormalization": _MOMENTS,
    "Reshape": ("RESHAPE",),
    "Transpose": ("TRANSPOSE",),
    "UnitNormalization": (*_TABLE, "MINIMUM", "MUL", "RSQRT", "SUM"),
}
_ACTIVATIONS = {
    "celu": _TABLE,
    "elu": _TABLE,
    "exponential": _TABLE,
    "gelu": _TABLE,
    "hard_sigmoid": (),
    "hard_silu": ("HARD_SWISH",),
    "leaky_relu": ("LEAKY_RELU",),
    "linear": (),
    "log_softmax": _TABLE,
    "mish": _TABLE,
    "relu": (),  # part of the kernel before it
    "relu6": (),
    "selu": _TABLE,
    "sigmoid": ("LOGISTIC",),
    "silu": ("LOGISTIC", "MUL"),
    "softmax": ("SOFTMAX",),
    "softplus": _TABLE,
    "softsign": _TABLE,
    "tanh": ("TANH",),
}
# Of steps in time that are written out.
_STEPS = ("RESHAPE", "UNPACK")


def of(graph):
    """The ops of the int8 file.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        A set of names, as the schema of TFLite has them ("CONV_2D").
    """
    keep, found = np.ones(graph.size, bool), set()
    made_by = {id(t): s for s in graph.steps for t in s.outputs}
    for step in graph.steps:
        layer = graph.layers[step.layer]
        layer = getattr(layer, "layer", layer)  # of a wrapper
        kind = type(layer).__name__
        if step.work and step.file_ops:
            found.update(step.file_ops)
            found.update(_STEPS * ("FULLY_CONNECTED" in step.file_ops))
            continue
        name = core_steps.activation(layer)
        if kind.lower() in _ACTIVATIONS:  # keras.ops.silu, a Softmax layer
            found.update(_ACTIVATIONS[kind.lower()])
            continue
        is_alone = kind == "Activation"
        if is_alone or name not in core_steps.FUSED:
            found.update(_ACTIVATIONS.get(name, _TABLE))
        if not is_alone:
            own = core_steps.of_step(step, layer, keep, made_by)
            found.update(_LAYERS.get(kind) or {size.kind for size in own})
    return found
