"""Pages of small networks with all that a page can show."""

import dataclasses

import keras
import numpy as np

from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.reports import answers
from tfprune.reports import quantities
from tfprune.reports.html import page as page_lib
from tfprune.searches import curves


def net(name="net", hidden="hidden"):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    y = keras.layers.Conv2D(4, 3, padding="same", name="branch")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x + y)
    x = keras.layers.Dense(6, activation="relu", name=hidden)(x)
    x = keras.layers.Dense(3, name="logits")(x)
    return keras.Model(inputs, x, name=name)


def without(model, layer, channels):
    """The model without some of the channels that a layer makes."""
    graph = read.channel_graph(model)
    labels = next(g.labels for g in graph.groups if layer in g.writers)
    keep = np.ones(graph.size, bool)
    keep[labels[channels]] = False
    return rebuild.shrink(graph, keep)


@dataclasses.dataclass(frozen=True)
class Tensors:
    """As `QuantizationError`."""

    tensors: tuple

    def worst(self, count):
        return sorted(self.tensors, key=lambda t: t.sqnr)[:count]


@dataclasses.dataclass(frozen=True)
class Tensor:
    name: str
    sqnr: float
    error: float
    clipped: float


def full(report):
    """A page with every section."""
    points = tuple(
        curves.Point("stem", ratio, 4 - i, 4, 0.9 - 0.2 * i)
        for i, ratio in enumerate((0.25, 0.5), start=1)
    )
    truth = np.array([0, 1, 2, 2])
    scores = np.eye(3)[[0, 1, 2, 1]]
    return dataclasses.replace(
        report.page(),
        title="A network",
        target="a board",
        measured=(
            quantities.Quantity("int8_flash_bytes", 900, 500, "", 600),
            quantities.Quantity("accuracy, validation", 0.9, 0.875, "%"),
        ),
        frontier=page_lib.Frontier(
            "accuracy",
            (
                page_lib.FrontierPoint("dense", 0.9, {"macs": 1000}),
                page_lib.FrontierPoint("small", 0.875, {"macs": 300}, True),
            ),
        ),
        stages=(
            page_lib.Stage(
                "dense", {"loss": [1.0, 0.5], "val_loss": [1.1, 0.75]}
            ),
            page_lib.Stage("fine-tuning", {"loss": [0.25]}),
        ),
        sensitivity=curves.Sensitivity("net", "accuracy", 0.9, points),
        chance=1 / 3,
        quantization=Tensors(
            (Tensor("stem", 30.0, 0.03, 0.0), Tensor("logits", 12.5, 0.2, 0.1))
        ),
        outcomes=(answers.outcome("logits", truth, scores, np.eye(3)[truth]),),
        settings={"seed": 7},
        command="tfprune compare a.keras b.keras --html=page.html",
    )


def deep(count=100):
    """A network of so many layers, all of which share their channels."""
    inputs = keras.Input((4, 4, 8))
    x = inputs
    for i in range(count):
        x = x + keras.layers.Conv2D(8, 1, name=f"block_{i}_convolution")(x)
    return keras.Model(inputs, x, name="deep")
