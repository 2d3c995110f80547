"""Prunes while it trains: one network, several methods and seeds, one table.

Each run trains from scratch for the same number of epochs. The sparsity rises
from a fifth to two thirds of them (Zhu and Gupta's cubic); then the masks are
kept. `channels` ends in a smaller network, which is what is evaluated.

  python examples/fit_pruning.py --data_dir=~/tensorflow_datasets
  python examples/fit_pruning.py --smoke

Finished runs are found in `--out` and not repeated, so a run that was stopped
goes on where it was. The images of `val` are not used: nothing is chosen.
"""

import json
import pathlib
import statistics
import time

import keras
from absl import app
from absl import flags

import tfprune
from tfprune import batches
from tfprune import data
from tfprune import patterns
from tfprune import report
from tfprune import zoo

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "resnet20", "network of tfprune.zoo")
flags.DEFINE_string("dataset", "minicifar", "data set of tfprune.data")
flags.DEFINE_string("data_dir", None, "where the data set lies")
flags.DEFINE_list(
    "methods",
    "dense,channels,unstructured80,unstructured90,2:4".split(","),
    "dense, channels, unstructuredNN (NN percent zeros) or n:m",
)
flags.DEFINE_float("macs", 0.5, "fraction of MACs that `channels` keeps")
flags.DEFINE_integer("epochs", 12, "epochs of every run")
flags.DEFINE_integer("batch_size", 64, "images per step")
flags.DEFINE_float("learning_rate", 0.05, "at the start, then a cosine to 0")
flags.DEFINE_list("seeds", ["0", "1", "2"], "one run for each")
flags.DEFINE_string("out", "build/fit_pruning", "folder of the results")
flags.DEFINE_string("table", "", "also write the table to this file")
flags.DEFINE_bool("smoke", False, "digits, one epoch, one seed")


def main(argv):
    del argv
    if FLAGS.smoke:
        FLAGS.dataset, FLAGS.epochs, FLAGS.seeds = "digits", 1, ["0"]
    out = pathlib.Path(FLAGS.out)
    out.mkdir(parents=True, exist_ok=True)
    images = data.load(FLAGS.dataset, FLAGS.data_dir)
    rows = []
    for seed in map(int, FLAGS.seeds):
        for method in FLAGS.methods:
            path = out / f"{_key(method)}-seed{seed}.json"
            if not path.exists():
                _write(path, json.dumps(run(images, method, seed), indent=2))
            rows.append(json.loads(path.read_text()))
            print(json.dumps(rows[-1]), flush=True)
    table = to_markdown(rows)
    print(table)
    _write(out / "metrics.json", json.dumps(rows, indent=2) + "\n")
    if FLAGS.table:
        _write(pathlib.Path(FLAGS.table), table)


def run(images, method, seed):
    """Trains one network; returns its row of the table."""
    keras.utils.set_random_seed(seed)
    start = time.time()
    model = zoo.build(
        FLAGS.model, classes=images.classes, input_shape=images.shape
    )
    train = batches.Batches(
        images.train,
        FLAGS.batch_size,
        images.preprocessing,
        images.augmentation,
        seed=seed,
    )
    total = len(train) * FLAGS.epochs
    schedule = {"begin": total // 5, "end": 2 * total // 3}
    schedule["frequency"] = max(1, (schedule["end"] - schedule["begin"]) // 20)
    wrapped, callbacks = prepared(model, method, schedule)
    wrapped.compile(
        keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, total),
            momentum=0.9,
            nesterov=True,
            weight_decay=5e-4,
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    wrapped.fit(
        train,
        epochs=FLAGS.epochs,
        callbacks=callbacks,
        shuffle=False,
        verbose=2,
    )
    x, y = images.preprocessing(images.test.x), images.test.y
    trained = wrapped.evaluate(x, y, batch_size=256, verbose=0)[1]
    small = tfprune.strip(wrapped)
    small.compile(loss=wrapped.loss, metrics=["accuracy"])
    dense, cost = tfprune.cost(model), tfprune.cost(small)
    return {
        "method": method,
        "seed": seed,
        "accuracy": 100 * small.evaluate(x, y, batch_size=256, verbose=0)[1],
        "accuracy_before_strip": 100 * trained,
        "macs_ratio": cost.macs / dense.macs,
        "params_ratio": cost.params / dense.params,
        "zeros": 1 - nonzero(small) / dense.params,
        "seconds": time.time() - start,
        "epochs": FLAGS.epochs,
        "batch_size": FLAGS.batch_size,
        "learning_rate": FLAGS.learning_rate,
        "model": FLAGS.model,
        "dataset": FLAGS.dataset,
        "environment": report.environment(),
    }


def prepared(model, method, schedule):
    """The wrapped model and the callbacks of a method."""
    if method == "dense":
        return model, []
    if method == "channels":
        wrapped = tfprune.wrap(model, tfprune.MaskedChannels())
        callback = tfprune.PruneOnSchedule(
            tfprune.Polynomial(0.0, 1.0, **schedule),
            budget=tfprune.Budget(macs=FLAGS.macs),
        )
        return wrapped, [callback]
    if ":" in method:
        pattern = patterns.NM(*map(int, method.split(":")))
        wrapped = tfprune.wrap(model, tfprune.Masked(pattern), where="stage*")
        final = 1 - pattern.n / pattern.m
    else:
        wrapped = tfprune.wrap(model, tfprune.Masked())
        final = int(method.removeprefix("unstructured")) / 100
    polynomial = tfprune.Polynomial(0.0, final, **schedule)
    return wrapped, [tfprune.PruneOnSchedule(polynomial)]


def nonzero(model):
    return sum(int(keras.ops.count_nonzero(w)) for w in model.weights)


def to_markdown(rows):
    """Mean and spread over the seeds, one line for each method."""
    first = rows[0]
    versions = first["environment"]["versions"]
    head = (
        f"# Pruning inside `fit`\n\n{first['model']} on {first['dataset']}, "
        f"{first['epochs']} epochs from scratch for every row, batch "
        f"{first['batch_size']}, seeds {sorted({r['seed'] for r in rows})}; "
        "accuracy on the test images, of the stripped network, after the last "
        f"epoch. {', '.join(f'{k} {v}' for k, v in versions.items())}; "
        f"{first['environment']['machine']}. Written by "
        "`examples/fit_pruning.py`.\n\n"
        "| method | accuracy % (mean, min to max) | against dense | MACs | "
        "parameters | zeros or gone |\n|---|---|---|---|---|---|\n"
    )
    base = [r["accuracy"] for r in rows if r["method"] == "dense"]
    lines = []
    for method in dict.fromkeys(r["method"] for r in rows):
        group = [r for r in rows if r["method"] == method]
        values = [r["accuracy"] for r in group]
        mean = statistics.mean(values)
        gap = f"{mean - statistics.mean(base):+.2f}" if base else ""
        shares = [
            statistics.mean(r[key] for r in group)
            for key in ("macs_ratio", "params_ratio", "zeros")
        ]
        lines.append(
            f"| {method} | {mean:.2f} ({min(values):.2f} to {max(values):.2f})"
            f" | {gap} | " + " | ".join(f"{s:.1%}" for s in shares) + " |"
        )
    return head + "\n".join(lines) + "\n"


def _key(method):
    return method.replace(":", "of")


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    temporary.rename(path)


if __name__ == "__main__":
    app.run(main)
