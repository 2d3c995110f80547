"""Weights as numpy arrays."""

import keras
import numpy as np


def numpy(variable):
    """The value of a variable as a numpy array; floats at least float32."""
    array = keras.ops.convert_to_numpy(variable)
    if array.dtype.kind == "V" or array.dtype.itemsize < 4:
        return array.astype(np.float32)
    return array
