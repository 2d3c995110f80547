"""Accuracy against sparsity: pruning that is learned, and by magnitude.

Each run trains one network from scratch for the same number of epochs, with
one method at one strength:

- `gradual`: the smallest weights go on a schedule; strength: sparsity
- `str`: thresholds are learned (STR); strength: their decay, which is stronger
  than that of the weights, as the paper's is not, for runs are short here
- `autoprune`: indicators are learned from held-out images, and frozen after
  70 percent of the epochs (AutoPrune); strength: mu

  python examples/learned_pruning.py --data_dir=~/tensorflow_datasets

Finished runs are found in `--out` and not repeated. Weights learn from `train`,
indicators from `val`, which the other methods leave alone.
"""

import io
import itertools
import json
import pathlib

import keras
from absl import app
from absl import flags

import tfprune
from tfprune import batches
from tfprune import data
from tfprune import report
from tfprune import wrapper
from tfprune import zoo
from tfprune.export import files

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "resnet20", "network of tfprune.zoo")
flags.DEFINE_string("dataset", "minicifar", "data set of tfprune.data")
flags.DEFINE_string("data_dir", None, "where the data set lies")
flags.DEFINE_list("gradual", ["0.5", "0.8", "0.9", "0.95"], "sparsities")
flags.DEFINE_list("str", ["4e-3", "6e-3", "8e-3", "1e-2"], "decays")
flags.DEFINE_list("autoprune", ["1e-6", "1e-5", "1e-4", "1e-3"], "values of mu")
flags.DEFINE_integer("epochs", 12, "epochs of every run")
flags.DEFINE_integer("batch_size", 64, "images per step")
flags.DEFINE_float("learning_rate", 0.05, "at the start, then a cosine to 0")
flags.DEFINE_float("indicator_rate", 1e-2, "learning rate of Adam, autoprune")
flags.DEFINE_list("seeds", ["0"], "one run for each")
flags.DEFINE_string("out", "build/learned_pruning", "folder of the results")
flags.DEFINE_bool("smoke", False, "digits, two epochs, three runs")

MOMENTUM, DECAY = 0.9, 5e-4


def main(argv):
    del argv
    if FLAGS.smoke:
        FLAGS.model, FLAGS.dataset, FLAGS.epochs = "resnet8", "digits", 2
        FLAGS.gradual, FLAGS.str, FLAGS.autoprune = ["0.8"], ["0.1"], ["1e-3"]
        FLAGS.indicator_rate = 0.1
    out, rows = pathlib.Path(FLAGS.out), []
    out.mkdir(parents=True, exist_ok=True)
    images = data.load(FLAGS.dataset, FLAGS.data_dir)
    stem = f"{FLAGS.model}-{FLAGS.dataset}-{FLAGS.epochs}"
    todo = [(m, s) for m in METHODS for s in FLAGS[m].value]
    for seed, (method, strength) in itertools.product(FLAGS.seeds, todo):
        path = out / f"{stem}-{method}-{strength}-{seed}.json"
        if not path.exists():
            row = run(images, method, float(strength), int(seed))
            files.write({path: json.dumps(row, indent=2).encode()})
        rows.append(json.loads(path.read_text()))
        print(json.dumps(rows[-1]), flush=True)
    table = to_markdown(rows)
    print(table)
    files.write({out / f"{stem}.md": table.encode()})
    draw(rows, out / f"{stem}.png")


def run(images, method, strength, seed):
    """Trains one network; returns its row of the table."""
    keras.utils.set_random_seed(seed)
    model = zoo.build(
        FLAGS.model, classes=images.classes, input_shape=images.shape
    )
    softmax = model.layers[-1].activation is keras.activations.softmax
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax)
    size, prepare = FLAGS.batch_size, images.preprocessing
    crop = images.augmentation
    train = batches.Batches(images.train, size, prepare, crop, seed)
    held_out = batches.Batches(images.val, size, prepare, seed=1)
    wrapped = METHODS[method](model, loss, train, held_out, strength)
    # What is pruned changed to the end, and averages lag behind.
    x = prepare(images.train.x[:2000])
    small = tfprune.recalibrate(tfprune.strip(wrapped), x)
    small.compile(loss=loss, metrics=["accuracy"])
    test = prepare(images.test.x), images.test.y
    return {
        "method": method,
        "strength": strength,
        "seed": seed,
        "sparsity": wrapper.sparsity(wrapped),
        "accuracy": 100 * small.evaluate(*test, batch_size=256, verbose=0)[1],
        "macs_ratio": tfprune.cost(small).macs / tfprune.cost(model).macs,
        **{k: FLAGS[k].value for k in ("model", "dataset", "epochs")},
        "machine": report.environment()["machine"],
    }


def rates(train):
    total = len(train) * FLAGS.epochs
    return keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, total)


def sgd(train):
    return keras.optimizers.SGD(rates(train), MOMENTUM, weight_decay=DECAY)


def fit(model, data, begin=0, end=None, **kwargs):
    """Trains from one epoch to another, by default to the last."""
    epochs = {"initial_epoch": begin, "epochs": end or FLAGS.epochs}
    model.fit(data, shuffle=False, verbose=2, **epochs, **kwargs)


def gradual(model, loss, train, held_out, sparsity):
    total = len(train) * FLAGS.epochs
    wrapped = tfprune.wrap(model, tfprune.Masked())
    wrapped.compile(sgd(train), loss)
    begin, end, every = total // 5, 2 * total // 3, max(1, total // 40)
    ramp = tfprune.Polynomial(0.0, sparsity, begin, end, every)
    fit(wrapped, train, callbacks=[tfprune.PruneOnSchedule(ramp)])
    return wrapped


def soft_threshold(model, loss, train, held_out, decay):
    """The thresholds begin to prune after a fifth of the training."""
    steps = len(train) * FLAGS.epochs
    initial = tfprune.start_value(0.2, steps, decay, rates(train), MOMENTUM)
    wrapped = tfprune.wrap(model, tfprune.SoftThreshold(initial, decay=decay))
    optimizer = sgd(train)
    tfprune.exclude_from_weight_decay(optimizer, wrapped)
    wrapped.compile(optimizer, loss)
    fit(wrapped, train)
    return wrapped


def autoprune(model, loss, train, held_out, mu):
    both = tfprune.Interleaved(train, held_out)
    wrapped = tfprune.wrap(model, tfprune.AutoPrune(mu))
    adam = keras.optimizers.Adam(FLAGS.indicator_rate)
    trainer = tfprune.AlternatingModel(wrapped, adam)
    trainer.compile(sgd(train), loss)
    frozen_at = max(1, round(0.7 * FLAGS.epochs))
    fit(trainer, both, 0, frozen_at)
    tfprune.freeze_indicators(wrapped)
    fit(trainer, both, frozen_at)
    return wrapped


# Another method joins by a line here and a flag of its strengths.
METHODS = {"gradual": gradual, "str": soft_threshold, "autoprune": autoprune}


def to_markdown(rows):
    """One line for each run, by method and sparsity."""
    first = rows[0]
    head = (
        f"# Learned pruning\n\n{first['model']} on {first['dataset']}, "
        f"{first['epochs']} epochs from scratch for every row; accuracy on "
        "the test images, of the stripped and recalibrated network. "
        f"{first['machine']}. Written by "
        "`examples/learned_pruning.py`.\n\n"
        "| method | strength | seed | sparsity | accuracy % | MACs |\n"
        "|---|---|---|---|---|---|\n"
    )
    rows = sorted(rows, key=lambda r: (r["method"], r["sparsity"]))
    return head + "".join(
        f"| {r['method']} | {r['strength']:g} | {r['seed']} | "
        f"{r['sparsity']:.1%} | {r['accuracy']:.2f} | {r['macs_ratio']:.1%} |\n"
        for r in rows
    )


def draw(rows, path):
    """Accuracy against the weights that remain, a curve for each method."""
    from matplotlib import figure

    picture = figure.Figure(figsize=(6, 4), layout="constrained")
    axes = picture.add_subplot()
    for method, mark in zip(METHODS, "os^", strict=True):
        own = [r for r in rows if r["method"] == method]
        points = sorted((100 * r["sparsity"], r["accuracy"]) for r in own)
        axes.plot(*zip(*points, strict=True), f"{mark}-", label=method)
    axes.set(xlabel="zeros among the weights (%)", ylabel="accuracy (%)")
    axes.set_title(f"{rows[0]['model']} on {rows[0]['dataset']}")
    axes.legend()
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=150)
    files.write({path: buffer.getvalue()})


if __name__ == "__main__":
    app.run(main)
