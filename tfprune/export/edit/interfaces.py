"""Quantized inputs and outputs of a file that is quantized in part."""

from tfprune.core import packages
from tfprune.export.edit import graph_edits
from tfprune.export.edit import named_ends
from tfprune.export.file import packing


def quantized(data):
    """Drops QUANTIZE ops at the inputs and DEQUANTIZE ops at the outputs.

    An input that a float layer reads stays float, as does an output that one
    writes.

    Args:
        data: `bytes` of a .tflite file with float inputs and outputs.

    Returns:
        `bytes`.
    """
    model = packing.unpacked(data)
    schema = packages.load("ai_edge_litert.schema_py_generated")
    graph = model.subgraphs[0]
    place = graph_edits.Place(schema, model, graph)
    named_ends.unmarked(place)  # An input that is an output has one name then.
    graph.inputs = [_input(place, int(index)) for index in graph.inputs]
    graph.outputs = [_output(place, int(index)) for index in graph.outputs]
    packing.sweep(model)
    return packing.packed(model)


def _input(place, index):
    readers = place.readers(index)
    if not readers or any(place.kind(op) != "QUANTIZE" for op in readers):
        return index
    first = readers[0].outputs[0]
    if any(place.steps(op.outputs[0]) != place.steps(first) for op in readers):
        return index
    place.graph.tensors[first].name = place.graph.tensors[index].name
    for op in readers:
        place.graph.operators.remove(op)
        for other in place.readers(op.outputs[0]):
            other.inputs = [
                first if i == op.outputs[0] else i for i in other.inputs
            ]
    return first


def _output(place, index):
    op = place.maker(index)
    if op is None or place.kind(op) != "DEQUANTIZE" or place.readers(index):
        return index
    place.graph.tensors[op.inputs[0]].name = place.graph.tensors[index].name
    place.graph.operators.remove(op)
    return op.inputs[0]
