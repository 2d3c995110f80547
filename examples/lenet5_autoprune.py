"""Finds how far AutoPrune compresses LeNet-5 before it loses accuracy.

The paper reports 310 times fewer weights on MNIST without a loss. This script
uses scikit-learn's digits instead: 1,797 images of 8 x 8 pixels, not 60,000 of
28 x 28. Repetition and a border make them 28 x 28, so that the network is the
paper's, but the factors are not comparable.

  python examples/lenet5_autoprune.py --table=docs/results/lenet5_autoprune.md

The weights learn from four fifths of the training images, the indicators from
the other fifth. The strength is the highest that loses at most one validation
image, on average over the seeds. Finished runs in `--out` are not repeated.
"""

import dataclasses

import common
import numpy as np
import recipes
import study
import summary
from absl import app
from absl import flags

import tfprune
from tfprune import datasets
from tfprune.datasets import batches
from tfprune.reports import evaluation
from tfprune.sparsity import wrapper

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(study)
common.defaults(
    out="build/lenet5_autoprune",
    model="lenet5",
    dataset="digits",
    seed=["0", "1", "2"],
    dense_epochs=60,
    dense_rate=0.02,
    epochs=100,
    learning_rate=0.02,
)
flags.DEFINE_list("strengths", ["1e-4", "3e-4", "1e-3"], "values of mu")

PUBLISHED = 310


def main(argv):
    del argv
    common.smoke(seed=["0"], strengths=["1e-3"], dense_epochs=2, epochs=3)
    todo = [(f"mu-{mu}", (float(mu),)) for mu in FLAGS.strengths]
    settings = (*study.TRAINING, "indicator_rate")
    rows = list(study.rows(todo, run, settings, digits))
    summary.finish(rows, "AutoPrune on LeNet-5", to_text(rows), EXTRA)


def digits():
    """Returns the digits at 28 x 28 pixels; weights learn from `train`."""
    images = study.images()
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
    """Learns what stays, trains it, and returns the row."""
    _, held_out = _parts(datasets.load(FLAGS.dataset))
    wrapped = recipes.autoprune(own, own.fresh(), mu, split=_enlarged(held_out))
    small = tfprune.strip(wrapped)
    dense_val, val = evaluation.accuracies([own.model, small], own.val)
    return {
        "method": f"mu {mu:g}",
        "budget": None,
        "mu": mu,
        "accuracy": own.tested(small),
        "validation": val,
        "dense_validation": dense_val,
        "lost_images": round(len(own.val[1]) * (dense_val - val)),
        "factor": 1 / (1 - wrapper.sparsity(wrapped)),
        **summary.measured(small, own.model),
    }


def to_text(rows):
    """Describes the chosen strength."""
    groups = summary.groups(rows, "mu")
    lossless = [
        (summary.mean(group, "factor"), mu)
        for mu, group in groups.items()
        if summary.mean(group, "lost_images") <= 1
    ]
    chosen = "Every strength costs more than one validation image."
    if lossless:
        factor, mu = max(lossless)
        chosen = (
            f"Chosen by validation: mu = {mu:g}, **{factor:.0f} times** fewer "
            "weights, test accuracy "
            f"{summary.spread(groups[mu], 'accuracy')} against "
            f"{summary.spread(groups[mu], 'dense')} of the dense networks."
        )
    return (
        f"{chosen} The paper reports {PUBLISHED} times on MNIST, which is "
        "another data set: these are the 1,797 digits of scikit-learn. "
        "`factor`: weights of kernels over those that stay."
    )


EXTRA = (
    ("factor", lambda rows: f"{summary.mean(rows, 'factor'):.1f}"),
    *(
        (key, lambda rows, key=key: summary.spread(rows, key))
        for key in ("validation", "dense", "dense_validation")
    ),
)


if __name__ == "__main__":
    app.run(main)
