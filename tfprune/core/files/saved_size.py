"""How much room a model takes on a disk."""

import math


def saved_bytes(model):
    """An estimate of the maximum size of a saved model, in bytes.

    Args:
        model: a built `keras.Model`; what its optimizer holds counts, too.

    Returns:
        `int`.
    """
    # Only compiled models have one.
    optimizer = getattr(model, "optimizer", None)
    found = [*model.variables, *(optimizer.variables if optimizer else ())]
    # HDF5 adds some kilobytes of metadata per variable.
    return sum(math.prod(v.shape) * 8 + 4096 for v in found) + (1 << 16)
