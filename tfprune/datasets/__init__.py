"""Data: named data sets, batches for `fit`, samples from any source.

In: a name, arrays or anything that `fit` accepts. Out: splits, batches, arrays.
May import: `core`; TensorFlow inside functions.
"""

from tfprune.datasets.batches import Augmentation
from tfprune.datasets.batches import Batches
from tfprune.datasets.batches import Preprocessing
from tfprune.datasets.batches import Split
from tfprune.datasets.image_data import Dataset
from tfprune.datasets.image_data import load
from tfprune.datasets.image_data import minicifar_indices
from tfprune.datasets.image_data import names
from tfprune.datasets.image_data import tf_batches

__all__ = [
    "Augmentation",
    "Batches",
    "Dataset",
    "Preprocessing",
    "Split",
    "load",
    "minicifar_indices",
    "names",
    "tf_batches",
]
