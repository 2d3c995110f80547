"""Networks and data so small that a whole run takes seconds."""

import keras
import numpy as np

from tfprune.pipeline import preparation
from tfprune.pipeline import recipe
from tfprune.pipeline.request import wishes

layers = keras.layers


def blobs(count, seed):
    """Points around three centres: `(x, y)`."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    centres = np.array([[2, 0], [-1, 2], [-1, -2]], float)
    x = centres[y] + rng.normal(0, 0.5, (count, 2))
    return x.astype("float32"), y.astype("int64")


def classifier(train, epochs=8):
    """A trained classifier of `blobs`, softmax at its end."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), name="point")
    x = layers.Dense(16, activation="relu", name="first")(inputs)
    x = layers.Dense(16, activation="relu", name="second")(x)
    outputs = layers.Dense(3, activation="softmax", name="classes")(x)
    model = keras.Model(inputs, outputs, name="blobs")
    model.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(*train, epochs=epochs, batch_size=32, verbose=0)
    return model


def two_heads():
    """Two inputs, two outputs: a class and a number; not trained."""
    left = keras.Input((2,), name="left")
    right = keras.Input((3,), name="right")
    x = layers.Concatenate()([left, right])
    x = layers.Dense(12, activation="relu", name="body")(x)
    kind = layers.Dense(3, name="kind")(x)
    size = layers.Dense(1, name="size")(x)
    model = keras.Model([left, right], {"kind": kind, "size": size})
    model.compile(
        keras.optimizers.Adam(0.02),
        {
            "kind": keras.losses.SparseCategoricalCrossentropy(
                from_logits=True
            ),
            "size": "mse",
        },
        metrics={"kind": ["accuracy"], "size": ["mae"]},
        loss_weights={"kind": 1.0, "size": 0.5},
    )
    return model


def two_heads_data(count, seed):
    """`(x, y, weights)` for `two_heads`."""
    rng = np.random.default_rng(seed)
    left = rng.normal(size=(count, 2)).astype("float32")
    right = rng.normal(size=(count, 3)).astype("float32")
    kind = (left[:, 0] > 0).astype("int64") + (right[:, 0] > 0)
    size = (left.sum(1) + right.sum(1))[:, None]
    weights = rng.uniform(0.5, 1.5, count).astype("float32")
    return (
        {"left": left, "right": right},
        {"kind": kind, "size": size},
        {"kind": weights, "size": weights},
    )


def request(**changes):
    """What `compress` asks of a classifier of `blobs`, with changes."""
    train = blobs(48, 0)
    fields = {
        "model": classifier(train, epochs=1),
        "train": train,
        "validation": blobs(24, 1),
        "wish": wishes.Wish(macs=0.5),
        "recipe": recipe.Recipe(),
        "teacher": None,
        "loss": None,
        "metrics": None,
        "monitor": None,
        "mode": "auto",
        "options": {},
        "seed": 0,
        "epochs": 1,
        "points": 1,
        "runtime": None,
    }
    return preparation.Request(**{**fields, **changes})
