"""Methods that prune inside `fit`, each as a function.

Each takes a `study.Study`, a copy of its dense network and a strength or the
share to keep, and returns the trained model, wrapped or plain.
"""

import re

import common
import keras
import stopping
import study  # noqa: F401  its flags
from absl import flags

import tfprune
from tfprune.datasets import batches
from tfprune.patterns import weight_patterns

FLAGS = flags.FLAGS
flags.DEFINE_float("decay", 2.5e-2, "str: decay of the thresholds")
flags.DEFINE_float("mu", 1e-3, "autoprune: penalty on a kept weight")
flags.DEFINE_float("indicator_rate", 1e-2, "autoprune: Adam's learning rate")
flags.DEFINE_float("gamma", 2.0, "bits: penalty, divided by the share")
flags.DEFINE_float("strength", 1e-3, "slimming: penalty coefficient")
FITTING = ("decay", "mu", "indicator_rate", "gamma", "strength")
N_OF_M = re.compile(r"\d+:\d+")
LAST = 0.7  # Of the epochs: what is learned is fixed then.


def todo(methods, shares):
    """Pairs of a file name and `(method, share)`, for `study.rows`.

    `dense` and `n:m` have no share and appear once.

    Raises:
        app.UsageError: If a method is unknown.
    """
    found = {}
    for share in shares:
        for method in methods:
            if not N_OF_M.fullmatch(method):
                common.known([method], METHODS)
            own = method in METHODS and method != "dense"
            name = f"{method}-{share}" if own else method.replace(":", "of")
            found[name] = (method, float(share) if own else None)
    return list(found.items())


def train(own, method, share):
    """Trains a copy of the dense network by a method."""
    if method in METHODS:
        return METHODS[method](own, own.fresh(), share)
    return n_of_m(own, own.fresh(), method)


def fit(own, model, data, begin=0, end=None, **kwargs):
    """Trains from one epoch to another, by default the last."""
    epochs = {"initial_epoch": begin, "epochs": end or FLAGS.epochs}
    model.fit(data, shuffle=False, verbose=0, **epochs, **kwargs)


def sgd(own):
    return own.sgd(FLAGS.epochs, FLAGS.learning_rate)


def on_schedule(own, model, method, final, budget=None, where=tfprune.kernels):
    """Prunes on Zhu and Gupta's cubic schedule in the first half."""
    total = len(own.batches()) * FLAGS.epochs
    wrapped = tfprune.wrap(model, method, where=where)
    wrapped.compile(sgd(own), own.loss)
    ramp = tfprune.schedules.Polynomial(
        0.0, final, 0, total // 2, max(1, total // 40)
    )
    prune = tfprune.PruneOnSchedule(ramp, budget=budget)
    fit(own, wrapped, own.batches(), callbacks=[prune])
    return wrapped


def dense(own, model, share):
    del share
    own.train(model, FLAGS.epochs, FLAGS.learning_rate)
    return model


def gradual(own, model, share):
    return on_schedule(own, model, tfprune.methods.Masked(), 1 - share)


def channels(own, model, share):
    budget = tfprune.Budget(macs=share)
    return on_schedule(
        own, model, tfprune.methods.MaskedChannels(), 1.0, budget
    )


def n_of_m(own, model, name):
    pattern = weight_patterns.NM(*map(int, name.split(":")))
    final, method = 1 - pattern.n / pattern.m, tfprune.methods.Masked(pattern)

    def whole(layer):
        """Convolutions whose input channels are whole groups: no stem."""
        found = isinstance(layer, keras.layers.Conv2D)
        return found and layer.kernel.shape[-2] % pattern.m == 0

    return on_schedule(own, model, method, final, where=whole)


def slimming(own, model, share):
    half = FLAGS.epochs // 2
    wrapped = tfprune.wrap(
        model,
        tfprune.methods.Slimming(FLAGS.strength),
        where=tfprune.normalizations,
    )
    own.train(wrapped, half, FLAGS.learning_rate)
    small = tfprune.prune(wrapped, tfprune.Budget(macs=share), "slimming")
    own.train(small, FLAGS.epochs - half, FLAGS.learning_rate)
    return small


def soft_threshold(own, model, decay, share=None):
    """Thresholds prune after a fifth of training, held once `share` is left."""
    optimizer, steps = sgd(own), len(own.batches()) * FLAGS.epochs
    rates = keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, steps)
    initial = tfprune.training.start_value(
        0.2, steps, decay, rates, optimizer.momentum
    )
    wrapped = tfprune.wrap(
        model, tfprune.methods.SoftThreshold(initial, decay=decay)
    )
    tfprune.training.exclude_from_weight_decay(optimizer, wrapped)
    wrapped.compile(optimizer, own.loss)
    held = stopping.WhenPruned(wrapped, share, stopping.Held)
    fit(own, wrapped, own.batches(), callbacks=[held])
    return wrapped


def autoprune(own, model, mu, share=None, split=None):
    """Indicators learn until `share` is left, or until `LAST`."""
    split = own.images.val if split is None else split
    held_out = batches.Batches(split, FLAGS.batch_size, own.prepare, seed=1)
    both = tfprune.training.Interleaved(own.batches(), held_out)
    wrapped = tfprune.wrap(model, tfprune.methods.AutoPrune(mu))
    adam = keras.optimizers.Adam(FLAGS.indicator_rate)
    trainer = tfprune.training.AlternatingModel(wrapped, adam)
    trainer.compile(sgd(own), own.loss)
    held = stopping.WhenPruned(wrapped, share, stopping.Frozen)
    last = max(1, round(LAST * FLAGS.epochs))
    fit(own, trainer, both, 0, last, callbacks=[held])
    tfprune.methods.freeze_indicators(wrapped)
    fit(own, trainer, both, last)
    return wrapped


def bit_pruning(own, model, gamma, share=None):
    """Bits learn until `share` of 8 is left, or until `LAST`."""
    wrapped = tfprune.wrap(model, tfprune.methods.BitPruning(gamma))
    optimizer, last = sgd(own), max(1, round(LAST * FLAGS.epochs))
    tfprune.training.exclude_from_weight_decay(optimizer, wrapped)
    wrapped.compile(optimizer, own.loss)
    enough = stopping.Enough(wrapped, share)
    fit(own, wrapped, own.batches(), 0, last, callbacks=[enough])
    final, left = (
        tfprune.training.finalize(wrapped),
        FLAGS.epochs - enough.epochs,
    )
    final.compile(own.sgd(left, 0.2 * FLAGS.learning_rate), own.loss)
    fit(own, final, own.batches(), enough.epochs)
    return final


# To add a method, add a line: a function of the study, a copy of its dense
# network and the share to keep.
METHODS = {
    "dense": dense,
    "gradual": gradual,
    "channels": channels,
    "slimming": slimming,
    "str": lambda *a: soft_threshold(*a[:2], FLAGS.decay, a[2]),
    "autoprune": lambda *a: autoprune(*a[:2], FLAGS.mu, a[2]),
    "bits": lambda *a: bit_pruning(*a[:2], FLAGS.gamma / a[2], a[2]),
}
