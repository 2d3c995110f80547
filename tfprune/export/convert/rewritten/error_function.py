"""The error function, for which TFLite has no kernel."""

import numpy as np

from tfprune.export.convert.rewritten import own_scales
from tfprune.export.convert.rewritten import plain_ops

# erf(z) is about 1 - (a t + b t^2 + ...) exp(-z^2) with t = 1 / (1 + p z), to
# 1.5e-7, for z from 0 on (Abramowitz and Stegun, 7.1.26).
_P = 0.3275911
_TERMS = 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429
# From here on it is 1 in float32.
_MOST = 4.0


def rewrite(graph):
    """Writes it by other ops, but for that of GELU, which is an op.

    Args:
        graph: `GraphDef`, changed in place.
    """
    found = [node for node in graph.node if node.op == "Erf"]
    if not found:
        return
    kept = _of_gelu(graph)
    for node in found:
        if node.name not in kept:
            _write_out(graph, node)


def _write_out(graph, node):
    def of(op, *inputs, name=""):
        made = graph.node.add(name=f"{node.name}/{name or op}", op=op)
        made.input.extend(inputs)
        made.attr["T"].CopyFrom(kind)
        return made.name

    def number(value):
        return plain_ops.add_constant(
            graph, f"{node.name}/{value:g}", value, kind.type
        )

    x, *controls = node.input
    kind = node.attr["T"]
    one = number(1.0)
    size = of("Minimum", of("Abs", x), number(_MOST))
    tail = of("AddV2", of("Mul", size, number(_P), name="tail"), one)
    t = of("RealDiv", one, tail)
    rest = of("Mul", t, number(_TERMS[-1]), name="term_4")
    for i, term in reversed([*enumerate(_TERMS[:-1])]):
        rest = of("AddV2", rest, number(term), name=f"sum_{i}")
        rest = of("Mul", rest, t, name=f"term_{i}")
    square = of("Mul", size, size, name="square")
    bell = of("Exp", of("Mul", square, number(-1.0), name="below"))
    rest = of("Mul", rest, bell, name="rest")
    near = of("Sub", one, rest)
    node.op = "Mul"
    node.input[:] = [of("Sign", x), near, *controls]


def _of_gelu(graph):
    """The names of those in `0.5 x (1 + erf(x / sqrt(2)))`.

    The converter makes one op of it if nothing else reads what is in between,
    or computes the same, and if the factors stand in this order.
    """
    nodes = {node.name: node for node in graph.node}
    readers, equal = {}, {}
    for node in graph.node:
        for reference in node.input:
            readers.setdefault(own_scales.tensor(reference), []).append(node)
        x, value = _factor(nodes, node.name)
        if value is not None:
            equal.setdefault((x, value), []).append(node.name)

    def reader(node, op):
        found = readers.get(node.name, [])
        return found[0] if len(found) == 1 and found[0].op == op else None

    found, ends = {}, set()
    for node in graph.node:
        added = reader(node, "AddV2") if node.op == "Erf" else None
        product = reader(added, "Mul") if added is not None else None
        if product is None or product.input[1] != added.name:
            continue
        x, scale = _factor(nodes, node.input[0])
        same, half = _factor(nodes, product.input[0])
        other, one = _with_constant(nodes, added)
        if (
            (same, other) == (x, node.name)
            and scale == np.sqrt(np.float32(0.5))
            and (half, one) == (0.5, 1.0)
        ):
            found[node.name] = equal[x, scale] + equal[x, half]
            ends |= {node.name, product.name}
    return {
        name
        for name, factors in found.items()
        if all(end.name in ends for x in factors for end in readers.get(x, []))
    }


def _factor(nodes, reference):
    """`(x, c)` if a tensor is x c; else `(None, None)`."""
    node = nodes.get(own_scales.tensor(reference))
    if node is None or node.op not in ("Mul", "RealDiv"):
        return None, None
    x, value = _with_constant(nodes, node)
    if node.op == "Mul" or value is None:
        return x, value
    # 1 / x has its constant first.
    return (x, 1 / value) if x == node.input[0] else (None, None)


def _with_constant(nodes, node):
    """`(x, c)` of an op of x and a constant of one value, in any order."""
    for x, other in (node.input[:2], node.input[1::-1]):
        value = plain_ops.constant(nodes, other)
        if value is not None and value.size and np.ptp(value) == 0:
            return x, value.flat[0]
    return None, None
