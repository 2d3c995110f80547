"""Weights as numpy arrays."""

import keras
import numpy as np


def numpy(variable, exact=False):
    """The value of a variable or tensor as a numpy array.

    The array may share the memory of the variable: copy it before a change.

    Args:
        variable: a Keras variable or a tensor.
        exact: `bool`, whether half precision stays as it is; else it becomes
            float32, with which numpy can calculate.
    """
    tensor = keras.ops.convert_to_tensor(variable)
    if keras.backend.backend() in ("tensorflow", "jax"):
        array = np.asarray(tensor)
    else:
        array = keras.ops.convert_to_numpy(tensor)
    narrow = array.dtype.itemsize < 4 and array.dtype.kind not in "biu"
    return array.astype(np.float32) if narrow and not exact else array
