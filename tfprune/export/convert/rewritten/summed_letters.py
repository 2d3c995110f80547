"""Letters of an einsum that stand in one operand alone.

The converter takes them for one operand, as sums that no other rewriting has
seen, and refuses them for several.
"""

import math

import numpy as np

from tfprune.export.convert.rewritten import plain_ops


def found(function):
    """The einsums with such letters.

    Args:
        function: a concrete function.

    Returns:
        `dict` from the name of a node to the shapes of its operands.
    """
    return {
        op.name: [x.shape.as_list() for x in op.inputs]
        for op in function.graph.get_operations()
        if op.type == "Einsum"
        and op.outputs[0].dtype.is_floating
        and all(x.shape.is_fully_defined() for x in op.inputs)
        and any(_alone(op.get_attr("equation").decode()))
    }


def rewrite(graph, einsums):
    """Sums along the axes of such letters before the product.

    Args:
        graph: `GraphDef`, changed in place.
        einsums: as of `found`.

    Returns:
        `dict` from the names of the sums to how many values each adds.
    """
    counts = {}
    for node in list(graph.node):
        if node.name not in einsums:
            continue
        equation = node.attr["equation"].s.decode()
        texts, output = _parsed(equation)
        for i, letters in enumerate(_alone(equation)):
            if not letters:
                continue
            shape = einsums[node.name][i]
            axes = _axes(texts[i], len(shape))
            name = f"{node.name}/sum_{i}"
            gone = [axes[c] for c in letters]
            _add_sum(graph, node, i, name, gone)
            counts[name] = math.prod(shape[axis] for axis in gone)
            texts[i] = "".join(c for c in texts[i] if c not in letters)
        if texts == [output]:
            kind = node.attr["T"].type
            node.attr.clear()
            node.op, node.attr["T"].type = "Identity", kind
        else:
            node.attr["equation"].s = f"{','.join(texts)}->{output}".encode()
    return counts


def _parsed(equation):
    inputs, output = equation.replace(" ", "").split("->")
    return inputs.split(","), output


def _alone(equation):
    """The letters of each operand that stand there once, and nowhere else."""
    texts, output = _parsed(equation)
    whole = equation.replace(".", "")
    return [
        {c for c in text if c not in output and whole.count(c) == 1} - {"."}
        for text in texts
    ]


def _axes(text, rank):
    """The axis of each letter of an operand."""
    head, _, tail = text.partition("...")
    axes = {c: i for i, c in enumerate(head)}
    return axes | {c: rank - len(tail) + i for i, c in enumerate(tail)}


def _add_sum(graph, node, place, name, axes):
    axes = plain_ops.add_constant(
        graph, f"{name}/axes", np.array(sorted(axes), "int32")
    )
    kind = graph.node[-1].attr["dtype"].type
    total = graph.node.add(name=name, op="Sum")
    total.input.extend([node.input[place], axes])
    total.attr["T"].type = node.attr["T"].type
    total.attr["Tidx"].type = kind
    total.attr["keep_dims"].b = False
    node.input[place] = name
