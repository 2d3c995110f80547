"""Finishes a .tflite file that the converter wrote."""

from tfprune.core import packages
from tfprune.export.edit import dead_tensors
from tfprune.export.edit import graph_edits
from tfprune.export.edit import lost_weights
from tfprune.export.edit import lstm_scales
from tfprune.export.edit import named_ends
from tfprune.export.edit.replaced import look_up_tables
from tfprune.export.edit.replaced import substitutes
from tfprune.export.file import packing

KEY = "serving_default"


def finished(data, largest=None, floats=None, micro=False):
    """The file in a form that all runtimes accept, TFLite Micro included.

    Adds a signature for `get_signature_runner()`, with inputs and outputs by
    the names of their tensors. Moves all weights into the flatbuffer, aligned
    to 16 bytes, as firmware requires. Replaces ops that TFLite Micro lacks by
    equivalent ones, and widens the range of tensors that were zero on all
    calibration samples.

    Args:
        data: `bytes` of a .tflite file.
        largest: as for `dead_tensors.rescale`.
        floats: `bytes` of the same model in float, of which only weights are
            read that `data` lost; `None` if it lost none.
        micro: `bool`, whether the file is for TFLite Micro alone.

    Returns:
        `bytes` of the finished file.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    model = packing.unpacked(data)
    lstm_scales.repair(model)
    dead_tensors.rescale(model, largest)
    if floats:
        lost_weights.restore(model, floats)
    substitutes.substitute(model, micro)
    look_up_tables.tabulate(model)
    graph = model.subgraphs[0]
    named_ends.unmarked(graph_edits.Place(schema, model, graph))
    signature = schema.SignatureDefT()
    signature.signatureKey = KEY
    signature.inputs = _maps(schema, graph, graph.inputs)
    signature.outputs = _maps(schema, graph, graph.outputs)
    model.signatureDefs = [signature]
    return packing.packed(model)


def _maps(schema, graph, tensors):
    """Signature entries of tensors; names that occur twice get a number."""
    names = [graph.tensors[i].name.decode() for i in tensors]
    found = []
    for number, (name, index) in enumerate(zip(names, tensors, strict=True)):
        entry = schema.TensorMapT()
        twice = names.count(name) > 1
        entry.name = f"{name}_{number}" if twice else name
        entry.tensorIndex = int(index)
        found.append(entry)
    return found
