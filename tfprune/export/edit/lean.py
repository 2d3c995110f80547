"""A .tflite file without what TFLite Micro never reads."""

from tfprune.export.file import packing

# Other entries are kept: TFLite Micro reads offline memory plans from them.
_NOTES = ("min_runtime_version", "CONVERSION_METADATA")


def without_notes(data):
    """The same model in less flash.

    Drops the names of inner tensors, the ranges that scales were computed
    from, signatures, and the converter's notes. Unrolled recurrent layers, with
    their many small tensors, gain most.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        `bytes`.
    """
    model = packing.unpacked(data)
    model.signatureDefs = None
    model.description = None
    model.metadata = [
        entry
        for entry in model.metadata or ()
        if entry.name.decode() not in _NOTES
    ]
    for graph in model.subgraphs:
        ends = {*graph.inputs, *graph.outputs}
        for index, tensor in enumerate(graph.tensors):
            if index not in ends:
                tensor.name = None
            if tensor.quantization is not None:
                tensor.quantization.min = tensor.quantization.max = None
    packing.sweep(model)
    return packing.packed(model)
