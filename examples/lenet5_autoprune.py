"""How far AutoPrune compresses LeNet-5 on digits before it loses accuracy.

The paper reports 310 times fewer weights on MNIST without a loss. MNIST has
60,000 images of 28 x 28 pixels; the digits that come with scikit-learn are
1,797 of 8 x 8, here made 28 x 28 by repetition and a border, so that the
network is the paper's. The two factors cannot be compared as such.

  python examples/lenet5_autoprune.py --table=docs/results/lenet5_autoprune.md

Four fifths of the training images are for the weights, those of the dense
network too, one fifth for the indicators. The strength is chosen by the
validation images: the highest that costs at most one of them, on average over
the seeds. Finished runs are found in `--out` and not repeated.
"""

import dataclasses

import keras
import numpy as np
import results
import study
from absl import app
from absl import flags

import tfprune
from tfprune import batches
from tfprune import data
from tfprune import evaluation
from tfprune import tables
from tfprune import wrapper

FLAGS = flags.FLAGS
flags.DEFINE_list("mu", ["1e-4", "3e-4", "1e-3"], "strengths")
flags.DEFINE_integer("epochs", 100, "of AutoPrune; 30 % with fixed masks")
flags.DEFINE_float("learning_rate", 0.02, "at first, then a cosine to 0")
flags.DEFINE_float("indicator_rate", 1e-2, "learning rate of Adam")
flags.DEFINE_string("out", "build/lenet5_autoprune", "folder of the results")
FLAGS.set_default("model", "lenet5")
FLAGS.set_default("dataset", "digits")
FLAGS.set_default("dense_epochs", 60)
FLAGS.set_default("dense_rate", 0.02)

PUBLISHED = 310


def main(argv):
    del argv
    if FLAGS.smoke:
        FLAGS.seeds, FLAGS.mu = ["0"], ["1e-3"]
        FLAGS.dense_epochs, FLAGS.epochs = 2, 3
    todo = [(f"mu-{mu}", (float(mu),)) for mu in FLAGS.mu]
    rows = study.rows(todo, run, ["indicator_rate"], digits)
    results.write(to_markdown(list(rows)))


def digits():
    """The digits with 28 x 28 pixels; `train` is what weights learn from."""
    images = data.load(FLAGS.dataset)
    return dataclasses.replace(
        images,
        train=_enlarged(_parts(images)[0]),
        val=_enlarged(images.val),
        test=_enlarged(images.test),
    )


def _parts(images):
    return images.train.hold_out(0.2, seed=1)


def _enlarged(split):
    large = np.kron(split.x, np.ones((1, 3, 3, 1), "float32"))
    border = ((0, 0), (2, 2), (2, 2), (0, 0))
    return batches.Split(np.pad(large, border), split.y)


def run(own, mu):
    """Learns what stays, then trains that; returns the row."""
    held_out = _enlarged(_parts(data.load(FLAGS.dataset))[1])
    held_out = batches.Batches(
        held_out, FLAGS.batch_size, own.images.preprocessing, seed=1
    )
    both = tfprune.Interleaved(own.batches(), held_out)
    wrapped = tfprune.wrap(own.fresh(), tfprune.AutoPrune(mu))
    adam = keras.optimizers.Adam(FLAGS.indicator_rate)
    trainer = tfprune.AlternatingModel(wrapped, adam)
    sgd = own.sgd(FLAGS.epochs, FLAGS.learning_rate)
    trainer.compile(sgd, own.model.loss)
    fixed_at = max(1, round(0.7 * FLAGS.epochs))
    options = {"shuffle": False, "verbose": 0}
    trainer.fit(both, epochs=fixed_at, **options)
    tfprune.freeze_indicators(wrapped)
    options |= {"initial_epoch": fixed_at, "epochs": FLAGS.epochs}
    trainer.fit(both, **options)
    small = tfprune.strip(wrapped)
    kept = tfprune.cost(small), tfprune.micronet(small)
    dense_val, val = evaluation.accuracies([own.model, small], own.val)
    return {
        "mu": mu,
        "accuracy": own.tested(small),
        "validation": val,
        "dense_validation": dense_val,
        "lost_images": round(len(own.val[1]) * (dense_val - val)),
        "factor": 1 / (1 - wrapper.sparsity(wrapped)),
        "macs": kept[0].macs / tfprune.cost(own.model).macs,
        "nonzero": kept[1].weights - kept[1].zeros,
    }


def to_markdown(rows):
    """One line for each strength, over the seeds, and what was chosen."""
    groups = {}
    for row in rows:
        groups.setdefault(row["mu"], []).append(row)
    lossless = [
        (results.mean(group, "factor"), mu)
        for mu, group in groups.items()
        if results.mean(group, "lost_images") <= 1
    ]
    header = "mu factor test validation dense-test dense-validation MACs kept"
    cells = tuple(
        (f"{mu:g}", f"{results.mean(group, 'factor'):.1f}")
        + tuple(
            results.spread(group, key)
            for key in ("accuracy", "validation", "dense", "dense_validation")
        )
        + (f"{results.mean(group, 'macs'):.1%}",)
        + (f"{results.mean(group, 'nonzero'):,.0f}",)
        for mu, group in groups.items()
    )
    chosen = "Every strength costs more than one validation image."
    if lossless:
        factor, mu = max(lossless)
        chosen = (
            f"Chosen by validation: mu = {mu:g}, **{factor:.0f} times** fewer "
            "weights, test accuracy "
            f"{results.spread(groups[mu], 'accuracy')} against "
            f"{results.spread(groups[mu], 'dense')} of the dense networks."
        )
    parts = [
        "# AutoPrune on LeNet-5",
        f"{chosen} The paper reports {PUBLISHED} times on MNIST, which is "
        "another data set: these are the 1,797 digits of scikit-learn. "
        "`factor`: weights of kernels over those that stay; `kept`: all "
        "parameters that are not zero in the stripped network, biases too.",
        tables.Table(tuple(header.split()), cells).to_markdown().strip(),
        results.facts(rows[0]),
        "Written by `examples/lenet5_autoprune.py`.",
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    app.run(main)
