"""Layers that `model.quantize` has quantized: what they multiply.

Their weights are packed, so that no rule for channels may bind them.
"""

import math

import keras

from tfprune.graph.rules import einsum


def count(call):
    """Counts the multiply-adds of a layer, and fills in the sizes of outputs.

    Args:
        call: a `Call` of a quantized layer.

    Returns:
        `bool`, whether they are known; not of a layer around others.
    """
    if isinstance(call.live, keras.layers.EinsumDense):
        einsum.count(call)
    elif isinstance(call.live, keras.layers.Dense):
        sizes = (1 if n is None else n for n in call.x.shape[1:])
        call.multiply_adds(math.prod(sizes) * call.config["units"])
    else:
        return isinstance(call.live, keras.layers.Embedding)
    return True
