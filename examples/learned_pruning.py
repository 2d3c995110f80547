"""Plots accuracy against sparsity and bits, learned and scheduled.

Every run starts from the dense network of its seed and trains for the same
number of epochs, with one method at one strength:

- `dense`: trains on without pruning, as the baseline
- `gradual`: prunes the smallest weights on a schedule; strength: sparsity
- `str`: learns thresholds (STR); strength: their decay, stronger than the
  paper's because these runs are short
- `autoprune`: learns indicators from held-out images and freezes them after
  70 percent of the epochs (AutoPrune); strength: mu
- `bits`: learns bit lengths, rounds them up and fixes them after 70 percent of
  the epochs (BitPruning); strength: gamma

  python examples/learned_pruning.py --data_dir=~/tensorflow_datasets

Weights learn from `train`, indicators from `val`, which the other methods do
not use. `--resume` reuses finished runs in `--out`.
"""

import common
import fit_pruning
import recipes
import study
import summary
from absl import app
from absl import flags

from tfprune.plots import style

METHODS = ("dense", "gradual", "str", "autoprune", "bits")

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(study)
common.defaults(out="build/learned_pruning", method=list(METHODS))
common.defaults(seed=["0", "1", "2"])
flags.DEFINE_list("dense", ["0"], "one run, without strength")
flags.DEFINE_list("gradual", ["0.8", "0.9", "0.95"], "sparsities")
flags.DEFINE_list("str", ["2e-2", "2.5e-2", "3e-2"], "decays")
flags.DEFINE_list("autoprune", ["3e-4", "1e-3"], "values of mu")
flags.DEFINE_list("bits", ["1", "2"], "values of gamma")
flags.DEFINE_string("plot", "", "also draw the curves into this file")


def main(argv):
    del argv
    common.smoke(dataset="digits", model="resnet8", dense_epochs=1, epochs=2)
    common.smoke(seed=["0"], indicator_rate=0.1, gradual=["0.8"], str=["0.1"])
    common.smoke(autoprune=["1e-3"], bits=["20"])
    common.known(FLAGS.method, METHODS)
    todo = [(m, s) for m in FLAGS.method for s in FLAGS[m].value]
    named = [(f"{m}-{s}", (m, float(s))) for m, s in todo]
    rows = list(study.rows(named, run, (*study.TRAINING, "indicator_rate")))
    title = f"Learned pruning: {FLAGS.model} on {FLAGS.dataset}"
    summary.finish(rows, title, TEXT)
    if FLAGS.plot:
        draw(rows, FLAGS.plot)


def run(own, method, strength):
    """Trains a copy of the dense network and returns its row."""
    train = {
        "dense": lambda *_: recipes.dense(own, own.fresh(), None),
        "gradual": lambda *a: recipes.gradual(*a[:2], 1 - a[2]),
        "str": recipes.soft_threshold,
        "autoprune": recipes.autoprune,
        "bits": recipes.bit_pruning,
    }[method]
    wrapped = train(own, own.fresh(), strength)
    row = fit_pruning.measured(own, wrapped, method == "bits")
    sparsity = 1 - row["nonzero"]
    labelled = {"method": f"{method} {strength:g}", "budget": None}
    return row | labelled | {"kind": method, "sparsity": sparsity}


TEXT = (
    "Accuracy on the test images, mean (least to most) over the seeds, of the "
    "stripped network; `bits`: with weights and inputs quantized, average "
    "over all tensors. `dense` trains as long without pruning. Scores are "
    "MicroNet's, lower is better."
)


def draw(rows, path):
    """Plots accuracy against zeros and against bits, a point for each seed."""
    kinds = summary.groups(rows, "kind")
    with style.used():
        figure, ((left, right),) = style.panels(1, 2, (9, 4))
        right.sharey(left)
        looks = style.series(len(kinds))
        for look, (method, found) in zip(looks, kinds.items(), strict=True):
            bits = method == "bits"
            axes, key = (right, "bits") if bits else (left, "sparsity")
            scale = 1 if bits else 100
            points = sorted(
                _point(g, key, scale)
                for g in summary.groups(found, "method").values()
            )
            x, y = zip(*points, strict=True)
            axes.plot(x, y, label=method, **look)
            axes.plot(
                [scale * row[key] for row in found],
                [100 * row["accuracy"] for row in found],
                ".",
                color=look["color"],
                alpha=0.4,
            )
        left.set(xlabel="zeros among the weights, %", ylabel="test accuracy, %")
        right.set(xlabel="average bits of weights and inputs")
        settings = rows[0]["settings"]
        title = f"{settings['model']} on {settings['dataset']}"
        figure.suptitle(title, x=0.01, ha="left")
        figure.legend(loc="outside right upper")
        style.write(figure, style.writable(path))


def _point(rows, key, scale):
    return scale * summary.mean(rows, key), 100 * summary.mean(rows, "accuracy")


if __name__ == "__main__":
    app.run(main)
