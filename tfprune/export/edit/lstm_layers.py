"""What LSTM ops take from the layers that they were.

The converter fuses a function into each op and forgets whose function it was.
It sets the scale of the cell state by the state after the last step alone,
which clips one that was larger before.
"""

import math

import numpy as np

from tfprune.core import packages
from tfprune.export.edit import graph_edits
from tfprune.export.file import packing

_OP = "UNIDIRECTIONAL_SEQUENCE_LSTM"
# The places of the gates' input weights and of the cell state.
_WEIGHTS, _CELL = (1, 2, 3, 4), 19
_MOST = 127
# Cell states are int16, and their scales are powers of two, of which the
# kernels' tables know those up to this one.
_CODES, _COARSEST = 2.0**15, 2.0**-9


def fitted(data, layers):
    """The file with names and cell scales by the layers of its LSTM ops.

    Args:
        data: `bytes` of a .tflite file.
        layers: list of `(path, largest, cell)`: the path of a layer, such as
            "net/lstm", the largest absolute weight of each of its gates, and
            the largest absolute cell state on samples.

    Returns:
        `bytes`.
    """
    if not layers:
        return data
    model, left = packing.unpacked(data), list(layers)
    schema = packages.load("ai_edge_litert.schema_py_generated")
    for graph in model.subgraphs:
        place = graph_edits.Place(schema, model, graph)
        for op in graph.operators:
            if place.kind(op) == _OP:
                similar = [x for x in layers if _fits(place, op, x[1])]
                own = next((x for x in left if x in similar), None)
                if own is not None:
                    left.remove(own)
                    _name(graph, op, own[0])
                _widen(graph, op, max(x[2] for x in similar or layers))
    return packing.packed(model)


def _fits(place, op, largest):
    """Whether the op's weights have the scales of a layer's."""
    found = [place.steps(op.inputs[i]) for i in _WEIGHTS]
    if None in found:
        return False
    scales = np.array([scale for scale, _ in found])
    return np.allclose(scales, np.array(largest) / _MOST, rtol=1e-4)


def _name(graph, op, path):
    if op.outputs[0] not in {*graph.inputs, *graph.outputs}:
        graph.tensors[op.outputs[0]].name = f"{path}/sequence".encode()


def _widen(graph, op, largest):
    """Lets the cell state be as large as it was on samples."""
    quantization = graph.tensors[op.inputs[_CELL]].quantization
    if largest > 0 and quantization is not None and quantization.scale:
        needed = 2.0 ** math.ceil(math.log2(largest)) / _CODES
        own = float(quantization.scale[0])
        quantization.scale = [max(own, min(needed, _COARSEST))]
