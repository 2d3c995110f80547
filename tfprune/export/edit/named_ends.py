"""Inputs and outputs in the order and by the names that they are given."""

from tfprune.export.file import packing


def restored(data, inputs, outputs):
    """A file that was written from a SavedModel, its ends as they were.

    Args:
        data: `bytes` of a .tflite file with one signature, in which outputs
            are named so that they sort in their order.
        inputs: `list` of `str`, the names of the inputs in the signature.
        outputs: `list` of `str`, the names that the outputs get.

    Returns:
        `bytes`.
    """
    model = packing.unpacked(data)
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    places = {m.name.decode(): m.tensorIndex for m in signature.inputs}
    graph.inputs = [places[name] for name in inputs]
    ends = sorted(signature.outputs, key=lambda entry: entry.name)
    graph.outputs = [entry.tensorIndex for entry in ends]
    for name, index in zip(inputs, graph.inputs, strict=True):
        graph.tensors[index].name = name.encode()
    for name, index in zip(outputs, graph.outputs, strict=True):
        graph.tensors[index].name = name.encode()
    model.signatureDefs = None
    return packing.packed(model)
