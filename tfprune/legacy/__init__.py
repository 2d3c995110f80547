"""Files of Keras 1 and 2, read by Keras 3.

In: a path. Out: a plain Keras 3 model.
May import: `core`; TensorFlow inside functions.
"""

from tfprune.legacy.loading import load_model

__all__ = [
    "load_model",
]
