"""Files of Keras 1 and 2, and models of tf_keras, read by Keras 3.

In: a path, or a model of tf_keras. Out: a plain Keras 3 model.
May import: `core`; TensorFlow inside functions.
"""

from tfprune.legacy.live_models import from_tf_keras
from tfprune.legacy.loading import load_model
from tfprune.legacy.trained_ranges import quantization_ranges

__all__ = [
    "from_tf_keras",
    "load_model",
    "quantization_ranges",
]
