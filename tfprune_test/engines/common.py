"""What the training scripts of all engines share."""

import hashlib
import json

import keras
import numpy as np

from tfprune.callbacks import prune_on_schedule
from tfprune.methods import autoprune
from tfprune.methods import masked
from tfprune.methods import masked_channels
from tfprune.methods import soft_threshold
from tfprune.schedules import schedule
from tfprune.sparsity import wrapper
from tfprune.sparsity import wrapping
from tfprune.training import alternating

layers = keras.layers

BATCHES, BATCH = 10, 16
RAMP = schedule.Polynomial(0.0, 0.75, begin=3, end=20, frequency=4)
METHODS = {
    "autoprune": autoprune.AutoPrune(mu=0.03),
    "autoprune_channels": autoprune.AutoPruneChannels(mu=0.1),
    "masked": masked.Masked(),
    "masked_channels": masked_channels.MaskedChannels(),
    "soft_threshold": soft_threshold.SoftThreshold(-2.0, "global"),
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
    if method.startswith("autoprune"):
        net = alternating.AlternatingModel(net, keras.optimizers.SGD(1.0))
    net.compile(
        keras.optimizers.SGD(0.05, momentum=0.9), "mse", jit_compile=False
    )
    return net


def fit(net, rank=0, ranks=1):
    batch = BATCH // ranks
    x, y = data(rank, ranks)
    batches = [
        (x[i : i + batch], y[i : i + batch]) for i in range(0, len(x), batch)
    ]
    callbacks = [prune_on_schedule.PruneOnSchedule(RAMP)]
    if not wrapper.groups(net)[0][0].is_scheduled:
        callbacks = []
    if isinstance(net, alternating.AlternatingModel):
        x, y = map(
            np.concatenate,
            zip(*alternating.Interleaved(batches, batches[::-1]), strict=True),
        )
        batch *= 2
    net.fit(
        x,
        y,
        batch_size=batch,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )


def decisions(net):
    """The variables that decide what is pruned, those of each slot."""
    return [
        slot[name]
        for found in wrapper.find(net)
        for slot in found.slots.values()
        for name in ("mask", "indicator", "s")
        if name in slot.variables
    ]


def report(net, **extra):
    """Prints what the test compares, as one line of JSON."""
    masks, weights = [], []
    for found in wrapper.find(net):
        for name, slot in found.slots.items():
            masks.append((found.folded()[name] != 0).tobytes())
            weights.append(keras.ops.convert_to_numpy(slot.kernel).tobytes())
    found = {
        "sparsity": wrapper.sparsity(net),
        "masks": hashlib.sha256(b"".join(masks)).hexdigest(),
        "weights": hashlib.sha256(b"".join(weights)).hexdigest(),
        **extra,
    }
    print("REPORT " + json.dumps(found), flush=True)
