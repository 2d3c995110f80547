"""Published rows, trained again: what the paper has beside what is measured.

  python examples/reproduce_table.py --row=pcas_r56_c10 --data_dir=~/data

The recipe of `pcas_r56_c10`; what the paper leaves open is chosen here:

  dense     SGD, momentum 0.9, Nesterov, weight decay 5e-4; learning rate 0.1,
            cosine to 0; 200 epochs of 128 images; crops of 4 pixels, mirrored
  gates     on the first layer of each block, all else frozen; Adam, 1e-3,
            10 epochs; then the mean over all images, unchanged, once each
  pruning   one ratio for all gates, found by bisection: the smallest that
            takes 53.7 % of all weights, batch normalization included
  retrain   as dense, but from 0.01, 100 epochs

`--epochs` cuts each stage; `--resume` goes on after the last epoch, its crops
drawn as from the first one on.
"""
# ruff: noqa: E402

import dataclasses
import json
import os
import pathlib
import sys

for _argument in sys.argv:  # Keras reads it once, when it is imported.
    if _argument.startswith("--backend="):
        os.environ["KERAS_BACKEND"] = _argument.partition("=")[2]

import keras
from absl import app
from absl import flags

import tfprune
from tfprune import batches
from tfprune import data
from tfprune import evaluation
from tfprune import gates
from tfprune import report
from tfprune import stages
from tfprune import tables
from tfprune import zoo
from tfprune.export import files


@dataclasses.dataclass(frozen=True)
class Row:
    """What a row is made of, and what was published."""
    method: str
    network: str
    dataset: str
    published: dict  # accuracies, and what of the dense network is gone
    skip: tuple = ()
    batch_size: int = 128
    dense_rate: float = 0.1
    dense_epochs: int = 200
    method_epochs: int = 10
    retrain_rate: float = 0.01
    retrain_epochs: int = 100


ROWS = {
    "pcas_r56_c10": Row(
        *("pcas", "resnet56", "cifar10"),
        dict(dense=0.9304, pruned=0.9358, params=0.537, macs=0.548),
        skip=("stem_conv", "*_conv2"),
    ),
}
SMOKE = {"network": "resnet20", "dataset": "digits"}
FLAGS = flags.FLAGS
flags.DEFINE_enum("row", "pcas_r56_c10", list(ROWS), "which row")
flags.DEFINE_string("data_dir", None, "where the data set lies")
flags.DEFINE_integer("epochs", 0, "at most, of each stage; 0: as published")
flags.DEFINE_integer("seed", 0, "of weights, batches and gates")
flags.DEFINE_string("backend", "", "of Keras; by default as KERAS_BACKEND")
flags.DEFINE_bool("resume", False, "go on with what is in --out")
flags.DEFINE_string("out", "build/reproduce_table", "a folder for each row")
flags.DEFINE_bool("smoke", False, "resnet20 on digits, one epoch a stage")


def main(_):
    row, limit = ROWS[FLAGS.row], FLAGS.epochs or 1000
    if FLAGS.smoke:
        row, limit = dataclasses.replace(row, **SMOKE), 1
    for name in ("dense_epochs", "method_epochs", "retrain_epochs"):
        row = dataclasses.replace(row, **{name: min(getattr(row, name), limit)})
    out = pathlib.Path(FLAGS.out).expanduser() / FLAGS.row
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()) and not FLAGS.resume:
        raise app.UsageError(f"{out} holds a run: --resume, or another --out.")
    keras.utils.set_random_seed(FLAGS.seed)
    metrics = Run(row, out).metrics()
    files.write({out / "metrics.json": json.dumps(metrics, indent=2).encode()})
    print(f"{out}: published; measured for {row.network} on {row.dataset}")
    for name, value in metrics["measured"].items():
        pair = (tables.percent(x, 2) for x in (row.published.get(name), value))
        print("{:26} {:>10} {:>10}".format(name, *pair))


class Run:
    """The images and the stages of one row."""

    def __init__(self, row, out):
        self.row, self.out = row, out
        self.facts = {"recipe": dataclasses.asdict(row), "seed": FLAGS.seed}
        images = data.load(row.dataset, FLAGS.data_dir, validation="none")
        split = (images.train, row.batch_size, images.preprocessing)
        self.unchanged = batches.Batches(*split)
        self.train = batches.Batches(*split, images.augmentation, FLAGS.seed)
        self.test = images.preprocessing(images.test.x), images.test.y
        sizes = {"classes": images.classes, "input_shape": images.shape}
        self.model = zoo.build(row.network, **sizes)
        self.compile_args = {
            "loss": keras.losses.SparseCategoricalCrossentropy(True),
            "metrics": ["accuracy"],
            "jit_compile": keras.backend.backend() == "jax",
        }

    def sgd(self, rate, epochs):
        decay = keras.optimizers.schedules.CosineDecay
        rate = decay(rate, epochs * len(self.train))
        return keras.optimizers.SGD(rate, 0.9, True, weight_decay=5e-4)

    def dense(self):
        model, epochs = self.model, self.row.dense_epochs
        optimizer = self.sgd(self.row.dense_rate, epochs)
        model.compile(optimizer, **self.compile_args)
        work = stages.Stages(self.out, **self.facts)
        if not work.load("dense", model):
            options = {"callbacks": work.callbacks("dense"), "verbose": 2}
            model.fit(self.train, epochs=epochs, shuffle=False, **options)
            work.save("dense", model)
        return model

    def metrics(self):
        dense = self.dense()
        curve = Curve(self.out / "retraining.json", self.test)
        small, knobs = METHODS[self.row.method](self, dense, curve)
        before, after = tfprune.cost(dense), tfprune.cost(small)
        accuracies = evaluation.accuracies([dense, small], self.test)
        measured = {
            **dict(zip(("dense", "pruned"), accuracies, strict=True)),
            "pruned, best epoch": max(curve.values.values()),
            "pruned, before retraining": curve.values["0"],
            "params": 1 - after.params / before.params,
            "macs": 1 - after.macs / before.macs,
            **knobs,
        }
        costs = [dataclasses.asdict(cost) for cost in (before, after)]
        facts = {**self.facts, "environment": report.environment()}
        return {"measured": measured, "costs": costs, **facts}


class Curve(keras.callbacks.Callback):
    """Test accuracy before retraining and after each epoch, in a file."""

    def __init__(self, path, test):
        super().__init__()
        self.path, self.test = path, test
        self.values = json.loads(path.read_text()) if path.exists() else {}

    def on_train_begin(self, logs=None):
        if not self.values:
            found = evaluation.accuracies([self.model], self.test)
            self.on_epoch_end(-1, {"val_accuracy": found[0]})

    def on_epoch_end(self, epoch, logs=None):
        self.values[str(epoch + 1)] = logs["val_accuracy"]
        files.write({self.path: json.dumps(self.values).encode()})


def pcas(run, dense, curve):
    """The pruned model, and the share of gated channels that is gone."""
    row = run.row
    small = tfprune.pcas(
        dense,
        run.train,
        tfprune.Budget(params=1 - row.published["params"]),
        gate=tfprune.AttentionGate(seed=FLAGS.seed),
        statistics=run.unchanged,
        epochs=row.method_epochs,
        retrain_epochs=row.retrain_epochs,
        retrain_optimizer=run.sgd(row.retrain_rate, row.retrain_epochs),
        validation_data=run.test,
        callbacks=[curve],
        compile_args=run.compile_args,
        checkpoint_dir=run.out / "pcas",
        skip=row.skip,
        verbose=2,
    )
    found = gates.sites(tfprune.channel_graph(dense), row.skip)
    removed = tfprune.cost(dense).channels - tfprune.cost(small).channels
    return small, {"ratio": removed / sum(s.labels.size for s in found)}


METHODS = {"pcas": pcas}


if __name__ == "__main__":
    app.run(main)
