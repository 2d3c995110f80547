"""Names of the tensors that LSTM ops give.

The converter fuses a function into each op and forgets whose function it was.
"""

import numpy as np

from tfprune.core import packages
from tfprune.export.edit import graph_edits
from tfprune.export.file import packing

_OP = "UNIDIRECTIONAL_SEQUENCE_LSTM"
# The places of the gates' input weights.
_WEIGHTS = (1, 2, 3, 4)
_MOST = 127


def told(data, layers):
    """The file with the names of layers at the outputs of their ops.

    Args:
        data: `bytes` of a .tflite file.
        layers: list of `(path, largest)`: the path of a layer, such as
            "net/lstm", and the largest absolute weight of each of its gates.

    Returns:
        `bytes`.
    """
    if not layers:
        return data
    model, left = packing.unpacked(data), list(layers)
    schema = packages.load("ai_edge_litert.schema_py_generated")
    for graph in model.subgraphs:
        place = graph_edits.Place(schema, model, graph)
        ends = {*graph.inputs, *graph.outputs}
        for op in graph.operators:
            if place.kind(op) != _OP:
                continue
            own = next((x for x in left if _fits(place, op, x[1])), None)
            if own is not None:
                left.remove(own)
                if op.outputs[0] not in ends:
                    tensor = graph.tensors[op.outputs[0]]
                    tensor.name = f"{own[0]}/sequence".encode()
    return packing.packed(model)


def _fits(place, op, largest):
    """Whether the op's weights have the scales of a layer's."""
    found = [place.steps(op.inputs[i]) for i in _WEIGHTS]
    if None in found:
        return False
    scales = np.array([scale for scale, _ in found])
    return np.allclose(scales, np.array(largest) / _MOST, rtol=1e-4)
