"""The rows of `reproduce_table.py`: configurations and methods."""

import dataclasses
from collections.abc import Callable

import common
import image_folder
import keras
import study
from absl import flags

import tfprune
from tfprune.datasets import batches
from tfprune.methods import gates
from tfprune.searches import amc

FLAGS = flags.FLAGS
flags.DEFINE_integer("method_epochs", 10, "of gates, or between two blocks")
flags.DEFINE_integer("evaluations", 400, "networks that amc tries")
flags.DEFINE_integer("side", 224, "of the images of a folder")
flags.DEFINE_list("skip", [], "patterns of groups that are left whole")
flags.DEFINE_list("layers", [], "patterns of what thinet prunes")
SETTINGS = ("method_epochs", "evaluations", "side", "skip", "layers")


@dataclasses.dataclass(frozen=True)
class Row:
    """A published row.

    Attributes:
        run: function from a study and the row to the pruned network, the
            accuracy before any training, and facts of the method.
        published: `dict`, accuracies and the shares that the paper removes.
        recipe: `dict`, values of flags.
        smoke: `dict`, values of flags for a smoke run.
        start: function from a seed to the study.
    """

    run: Callable
    published: dict
    recipe: dict
    smoke: dict
    start: Callable = lambda seed: study.Study(study.images(), seed)


def budget(row):
    """Returns a budget that removes as many parameters as the paper."""
    return tfprune.Budget(params=1 - row.published["params"])


def pcas(own, row):
    found = gates.sites(tfprune.channel_graph(own.model), tuple(FLAGS.skip))
    settings = dict(
        ratio=budget(row),
        gate=tfprune.methods.AttentionGate(seed=own.seed),
        statistics=batches.Batches(
            own.images.train, FLAGS.batch_size, own.prepare
        ),
        loss=own.loss,
        epochs=FLAGS.method_epochs,
        checkpoint_dir=common.path(f"pcas-seed{own.seed}"),
        skip=tuple(FLAGS.skip),
        verbose=2,
    )
    small = tfprune.recipes.pcas(
        own.model, own.batches(), retrain_epochs=0, **settings
    )
    channels = [tfprune.cost(model).channels for model in (own.model, small)]
    gated = sum(site.labels.size for site in found)
    return small, {"ratio": (channels[0] - channels[1]) / gated}


def search(own, row):
    x, _ = own.training(0, 512)
    found = tfprune.search(
        own.model,
        own.val,
        budget(row),
        evaluations=FLAGS.evaluations,
        reward="params",
        recalibrate=x,
        reconstruct=x,
        skip=tuple(FLAGS.skip),
        seed=own.seed,
        checkpoint=common.path(f"accuracies-{own.seed}.json"),
        settings=amc.Settings(warmup=FLAGS.evaluations // 4, seed=own.seed),
    )
    return found.model, {"validation": found.best.accuracy}


def thinet(own, row):
    """Prunes both convolutions of a block, trains, and goes to the next."""
    done = []

    def fine_tune(model):
        done.append(common.path(f"layer{len(done)}-seed{own.seed}.keras"))
        if done[-1].exists():
            return study.load(done[-1])
        if len(done) % 2 == 0:
            own.train(model, FLAGS.method_epochs, 1e-4, done[-1].stem)
        study.save(model, done[-1])
        return model

    x, _ = own.selection
    ratios = {pattern: 0.3 for pattern in FLAGS.layers}
    return tfprune.recipes.thinet(own.model, ratios, x, "iccv", fine_tune), {}


def imagenet(seed):
    if FLAGS.smoke:
        FLAGS.data_dir = str(common.path("images"))
        image_folder.toy(FLAGS.data_dir)

    def network(classes):
        weights = FLAGS.weights or None
        shape = (FLAGS.side, FLAGS.side, 3)
        return keras.applications.ResNet50(
            weights=weights, input_shape=shape, classes=classes
        )

    return image_folder.Study(seed, FLAGS.side, network)


CIFAR = dict(dense_epochs=200, dense_rate=0.1, batch_size=128)
TAIL = dict(epochs=100, learning_rate=0.01, validation="none", **CIFAR)
DIGITS = dict(dataset="digits", model="resnet20", evaluations=4)
DIGITS |= dict(skip=["stem_conv", "*_conv2"])
SMALL = dict(selection=32, side=32, layers=["conv2_block1_[12]_conv"])
ROWS = {
    "pcas_r56_c10": Row(
        pcas,
        dict(dense=0.9304, pruned=0.9358, params=0.537, macs=0.548),
        dict(model="resnet56", dataset="cifar10", **TAIL)
        | dict(skip=["stem_conv", "*_conv2"]),
        DIGITS,
    ),
    "pcas_r50_c100": Row(
        pcas,
        dict(dense=0.7466, pruned=0.7383, params=0.765, macs=0.663),
        dict(model="resnet50", dataset="cifar100", **TAIL)
        | dict(skip=["stem_conv", "*_conv3"]),
        DIGITS,
    ),
    "amc_r50_c10": Row(
        search,
        dict(dense=0.9353, pruned=0.9355, params=0.6),
        dict(model="resnet50", dataset="cifar10", **CIFAR)
        | dict(skip=["stem_conv", "*_conv3"]),
        DIGITS,
    ),
    "thinet_r50_imagenet": Row(
        thinet,
        dict(dense=0.7288, pruned=0.7204, params=0.337, macs=0.368),
        dict(model="resnet50", dataset="imagenet", selection=10_000, epochs=9)
        | dict(learning_rate=1e-3, batch_size=128, method_epochs=1)
        | dict(layers=["*_1_conv", "*_2_conv"]),
        SMALL,
        imagenet,
    ),
}
