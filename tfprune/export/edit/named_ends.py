"""Restores the order and the names of a file's inputs and outputs."""

from tfprune.export.file import packing


def restored(data, inputs, outputs):
    """The file with its inputs and outputs in the order of the model.

    The converter sorts those of a SavedModel by name.

    Args:
        data: `bytes` of a .tflite file with one signature, in which the names
            of the outputs sort in the order wanted.
        inputs: list of `str`, the names of the inputs in the signature, in
            the order wanted.
        outputs: list of `str`, the names to give to the outputs.

    Returns:
        `bytes` of the file, without its signature.
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
