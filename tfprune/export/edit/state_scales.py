"""States that come in and go out on the same scale.

The converter measures the two apart. Who runs the file hands on what came out,
byte for byte.
"""

import copy

from tfprune.core import packages
from tfprune.export.edit import graph_edits
from tfprune.export.file import packing


def aligned(data, count):
    """A file whose last outputs are on the scales of its last inputs.

    Args:
        data: `bytes` of a .tflite file.
        count: `int`, how many of them are states.

    Returns:
        `bytes`.
    """
    if not count:
        return data
    model = packing.unpacked(data)
    schema = packages.load("ai_edge_litert.schema_py_generated")
    graph = model.subgraphs[0]
    place = graph_edits.Place(schema, model, graph)
    first = len(graph.outputs) - count
    for number in range(count):
        source = graph.inputs[len(graph.inputs) - count + number]
        made = graph.outputs[first + number]
        wanted, found = place.steps(source), place.steps(made)
        if None in (wanted, found) or wanted == found:
            continue
        tensor = copy.deepcopy(graph.tensors[made])
        tensor.quantization = copy.deepcopy(graph.tensors[source].quantization)
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
