"""Biases in the scale that kernels read them in.

That is the scale of the input times those of the weights. Where ops share a
layer, the converter gives one bias to all of them, whatever their inputs'
scales are: kernels then refuse the file, or add a wrong bias.
"""

import copy

import numpy as np

# The places of input, weights and bias among the inputs.
_PLACES = {
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
# float32 rounds products of scales by less.
_TOLERANCE = 1e-6


def repair(place, op):
    """Gives an op a bias of its own if the scale of its bias is another one.

    Args:
        place: `graph_edits.Place`.
        op: the op; others than convolutions and dense layers stay.
    """
    at = _PLACES.get(place.kind(op))
    if at is None or len(op.inputs) <= at[2] or op.inputs[at[2]] < 0:
        return
    source, weights, bias = (op.inputs[i] for i in at)
    steps, scales = place.steps(source), _scales(place, weights)
    have = _scales(place, bias)
    if steps is None or scales is None or have is None:
        return
    wanted = steps[0] * scales
    if not place.is_constant(bias) or np.allclose(
        have, wanted, rtol=_TOLERANCE, atol=0
    ):
        return
    values = place.constant(bias)
    long = place.type(bias) == place.schema.TensorType.INT64
    kind = np.dtype("<i8" if long else "<i4")
    limits = np.iinfo(kind)
    stored = np.clip(np.rint(values * (have / wanted)), limits.min, limits.max)
    made = place.add_constant(stored, kind)
    tensor = place.graph.tensors[made]
    tensor.type, tensor.name = place.type(bias), b"bias"
    before = place.graph.tensors[bias].quantization
    tensor.quantization = copy.deepcopy(before)
    tensor.quantization.scale = wanted.tolist()
    tensor.quantization.zeroPoint = [0] * wanted.size
    op.inputs = [made if i == bias else i for i in op.inputs]


def zeros(place, source, weights):
    """Adds a bias of zeros for kernels that require one; its index.

    Args:
        place: `graph_edits.Place`.
        source, weights: `int`, the tensors that the kernel reads.
    """
    types = place.schema.TensorType
    wide = place.type(source) == types.INT16
    scales = _scales(place, weights)
    count = place.shape(weights)[0]
    index = place.add_constant(np.zeros(count), "<i8" if wide else "<i4")
    tensor = place.graph.tensors[index]
    tensor.type = types.INT64 if wide else types.INT32
    tensor.name = b"bias"
    tensor.quantization = place.schema.QuantizationParametersT()
    tensor.quantization.scale = (place.steps(source)[0] * scales).tolist()
    tensor.quantization.zeroPoint = [0] * scales.size
    return index


def _scales(place, index):
    """The scales of a tensor, an array; `None` if it is not quantized."""
    found = place.graph.tensors[index].quantization
    if found is None or found.scale is None or not len(found.scale):
        return None
    return np.asarray(found.scale, float)
