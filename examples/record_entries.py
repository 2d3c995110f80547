"""The entries of `records.py`: networks, budgets and published figures."""

import dataclasses

import keras
import numpy as np
import record_padding

import tfprune
from tfprune import datasets
from tfprune import surgery
from tfprune.surgery import pruning
from tfprune.zoo import checkpoints
from tfprune.zoo import resnet

# Only the first convolution of each block: the second writes the shortcut.
INSIDE = ("stem_conv", "*_conv2")
RECORD, NEW = "record:", "new:"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One network to prune and to train to the end.

    Attributes:
        title: `str`, for people.
        network: what is pruned: the name of published weights; "record:NAME"
            for a finished record; "new:DEPTH" for a network that knows
            nothing yet.
        budget: `dict`, arguments of `tfprune.Budget`; empty to prune nothing.
        published: `dict` of the paper's figures: `source`, `accuracy`, and
            `params`, `macs`, `dense` where it has them.
        goal: `float`, the accuracy to reach.
        options: `dict`, arguments of `tfprune.prune`, or of `tfprune.search`
            if they name a `strategy`.
        teachers: names of networks, as above; the mean of their logits.
        epochs: `int`.
        rate: `float`, the learning rate at first, then a cosine to 0.
        dataset: name of the data set.
        selection: `int`, number of training images for the criterion.
        int8_goal: `dict`, what the int8 firmware is to reach: `accuracy`,
            `flash_bytes`, `arena_bytes`.
    """

    title: str
    network: str
    budget: dict
    published: dict
    goal: float
    options: dict
    teachers: tuple = (
        "resnet56_akamaster_cifar10",
        "resnet44_akamaster_cifar10",
    )
    epochs: int = 100
    rate: float = 0.05
    dataset: str = "cifar10"
    selection: int = 2048
    int8_goal: dict | None = None


RESNET56 = "resnet56_akamaster_cifar10"
RESNET20 = "resnet20_akamaster_cifar10"
TAYLOR = dict(criterion="taylor", ranking="global")
# Trains faster on a CPU and is about as accurate before training as channels
# chosen freely, but keeps more of the multiply-adds.
IN_EIGHTS = dict(TAYLOR, channel_multiple=8)
PCAS = dict(
    source="PCAS, 2019",
    accuracy=0.9358,
    dense=0.9304,
    params=0.463,
    macs=0.452,
)
DEPGRAPH = dict(source="DepGraph, 2023", dense=0.9353)
# Networks that are already finished teach as well: as a whole they are better
# than each.
ALL_TEACHERS = (
    RESNET56,
    "resnet44_akamaster_cifar10",
    "record:pcas_r56-seed0",
    "record:pcas_r56-seed1",
    "record:pcas_r56-seed2",
)
ENTRIES = {
    "pcas_r56": Entry(
        "ResNet-56 without 53.7 % of the parameters",
        RESNET56,
        dict(params=0.463),
        PCAS,
        0.9358,
        dict(IN_EIGHTS, skip=INSIDE),
    ),
    "pcas_gates_r56": Entry(
        "ResNet-56 without 53.7 % of the parameters, by attention gates",
        RESNET56,
        dict(params=0.463),
        PCAS,
        0.9358,
        dict(criterion="pcas", ranking="global", skip=INSIDE),
        selection=10_000,
    ),
    "tiny_r8": Entry(
        "The limits of MLPerf Tiny's ResNet-8",
        RESNET20,
        dict(macs=12_500_000, params=78_666),
        dict(
            source="MLPerf Tiny, 2021",
            accuracy=0.8719,
            params=78_666,
            macs=12_501_632,
        ),
        0.9,
        # More accurate than Taylor's choice on held-out training images: it
        # keeps more parameters within the same limits.
        dict(criterion="l1", ranking="global"),
        epochs=150,
        # Flash and arena are those of the published file.
        int8_goal=dict(accuracy=0.897, flash_bytes=98_496, arena_bytes=55_984),
    ),
    "depgraph_r56_2.1x": Entry(
        "ResNet-56 with 2.1 times fewer multiply-adds",
        RESNET56,
        dict(macs=1 / 2.11),
        dict(DEPGRAPH, accuracy=0.9377, macs=1 / 2.11),
        0.938,
        dict(TAYLOR),
        ALL_TEACHERS,
    ),
    "depgraph_r56_2.57x": Entry(
        "ResNet-56 with 2.57 times fewer multiply-adds",
        RESNET56,
        dict(macs=1 / 2.57),
        dict(DEPGRAPH, accuracy=0.9364, macs=1 / 2.57),
        0.9365,
        dict(TAYLOR),
        ALL_TEACHERS,
    ),
    # A CIFAR network of 50 layers is one of 6n + 2, or of bottlenecks; the
    # paper does not say. This one has about its accuracy.
    "r50": Entry(
        "ResNet-50 of the CIFAR kind, dense (6n + 2, n = 8)",
        "new:50",
        {},
        dict(source="AMC, 2018", accuracy=0.9353),
        0.9353,
        {},
        rate=0.1,
    ),
    "amc_r50": Entry(
        "ResNet-50 without 60 % of the parameters",
        "record:r50-seed0",
        dict(params=0.4),
        dict(source="AMC, 2018", accuracy=0.9355, dense=0.9353, params=0.4),
        0.9355,
        dict(strategy="amc", evaluations=400, skip=INSIDE),
    ),
}
# Entries and seeds, in the order of training.
JOBS = (
    ("pcas_r56", 0),
    ("pcas_r56", 1),
    ("pcas_r56", 2),
    ("pcas_gates_r56", 0),
    ("tiny_r8", 0),
    ("depgraph_r56_2.1x", 0),
    ("depgraph_r56_2.57x", 0),
    ("r50", 0),
    ("amc_r50", 0),
)
SMOKE = {
    "smoke": Entry(
        "A small ResNet-8 on digits",
        "",
        dict(params=0.5),
        dict(source="nobody", accuracy=0.5),
        0.5,
        dict(criterion="l1"),
        teachers=("",),
        epochs=6,
        dataset="digits",
        selection=128,
        int8_goal=dict(accuracy=0.1, flash_bytes=99_999, arena_bytes=99_999),
    ),
    "smoke_new": Entry(
        "A dense ResNet-8 on digits",
        "new:8",
        {},
        dict(source="nobody", accuracy=0.5),
        0.5,
        {},
        teachers=("",),
        epochs=1,
        dataset="digits",
    ),
    "smoke_search": Entry(
        "That one, searched",
        "record:smoke_new-seed0",
        dict(params=0.5),
        dict(source="nobody", accuracy=0.5),
        0.5,
        dict(strategy="greedy", evaluations=4, skip=INSIDE),
        teachers=("",),
        epochs=1,
        dataset="digits",
        selection=128,
    ),
}


def images(entry, data_dir):
    """Returns an entry's data set; all of its training images are used."""
    return datasets.load(entry.dataset, data_dir, validation="none")


def preparation(entry, dataset):
    """Returns the preprocessing of the network, that of its teachers."""
    name = entry.network
    if name.startswith((RECORD, NEW)):
        name = entry.teachers[0]
    return (
        checkpoints.get(name).preprocessing if name else dataset.preprocessing
    )


def title(name):
    """A short name of a network, of weights or of a record."""
    if name.startswith(RECORD):
        return name.removeprefix(RECORD)
    return name.split("_")[0] or "small"


def network(name, weights_dir, records, dataset):
    """Returns the network of an entry; a small one if there is no name."""
    keras.utils.set_random_seed(0)
    if name.startswith(RECORD):
        place = records / name.removeprefix(RECORD) / "model.keras"
        return keras.saving.load_model(place, compile=False)
    if not name or name.startswith(NEW):
        depth = int(name.removeprefix(NEW) or 8)
        return resnet.resnet_cifar(
            depth,
            width=16 if name else 8,
            classes=dataset.classes,
            input_shape=dataset.shape,
        )
    with np.load(weights_dir / f"{name}.npz") as arrays:
        return checkpoints.restore(name, dict(arrays))


def pruned(entry, model, dataset, prepare, seed):
    """Returns the small network, before any training, and a padded one.

    The channels are chosen on training images alone. What a search has found,
    and what is not pruned, is not padded.
    """
    if not entry.budget:
        return model, model
    order = np.random.default_rng(seed).permutation(len(dataset.train))
    chosen = order[: entry.selection]
    x, y = prepare(dataset.train.x[chosen]), dataset.train.y[chosen]
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(True))
    budget = tfprune.Budget(**entry.budget)
    if "strategy" not in entry.options:
        cut = pruning.plan(model, budget, data=(x, y), **entry.options)
        made = surgery.apply(cut), record_padding.padded(cut)
        return tuple(tfprune.recalibrate(each, x) for each in made)
    few = x[: len(x) // 4]
    small = tfprune.search(
        model,
        (x, y),
        budget,
        recalibrate=few,
        reconstruct=few,
        seed=seed,
        **entry.options,
    ).model
    small = tfprune.recalibrate(small, x)
    return small, small
