"""Compares `tfprune.compress` with controls.

For each task, each share of the multiply-adds and each seed:

- compress: the default recipe, and variants of it, which are compared on
  validation data, on a page of their own (`--variants`);
- uniform: the same share of every group is pruned by L1 norm, then the network
  is trained on the labels for as long as compress trains;
- scratch: the architecture that compress found, with new weights, trained for
  as long as the dense and the smaller network together;
- magnitude: single weights of the dense network are pruned to the same share
  during further training, and stored compressed for TFLite Micro;
- ptq: the dense network, quantized to int8 after training.

  python benchmarks/compress.py --tasks=digits,autoencoder --seeds=0,1,2 \\
      --table=docs/results/compress.md

Each cell is stored in its own file; if the script is started again, it
continues with the missing ones. The figures of a page are also in a `.json`
file beside it, in which tasks and seeds that ran elsewhere keep their place.
All figures are of int8 files on TFLite.
"""

import dataclasses
import json
import pathlib
import shutil
import time

import compress_page
import compress_tasks
import keras
import numpy as np
import results
from absl import app
from absl import flags

import tfprune
from tfprune import pipeline
from tfprune.core.files import atomic
from tfprune.pipeline import tuning
from tfprune.pipeline.request import task as task_lib

FLAGS = flags.FLAGS
flags.DEFINE_list("tasks", ["digits", "autoencoder"], "which")
flags.DEFINE_list("shares", ["0.5", "0.25", "0.1"], "of the multiply-adds")
flags.DEFINE_list("seeds", ["0", "1", "2"], "seeds of data, weights and search")
flags.DEFINE_list(
    "ways", ["compress", "uniform", "scratch", "magnitude", "ptq"], "which"
)
flags.DEFINE_string("data_dir", None, "folder of CIFAR-10")
flags.DEFINE_string(
    "resnet8", "", "published weights of ResNet-8, which saw validation images"
)
flags.DEFINE_string("ds_cnn", "", "published weights of DS-CNN")
flags.DEFINE_string("speech", "", "features x and classes y for DS-CNN")
flags.DEFINE_string("out", "build/bench/compress", "folder of results")
flags.DEFINE_bool("only_page", False, "leave out the cells that are missing")
flags.DEFINE_string("table", "", "also write a table to this file")
flags.DEFINE_string("variants", "", "write a page about variants to this file")

OWN = "compress"
# Variants of the recipe, by the settings that they change.
VARIANTS = {
    OWN: {},
    "one round": {"rounds": 1},
    "three rounds": {"rounds": 3},
    "no teacher": {"teacher": False},
    "no search": {"evaluations": 1},
    "no fitting": {"reconstruction": 0},
    "taylor": {"criterion": "taylor"},
    "slow": {"learning_rate": 1e-3},
    "fast": {"learning_rate": 4e-3},
    "more labels": {"label_weight": 0.6},
    "longer rounds": {"rounds_share": 0.5},
}


class Cell:
    """One task, share and seed, with what all methods share."""

    def __init__(self, name, share, seed, folder):
        self.name, self.share, self.seed = name, share, seed
        self.folder = folder
        self._task = None

    @property
    def task(self):
        if self._task is None:
            keras.utils.set_random_seed(self.seed)
            task = compress_tasks.TASKS[self.name](FLAGS, self.seed)
            path = self.folder / f"{self.name}-{self.seed}.keras"
            if not path.exists():
                task.model.save(path)
            # Names and weights of the first process, whichever goes on.
            model = keras.saving.load_model(path)
            self._task = dataclasses.replace(task, dense=lambda: model)
        return self._task

    def compress(self, way):
        """The folder of a variant, which is created if it is missing."""
        task = self.task
        return tfprune.compress(
            task.model,
            task.train,
            task.validation,
            macs=self.share,
            out=self.folder / self.key(way),
            epochs=task.epochs,
            seed=self.seed,
            recipe=pipeline.Recipe(**VARIANTS[way]),
        )

    def key(self, way):
        return f"{self.name}-{self.share}-{self.seed}-{way.replace(' ', '_')}"


def run(cell, way):
    """The row of one method of a cell, a `dict`."""
    task, began = cell.task, time.process_time()
    file = cell.folder / f"{cell.key(way)}.tflite"
    if way in VARIANTS:
        found = cell.compress(way)
        model = found.model
        shutil.copy(found.path, file)
    else:
        model = WAYS[way](cell)
        export(
            model, file, task, compress="auto" if way == "magnitude" else None
        )
    runtime = "micro" if way == "magnitude" else "tflite"
    row = {
        "task": cell.name,
        "share": cell.share,
        "seed": cell.seed,
        "way": way,
        "macs": tfprune.cost(model).macs,
        "params": tfprune.cost(model).params,
        "file_bytes": file.stat().st_size,
        "cpu_seconds": time.process_time() - began,
    }
    for part in ("validation", "test"):
        row[part] = value(file, getattr(task, part), runtime)
    return row


def value(file, data, runtime):
    """Accuracy, or the negative mean squared error without classes."""
    if np.issubdtype(data[1].dtype, np.integer):
        return tfprune.evaluate_tflite(file, data, runtime, progress=False)

    def closeness(y, outputs):
        return -np.square(y - outputs).mean(-1)

    return tfprune.evaluate_tflite(
        file, data, runtime, closeness, progress=False
    )


def export(model, file, task, compress=None):
    x, _ = next(batches_of(task.train))
    tfprune.export_tflite(model, file, "int8", x, compress=compress)


def batches_of(train):
    """`(x, y)` batches of training data."""
    if isinstance(train, tuple):
        yield train[0][:256], train[1][:256]
    else:
        yield tuple(
            np.concatenate(p)
            for p in zip(*(train[i] for i in range(4)), strict=True)
        )


def fitted(model, task, epochs, seed):
    """Trains as compress does, but on the labels only; keeps the best epoch."""
    from tfprune.pipeline import clock
    from tfprune.pipeline.request import sources

    recipe = pipeline.Recipe()
    train = sources.Source(task.train, "training", model, "int", 64, seed)
    validation = sources.Source(task.validation, "validation", model)
    sample = next(train.batches(limit=64))
    loss, metrics = task.model.loss, None
    job = Training(
        task_lib.Task(task.model, sample, loss, metrics),
        train,
        validation,
        recipe,
        clock.Clock(),
    )
    tuning.tune(model, job, epochs)
    return model


class Training:
    """The job that `tuning.tune` needs, without a teacher."""

    teacher = None

    def __init__(self, task, train, validation, recipe, clock):
        self.task, self.train, self.validation = task, train, validation
        self.recipe, self.clock = recipe, clock

    def tell(self, **facts):
        pass


def uniform(cell):
    small = tfprune.prune(cell.task.model, macs=cell.share, ranking="group")
    return fitted(small, cell.task, cell.task.epochs, cell.seed)


def scratch(cell):
    small = keras.models.clone_model(cell.compress("compress").model)
    keras.utils.set_random_seed(cell.seed + 1)
    small = keras.models.clone_model(small)
    epochs = cell.task.epochs + cell.task.dense_epochs
    return fitted(small, cell.task, epochs, cell.seed)


def magnitude(cell):
    task = cell.task
    wrapped = tfprune.wrap(task.model, tfprune.methods.Masked())
    wrapped.compile(
        keras.optimizers.Adam(1e-3), task.model.loss, jit_compile=False
    )
    end = f"{max(1, task.epochs // 2)} epochs"
    ramp = tfprune.schedules.Polynomial(
        0.0, 1 - cell.share, begin=0, end=end, frequency=20
    )
    train = {"x": task.train}
    if isinstance(task.train, tuple):
        train = {"x": task.train[0], "y": task.train[1], "batch_size": 64}
    wrapped.fit(
        **train,
        epochs=task.epochs,
        verbose=0,
        callbacks=[tfprune.PruneOnSchedule(ramp)],
    )
    return tfprune.strip(wrapped)


def ptq(cell):
    return cell.task.model


WAYS = {"uniform": uniform, "scratch": scratch, "magnitude": magnitude}
WAYS["ptq"] = ptq


def rows():
    """A row for each cell and method, from its file if it exists."""
    folder = pathlib.Path(FLAGS.out)
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for name in FLAGS.tasks:
        for seed in map(int, FLAGS.seeds):
            for share in map(float, FLAGS.shares):
                cell = Cell(name, share, seed, folder)
                for way in FLAGS.ways:
                    path = folder / f"{cell.key(way)}.json"
                    if FLAGS.only_page and not path.exists():
                        continue
                    if not path.exists():
                        text = json.dumps(run(cell, way), indent=2)
                        atomic.write({path: text.encode()})
                    found.append(json.loads(path.read_text()))
                    print(path.name, f"{found[-1]['test']:.4f}", flush=True)
    return found


def told_of_variants(found):
    """The page about variants of the recipe."""
    others = [way for way in FLAGS.ways if way in VARIANTS and way != OWN]
    settings = "; ".join(
        f"{way}: " + ", ".join(f"`{k}={v!r}`" for k, v in VARIANTS[way].items())
        for way in others
    )
    table = compress_page.variants(found, OWN, others)
    return (
        "# Variants of compress' recipe\n\n"
        "The default is chosen on validation data. The table shows how the "
        "metric of the int8 file on them changes: mean and standard error "
        "over shares and seeds, and in how many cells it gets better and "
        f"worse. {settings}.\n\n{table.to_markdown()}\n"
        f"{results.footer('compress.py')}\n"
    )


def main(argv):
    del argv
    ran = rows()
    known = pathlib.Path(FLAGS.table or FLAGS.out).with_suffix(".json")
    found = compress_page.figures(ran, compress_page.read(known))
    seeds = ", ".join(map(str, sorted({s for f in found for s in f.seeds})))
    controls = [way for way in FLAGS.ways if way not in VARIANTS]
    own = [way for way in FLAGS.ways if way not in VARIANTS or way == OWN]
    verdicts = compress_page.verdicts(found, OWN, controls)
    picture = ""
    if FLAGS.table:
        compress_page.write(found, known)
        drawn = pathlib.Path(FLAGS.table).with_suffix(".png")
        compress_page.draw(found, own, drawn)
        picture = f"![Test metric against size]({drawn.name})\n\n"
    text = (
        "# compress and its controls\n\n"
        "Accuracy of the int8 file on test data (for the autoencoder, the "
        "negative mean squared error), mean and standard deviation over seeds "
        f"{seeds}, and the size of the file in bytes. Networks are chosen on "
        "validation data. All train for the same number of epochs; `scratch` "
        "adds those of the dense network. `magnitude` and `ptq` keep all "
        "channels, and so the multiply-adds of the dense network (without "
        "channels that become empty).\n\n"
        f"{compress_page.table(found, own).to_markdown()}\n"
        "compress against each control, by the means over the seeds: ahead "
        "(or level), behind by no more than the larger standard deviation, or "
        "behind. Controls whose files are more than a tenth larger do not "
        "compare.\n\n"
        f"{compress_page.summary(verdicts)}\n\n"
        f"{picture}{results.footer('compress.py')}\n"
    )
    results.publish(text, FLAGS.table)
    if FLAGS.variants:
        results.publish(told_of_variants(ran), FLAGS.variants)


if __name__ == "__main__":
    app.run(main)
