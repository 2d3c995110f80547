"""Weights with what LoRA adds to them, as the merged layer has them.

LoRA adds the product of two small matrices to a weight. A channel of the layer
is as important as the sum says; norms of its parts do not add up to that.
"""

import keras

from tfprune.graph import values


def merged(graph):
    """What the weights of layers with LoRA become if it is merged.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        `dict` from `id(variable)` to the sum, an array, or to `None` for the
        matrices of the product. Other variables are missing.
    """
    found = {}
    for live in graph.layers.values():
        if isinstance(live, keras.layers.Layer):
            for layer in values.layers(live):
                if getattr(layer, "lora_enabled", False):
                    found.update(_merged(layer))
    return found


def _merged(layer):
    if values.quantization(layer):
        return {}  # Their channels stay.
    names = {v.name for v in layer.variables}
    found = {}
    for variable in layer.variables:
        if variable.name.startswith("lora_"):
            found[id(variable)] = None
        elif f"lora_{variable.name}_a" in names:
            whole = getattr(layer, variable.name)
            found[id(variable)] = values.numpy(whole)
    return found


def whole(graph, bindings):
    """Yields bindings with the arrays of their weights, LoRA merged.

    Args:
        graph: a `ChannelGraph`.
        bindings: iterable of its `Binding`s; those of LoRA's matrices are
            left out.
    """
    known = merged(graph)
    for binding in bindings:
        key = id(binding.variable)
        array = known[key] if key in known else values.numpy(binding.variable)
        if array is not None:
            yield binding, array
