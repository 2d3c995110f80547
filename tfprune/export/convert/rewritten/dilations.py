"""Convolutions with gaps between what their kernels read."""


def rewrite(graph):
    """Tells apart the first steps of dilated convolutions of one tensor.

    TensorFlow writes a dilated convolution as a plain one between two ops that
    move pixels to the batch and back. The converter makes one op of the three,
    unless another convolution reads the first. It drops copies of an op, but
    not those with another attribute.

    Args:
        graph: `GraphDef`, changed in place.
    """
    for number, node in enumerate(graph.node):
        if node.op == "SpaceToBatchND":
            node.attr["_number"].i = number
