"""Activations whose exponentials would take the whole range of int16.

The converter computes softplus as log(1 + exp(x)) and SELU with exp(x), of all
x. Beside the largest exponential, the others are a few steps.
"""

import numpy as np

from tfprune.export.convert.rewritten import own_scales
from tfprune.export.convert.rewritten import plain_ops

# Klambauer et al., "Self-normalizing neural networks", 2017.
_SCALE, _ALPHA = 1.0507009873554805, 1.6732632423543772


def rewrite(graph):
    """Takes exponentials of what is not positive only.

    Args:
        graph: `GraphDef`, changed in place.
    """
    for node in list(graph.node):
        if node.op == "Softplus":
            _softplus(graph, node)
        elif node.op == "Selu":
            _selu(graph, node)


def _softplus(graph, node):
    """relu(x) + log(1 + exp(-|x|))."""
    x, *controls = node.input
    size = own_scales.add(graph, node, "Abs", x)
    below = own_scales.add(graph, node, "Mul", size, _number(graph, node, -1.0))
    small = own_scales.add(graph, node, "Exp", below)
    more = own_scales.add(
        graph, node, "AddV2", small, _number(graph, node, 1.0)
    )
    node.op = "AddV2"
    node.input[:] = [
        own_scales.add(graph, node, "Relu", x),
        own_scales.add(graph, node, "Log", more),
        *controls,
    ]


def _selu(graph, node):
    """scale * (relu(x) + alpha * elu(x - relu(x)))."""
    x, *controls = node.input
    above = own_scales.add(graph, node, "Relu", x)
    below = own_scales.add(graph, node, "Sub", x, above)
    bent = own_scales.add(graph, node, "Elu", below)
    both = own_scales.add(
        graph, node, "Mul", bent, _number(graph, node, _ALPHA)
    )
    whole = own_scales.add(graph, node, "AddV2", above, both)
    node.op = "Mul"
    node.input[:] = [whole, _number(graph, node, _SCALE), *controls]


def _number(graph, node, value):
    name = f"{node.name}/{value:g}"
    kind = node.attr["T"].type
    return plain_ops.add_constant(graph, name, np.float32(value), kind)
