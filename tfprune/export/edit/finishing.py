"""What the converter leaves undone in a .tflite file."""

from tfprune.core import packages
from tfprune.export.edit import dead_tensors
from tfprune.export.edit import look_up_tables
from tfprune.export.edit import lstm_scales
from tfprune.export.edit import substitutes
from tfprune.export.file import packing

KEY = "serving_default"


def finished(data):
    """A file as runtimes want it, small ones too.

    It gets a signature, so that `get_signature_runner()` finds one: inputs and
    outputs by the names of their tensors. All weights lie inside the flatbuffer
    and begin at multiples of 16 bytes, as firmware wants them. Ops that TFLite
    Micro does not have become others that compute the same, and tensors that
    were zero in calibration get a range that runtimes can bear.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        `bytes`; all else is as it was.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    model = packing.unpacked(data)
    lstm_scales.repair(model)
    dead_tensors.rescale(model)
    substitutes.substitute(model)
    look_up_tables.tabulate(model)
    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = KEY
    signature.inputs = _maps(schema, graph, graph.inputs)
    signature.outputs = _maps(schema, graph, graph.outputs)
    model.signatureDefs = [signature]
    return packing.packed(model)


def _maps(schema, graph, tensors):
    names = [graph.tensors[i].name.decode() for i in tensors]
    found = []
    for number, (name, index) in enumerate(zip(names, tensors, strict=True)):
        entry = schema.TensorMapT()
        twice = names.count(name) > 1
        entry.name = f"{name}_{number}" if twice else name
        entry.tensorIndex = int(index)
        found.append(entry)
    return found
