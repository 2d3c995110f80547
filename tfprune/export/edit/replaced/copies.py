"""Ops that copy or clip values as they are stored, whatever the scales are.

The converter may give their inputs and outputs different scales: where it
branches in part to float, or where it calibrated an output that the next op had
already overwritten in place.
"""

from tfprune.export.edit.replaced import rescaling

_COPIES = (
    "BROADCAST_TO",
    "CONCATENATION",
    "DEPTH_TO_SPACE",
    "GATHER",
    "MAXIMUM",
    "MINIMUM",
    "MIRROR_PAD",
    "PACK",
    "RELU6",
    "REVERSE_V2",
    "SELECT",
    "SELECT_V2",
    "SPACE_TO_DEPTH",
    "STRIDED_SLICE",
    "TRANSPOSE",
)


def repair(place, op):
    """Requantizes the inputs of such an op to the scale of its output.

    Args:
        place: `graph_edits.Place`.
        op: the op; others stay.
    """
    if place.kind(op) not in _COPIES:
        return
    (output,) = op.outputs
    kind, types = place.type(output), place.schema.TensorType
    steps = place.steps(output)
    if kind not in (types.INT8, types.INT16) or steps is None:
        return
    op.inputs = [
        rescaling.of(place, op, index, output)
        if place.type(index) == kind and place.steps(index) not in (steps, None)
        else index
        for index in op.inputs
    ]
