"""The kinds of ops in a model's int8 file, for the code that they need.

How many there are does not matter here, as it does in `core_steps`. What
layers become was read off exported files.
"""

import numpy as np

from tfprune.costs import core_steps
from tfprune.costs import layer_ops

_HEADS = (
    *("BATCH_MATMUL", "FULLY_CONNECTED", "MUL", "RESHAPE", "SOFTMAX"),
    "TRANSPOSE",
)
# Layers with multiply-adds that are more than `core_steps` knows.
_LAYERS = {
    "Attention": ("BATCH_MATMUL", "SOFTMAX"),
    "Conv1D": ("CONV_2D", "RESHAPE"),
    "GroupQueryAttention": (*_HEADS, "BROADCAST_TO"),
    "GroupedQueryAttention": (*_HEADS, "BROADCAST_TO"),
    "Matmul": ("BATCH_MATMUL",),
    "MultiHeadAttention": _HEADS,
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
        alone = layer_ops.alone(layer)  # keras.ops.silu, a Softmax layer
        if alone is not None:
            found |= layer_ops.kinds(alone)
            continue
        found |= layer_ops.kinds(core_steps.activation_ops(layer))
        if kind != "Activation":
            own = core_steps.of_step(step, layer, keep, made_by)
            found.update(_LAYERS.get(kind) or {size.kind for size in own})
    return found
