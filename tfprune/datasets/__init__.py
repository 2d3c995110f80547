"""Images and samples: data sets by name, batches for `fit`, inputs in any form.

In: a name, arrays or what `fit` takes. Out: splits, batches, arrays.
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
