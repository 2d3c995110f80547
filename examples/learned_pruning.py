"""Accuracy against sparsity and bits: what is learned, and what is scheduled.

Every run starts from the dense network of its seed and trains for the same
number of epochs, with one method at one strength:

- `dense`: goes on without pruning, what the others are compared with
- `gradual`: the smallest weights go on a schedule; strength: sparsity
- `str`: thresholds are learned (STR); strength: their decay, which is stronger
  than that of the weights, as the paper's is not, for runs are short here
- `autoprune`: indicators are learned from held-out images, and frozen after
  70 percent of the epochs (AutoPrune); strength: mu
- `bits`: bit lengths are learned, and rounded up and fixed after 70 percent of
  the epochs (BitPruning); strength: gamma

  python examples/learned_pruning.py --data_dir=~/tensorflow_datasets

Weights learn from `train`, indicators from `val`, which the other methods
leave alone. Finished runs are found in `--out` and not repeated.
"""

import collections
import io
import pathlib

import keras
import numpy as np
import results
import study
from absl import app
from absl import flags

import tfprune
from tfprune import batches
from tfprune import evaluation
from tfprune import tables
from tfprune import wrapper
from tfprune.export import files

FLAGS = flags.FLAGS
flags.DEFINE_list("dense", ["0"], "one run, without strength")
flags.DEFINE_list("gradual", ["0.8", "0.9", "0.95"], "sparsities")
flags.DEFINE_list("str", ["2e-2", "2.5e-2", "3e-2"], "decays")
flags.DEFINE_list("autoprune", ["3e-4", "1e-3"], "values of mu")
flags.DEFINE_list("bits", ["1", "2"], "values of gamma")
flags.DEFINE_integer("epochs", 6, "epochs of every run")
flags.DEFINE_float("learning_rate", 0.05, "at first, then a cosine to 0")
flags.DEFINE_float("indicator_rate", 1e-2, "learning rate of Adam, autoprune")
flags.DEFINE_string("out", "build/learned_pruning", "folder of the results")
flags.DEFINE_string("plot", "", "also draw the curves into this file")


def main(argv):
    del argv
    if FLAGS.smoke:
        FLAGS.model, FLAGS.dataset, FLAGS.seeds = "resnet8", "digits", ["0"]
        FLAGS.dense_epochs, FLAGS.epochs, FLAGS.indicator_rate = 1, 2, 0.1
        FLAGS.gradual, FLAGS.str = ["0.8"], ["0.1"]
        FLAGS.autoprune, FLAGS.bits = ["1e-3"], ["20"]
    todo = [(m, s) for m in METHODS for s in FLAGS[m].value]
    named = [(f"{m}-{s}", (m, float(s))) for m, s in todo]
    rows = list(study.rows(named, run, ["indicator_rate"]))
    results.write(to_markdown(rows))
    if FLAGS.plot:
        draw(rows, pathlib.Path(FLAGS.plot))


def run(own, method, strength):
    """Trains a copy of the dense network; returns its row of the table."""
    dense = own.model
    wrapped = METHODS[method](own, own.fresh(), strength)
    row = {"method": method, "strength": strength, "bits": 32.0}
    row["sparsity"] = wrapper.sparsity(wrapped)
    if method == "bits":  # A stripped layer no longer quantizes its inputs.
        found = tfprune.bits(wrapped)
        final, scores = wrapped, found.micronet
        row["bits"], row["weight_bits"] = found.average_bits, found.weight_bits
    else:
        # What is pruned changed to the end, and averages lag behind.
        images = own.images.train  # class after class, which no batch may be
        order = np.random.default_rng(own.seed).permutation(len(images))[:2000]
        x = own.images.preprocessing(images.x[order])
        final = tfprune.recalibrate(tfprune.strip(wrapped), x)
        scores = tfprune.micronet(final)
        row["macs"] = tfprune.cost(final).macs / tfprune.cost(dense).macs
    row["accuracy"] = own.tested(final)
    row["validation"] = evaluation.accuracies([final], own.val)[0]
    return row | {"score_2019": scores.score_2019}


def fit(own, model, data, begin=0, end=None, **kwargs):
    """Trains from one epoch to another, by default to the last."""
    epochs = {"initial_epoch": begin, "epochs": end or FLAGS.epochs}
    model.fit(data, shuffle=False, verbose=0, **epochs, **kwargs)


def optimizer(own):
    return own.sgd(FLAGS.epochs, FLAGS.learning_rate)


def dense(own, model, strength):
    return gradual(own, model, 0.0)


def gradual(own, model, sparsity):
    """Zhu and Gupta's cubic, from the start to half of the training."""
    total = len(own.batches()) * FLAGS.epochs
    wrapped = tfprune.wrap(model, tfprune.Masked())
    wrapped.compile(optimizer(own), own.model.loss)
    ramp = tfprune.Polynomial(0.0, sparsity, 0, total // 2, max(1, total // 40))
    fit(own, wrapped, own.batches(), callbacks=[tfprune.PruneOnSchedule(ramp)])
    return wrapped


def soft_threshold(own, model, decay):
    """The thresholds begin to prune after a fifth of the training."""
    sgd, steps = optimizer(own), len(own.batches()) * FLAGS.epochs
    rates = keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, steps)
    initial = tfprune.start_value(0.2, steps, decay, rates, sgd.momentum)
    wrapped = tfprune.wrap(model, tfprune.SoftThreshold(initial, decay=decay))
    tfprune.exclude_from_weight_decay(sgd, wrapped)
    wrapped.compile(sgd, own.model.loss)
    fit(own, wrapped, own.batches())
    return wrapped


def autoprune(own, model, mu):
    held_out = batches.Batches(
        own.images.val, FLAGS.batch_size, own.images.preprocessing, seed=1
    )
    both = tfprune.Interleaved(own.batches(), held_out)
    wrapped = tfprune.wrap(model, tfprune.AutoPrune(mu))
    adam = keras.optimizers.Adam(FLAGS.indicator_rate)
    trainer = tfprune.AlternatingModel(wrapped, adam)
    trainer.compile(optimizer(own), own.model.loss)
    frozen_at = max(1, round(0.7 * FLAGS.epochs))
    fit(own, trainer, both, 0, frozen_at)
    tfprune.freeze_indicators(wrapped)
    fit(own, trainer, both, frozen_at)
    return wrapped


def bit_pruning(own, model, gamma):
    wrapped = tfprune.wrap(model, tfprune.BitPruning(gamma))
    sgd, fixed_at = optimizer(own), max(1, round(0.7 * FLAGS.epochs))
    tfprune.exclude_from_weight_decay(sgd, wrapped)
    wrapped.compile(sgd, own.model.loss)
    fit(own, wrapped, own.batches(), 0, fixed_at)
    final = tfprune.finalize(wrapped)
    left = FLAGS.epochs - fixed_at
    final.compile(own.sgd(left, 0.2 * FLAGS.learning_rate), own.model.loss)
    fit(own, final, own.batches(), fixed_at)
    return final


# Another method joins by a line here and a flag of its strengths.
METHODS = {
    "dense": dense,
    "gradual": gradual,
    "str": soft_threshold,
    "autoprune": autoprune,
    "bits": bit_pruning,
}


def curves(rows):
    """`dict` from methods to `dict` from strengths to their rows."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for row in rows:
        found[row["method"]][row["strength"]].append(row)
    return found


def to_markdown(rows):
    """One line for each method and strength, over the seeds."""
    found = curves(rows)
    base = results.mean(found["dense"][0.0], "accuracy")
    header = "method strength accuracy lost sparsity bits score seeds".split()
    cells = []
    for method, strengths in found.items():
        for strength, group in strengths.items():
            lost = 100 * (base - results.mean(group, "accuracy"))
            cells.append(
                (method, f"{strength:g}", results.spread(group, "accuracy"))
                + (f"{lost:.2f}", f"{results.mean(group, 'sparsity'):.1%}")
                + (f"{results.mean(group, 'bits'):.2f}",)
                + (f"{results.mean(group, 'score_2019'):.4f}", str(len(group)))
            )
    name, images = (rows[0]["settings"][k] for k in ("model", "dataset"))
    parts = [
        f"# Learned pruning: {name} on {images}",
        "Accuracy on the test images, mean (least to most) over the seeds, of "
        "the stripped network; `bits`: with weights and inputs quantized. "
        "`lost`: points below `dense`, which trains as long without pruning. "
        "`bits`: average over all tensors of weights and of inputs. `score`: "
        "of MicroNet (2019), lower is better. Before these epochs the dense "
        f"networks have {results.mean(rows, 'dense'):.2%}.",
        tables.Table(tuple(header), tuple(cells)).to_markdown().strip(),
        results.facts(rows[0]),
        "Written by `examples/learned_pruning.py`.",
    ]
    return "\n\n".join(parts) + "\n"


def draw(rows, path):
    """Accuracy against zeros, and against bits, with all seeds as points."""
    from matplotlib import figure

    picture = figure.Figure(figsize=(9, 4), layout="constrained")
    left, right = picture.subplots(1, 2, sharey=True)
    marks = dict(zip(METHODS, "xos^D", strict=True))
    for method, strengths in curves(rows).items():
        axes, key = (right, "bits") if method == "bits" else (left, "sparsity")
        scale = 1 if method == "bits" else 100
        points = sorted(
            (scale * results.mean(g, key), 100 * results.mean(g, "accuracy"))
            for g in strengths.values()
        )
        x, y = zip(*points, strict=True)
        (line,) = axes.plot(x, y, f"{marks[method]}-", label=method)
        every = [r for g in strengths.values() for r in g]
        axes.plot(
            [scale * r[key] for r in every],
            [100 * r["accuracy"] for r in every],
            *(".",),
            color=line.get_color(),
            alpha=0.4,
        )
    left.set(xlabel="zeros among the weights (%)", ylabel="accuracy (%)")
    right.set(xlabel="average bits of weights and inputs")
    settings = rows[0]["settings"]
    picture.suptitle(f"{settings['model']} on {settings['dataset']}")
    left.legend()
    right.legend()
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=150)
    files.write({path: buffer.getvalue()})


if __name__ == "__main__":
    app.run(main)
