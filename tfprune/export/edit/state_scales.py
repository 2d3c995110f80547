"""Gives each state the same scale as an input and as an output.

The converter calibrates the two separately, but the caller feeds the bytes of a
state back as they came out.
"""

import copy

from tfprune.core import packages
from tfprune.export.edit import graph_edits
from tfprune.export.file import packing


def aligned(data, names):
    """The file with its last outputs requantized to the last inputs' scales.

    Args:
        data: `bytes` of a .tflite file.
        names: list of `str`, what the states are called as outputs. They are
            the last inputs and outputs.

    Returns:
        `bytes`.
    """
    if not names:
        return data
    model = packing.unpacked(data)
    schema = packages.load("ai_edge_litert.schema_py_generated")
    graph = model.subgraphs[0]
    place = graph_edits.Place(schema, model, graph)
    first = len(graph.outputs) - len(names)
    for number, name in enumerate(names):
        source = graph.inputs[len(graph.inputs) - len(names) + number]
        made = graph.outputs[first + number]
        wanted, found = place.steps(source), place.steps(made)
        # A state that is also another output has that one's name.
        shared = list(graph.outputs).count(made) > 1
        if None in (wanted, found) or (wanted == found and not shared):
            continue
        tensor = copy.deepcopy(graph.tensors[made])
        tensor.quantization = copy.deepcopy(graph.tensors[source].quantization)
        tensor.name = name.encode()
        if not shared:
            graph.tensors[made].name += b"/before"
        graph.tensors.append(tensor)
        op = schema.OperatorT()
        op.outputs = [len(graph.tensors) - 1]
        place.become(op, "QUANTIZE", "QuantizeOptions", [made])
        graph.operators.append(op)
        outputs = list(graph.outputs)
        outputs[first + number] = op.outputs[0]
        graph.outputs = outputs
    return packing.packed(model)
