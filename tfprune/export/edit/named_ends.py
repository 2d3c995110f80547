"""Restores the order and the names of a file's inputs and outputs."""

import re

from tfprune.export.file import packing

# What the converter appends where a tensor is there in int16, too.
_MARKS = re.compile("(_int16)+")


def restored(data, inputs, outputs):
    """The file with its inputs and outputs in the order of the model.

    The converter sorts those of a SavedModel by name.

    Args:
        data: `bytes` of a .tflite file with one signature, in which the names
            of inputs and outputs sort in the order wanted.
        inputs, outputs: lists of `str`, the names to give to them.

    Returns:
        `bytes` of the file, without its signature.
    """
    model = packing.unpacked(data)
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    graph.inputs, graph.outputs = (
        [entry.tensorIndex for entry in sorted(ends, key=lambda e: e.name)]
        for ends in (signature.inputs, signature.outputs)
    )
    ends = (*graph.inputs, *graph.outputs)
    names = zip((*inputs, *outputs), ends, strict=True)
    # Of the names of one tensor the first counts, the input's if it is one.
    for name, index in reversed([*names]):
        graph.tensors[index].name = name.encode()
    model.signatureDefs = None
    return packing.packed(model)


def unnumbered(data, inputs, outputs):
    """The file without the numbers that TensorFlow gave to names of ends.

    It numbers what differs in capitals alone, such as "Left" and "left".

    Args:
        data: `bytes` of a .tflite file.
        inputs, outputs: lists of `str`, the names wanted.

    Returns:
        `bytes`.
    """
    model = packing.unpacked(data)
    graph = model.subgraphs[0]
    ends = [int(index) for index in (*graph.inputs, *graph.outputs)]
    for name, index in zip((*inputs, *outputs), ends, strict=True):
        tensor = graph.tensors[index]
        numbered = re.fullmatch(rf"{name}_\d+", tensor.name.decode())
        if numbered and ends.count(index) == 1:
            tensor.name = name.encode()
    return packing.packed(model)


def unmarked(place):
    """Gives outputs that are the same tensor the same name.

    In int16, the converter marks the name of all but the first, and of an input
    that is an output.

    Args:
        place: `graph_edits.Place`, changed in place.
    """
    graph, first = place.graph, {}
    for index in graph.outputs:
        op = place.maker(index)
        if op is None or place.kind(op) != "DEQUANTIZE":
            continue
        source = int(op.inputs[0])
        before = place.maker(source)
        name = graph.tensors[index].name.decode()
        base = first.setdefault(source, name)
        if before is not None and before.inputs[0] in graph.inputs:
            if place.kind(before) == "QUANTIZE":
                base = graph.tensors[before.inputs[0]].name.decode()
        if _MARKS.fullmatch(name.removeprefix(base)):
            graph.tensors[index].name = base.encode()
