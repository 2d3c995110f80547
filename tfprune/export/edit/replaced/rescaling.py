"""Requantizes tensors to another scale, constants before the file is written.

Kernels of QUANTIZE multiply in 32 bits, which overflow without an error where
the scales are too far apart, as they are in min(x, 1e6).
"""


def of(place, op, index, output):
    """A tensor with the type and the scale of another.

    Args:
        place: `graph_edits.Place`.
        op: the op that reads it, before which ops are inserted.
        index: `int`, a quantized tensor. A constant is requantized here, and
            saturates.
        output: `int`, the tensor of that scale.

    Returns:
        `int`, the index of the new tensor.
    """
    shape = place.shape(index)
    values = place.real(index)
    if values is not None:
        return place.add_steps(values, place.steps(output), output, shape)
    return place.insert(
        op, "QUANTIZE", "QuantizeOptions", [index], shape, output
    )


def repair(place, op):
    """Computes the QUANTIZE of a constant now.

    The converter writes one where ops of several scales share a constant.

    Args:
        place: `graph_edits.Place`.
        op: the op; others stay.
    """
    if place.kind(op) != "QUANTIZE":
        return
    (source,), (output,) = op.inputs, op.outputs
    types = place.schema.TensorType
    kinds = {place.type(source), place.type(output)}
    if not kinds <= {types.INT8, types.INT16} or place.steps(output) is None:
        return
    if place.is_constant(source) and output not in place.graph.outputs:
        made = of(place, op, source, output)
        for reader in place.readers(output):
            reader.inputs = [made if i == output else i for i in reader.inputs]
        place.graph.operators.remove(op)
