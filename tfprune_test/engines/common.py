"""What the training scripts of all engines share."""

import hashlib
import json

import keras
import numpy as np

from tfprune import callback
from tfprune import schedule
from tfprune import wrapper
from tfprune import wrapping
from tfprune.methods import masked
from tfprune.methods import masked_channels

layers = keras.layers

BATCHES, BATCH = 10, 16
RAMP = schedule.Polynomial(0.0, 0.75, begin=3, end=20, frequency=4)
METHODS = {
    "masked": masked.Masked(),
    "masked_channels": masked_channels.MaskedChannels(),
}


def data(rank=0, ranks=1):
    """All batches, or the share of each batch that one of `ranks` feeds."""
    x = np.random.default_rng(0).normal(size=(BATCHES * BATCH, 8))
    x = x.astype("float32").reshape(BATCHES, ranks, BATCH // ranks, 8)
    x = x[:, rank].reshape(-1, 8)
    return x, x[:, :4] ** 2


def model(method="masked"):
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [keras.Input((8,)), layers.Dense(16, "relu"), layers.Dense(4)]
    )
    net = wrapping.wrap(net, METHODS[method])
    net.compile(
        keras.optimizers.SGD(0.05, momentum=0.9), "mse", jit_compile=False
    )
    return net


def fit(net, rank=0, ranks=1):
    net.fit(
        *data(rank, ranks),
        batch_size=BATCH // ranks,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[callback.PruneOnSchedule(RAMP)],
    )


def report(net, **extra):
    """Prints what the test compares, as one line of JSON."""
    masks, weights = [], []
    for found in wrapper.find(net):
        for slot in found.slots.values():
            masks.append(keras.ops.convert_to_numpy(slot["mask"]).tobytes())
            weights.append(keras.ops.convert_to_numpy(slot.kernel).tobytes())
    found = {
        "sparsity": wrapper.sparsity(net),
        "masks": hashlib.sha256(b"".join(masks)).hexdigest(),
        "weights": hashlib.sha256(b"".join(weights)).hexdigest(),
        **extra,
    }
    print("REPORT " + json.dumps(found), flush=True)
