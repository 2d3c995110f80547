"""What studies of published networks have in common: weights, images."""

import numpy as np
import results  # noqa: F401  its flags
from absl import flags

import tfprune
from tfprune import data
from tfprune.zoo import checkpoints

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "checkpoint", "resnet20_akamaster_cifar10", "name in tfprune.zoo"
)
flags.DEFINE_string("weights", None, "the checkpoint's .npz", required=True)
flags.DEFINE_string("dataset", "cifar10", "data set of tfprune.data")
flags.DEFINE_float("macs", 0.5, "share of the MACs that may remain")
flags.DEFINE_integer("selection", 2000, "training images to select with")
flags.DEFINE_integer("test", 0, "test images; 0 for all")
SETTINGS = ("checkpoint", "dataset", "macs", "selection", "test")


class Published:
    """A published network, and images to select with and to report on.

    Args:
        seed: `int`, which training images are selected.

    Attributes:
        model, cost: the network and what it costs.
        prepare: `tfprune.batches.Preprocessing` of its images.
        images: `tfprune.data.Dataset`.
        order: the training images, shuffled; the first ones are selected.
        selection, test: `(x, y)`, ready for the network.
    """

    def __init__(self, seed):
        self.seed = seed
        with np.load(FLAGS.weights) as arrays:
            self.model = checkpoints.restore(FLAGS.checkpoint, dict(arrays))
        self.cost = tfprune.cost(self.model)
        self.prepare = checkpoints.get(FLAGS.checkpoint).preprocessing
        self.images = data.load(
            FLAGS.dataset, FLAGS.data_dir, validation="none"
        )
        count = len(self.images.train)
        self.order = np.random.default_rng(seed).permutation(count)
        self.selection = self.training(0, FLAGS.selection)
        test = slice(FLAGS.test or None)
        self.test = (
            self.prepare(self.images.test.x[test]),
            self.images.test.y[test],
        )

    def training(self, begin, end):
        """`(x, y)` of the shuffled training images from `begin` to `end`."""
        chosen = self.images.train.take(self.order[begin:end])
        return self.prepare(chosen.x), chosen.y
