"""The four networks of MLPerf Tiny, pruned and exported for firmware.

Prunes each to shares of its multiply-adds and exports it to int8. Measures
flash, the arena that the kernels of any core need, Vela's estimates for an
Ethos-U55, and the speedup over the dense file on TFLite Micro's reference
kernels and on TFLite. Measures accuracy where there are data: ResNet-8 is
fine-tuned on CIFAR-10, DS-CNN on a part of the speech samples, and measured on
the rest.

  python benchmarks/mlperf_tiny.py --data_dir=~/tensorflow_datasets \\
      --resnet8=resnet8.npz --ds_cnn=ds_cnn.npz --speech=features.npz \\
      --table=docs/results/mlperf_tiny.md

If it is started again, it continues with the missing rows.
"""

import dataclasses
import functools
import json
import pathlib

import keras
import numpy as np
import results
from absl import app
from absl import flags

import tfprune
from tfprune import datasets
from tfprune import zoo
from tfprune.core import tables
from tfprune.core.files import atomic
from tfprune.datasets import batches as splits
from tfprune.export.convert import tflite
from tfprune.export.edit import lean
from tfprune.export.micro import firmware_folder
from tfprune.export.micro import npu
from tfprune.export.micro.arena import measured_arena
from tfprune.export.run import litert
from tfprune.zoo import checkpoints

FLAGS = flags.FLAGS
flags.DEFINE_list("shares", ["0.75", "0.5", "0.25"], "of the multiply-adds")
flags.DEFINE_string("data_dir", None, "folder of CIFAR-10")
flags.DEFINE_string("resnet8", "", "published weights of ResNet-8")
flags.DEFINE_string("ds_cnn", "", "published weights of DS-CNN")
flags.DEFINE_string("speech", "", "features x and classes y for DS-CNN")
flags.DEFINE_integer("fitted", 200, "speech samples to train on")
flags.DEFINE_integer("speech_epochs", 50, "of fine-tuning DS-CNN")
flags.DEFINE_integer("epochs", 10, "epochs of fine-tuning ResNet-8")
flags.DEFINE_float("learning_rate", 2e-3, "of Adam, falling to 0")
flags.DEFINE_string("criterion", "l1", "that ranks channels")
flags.DEFINE_integer("channel_multiple", 4, "channels of each group")
flags.DEFINE_string("accelerator", "ethos-u55-128", "for Vela")
flags.DEFINE_string("out", "build/bench/mlperf_tiny", "folder of results")
flags.DEFINE_string("table", "", "also write a table to this file")

HEADER = (
    "network",
    "multiply-adds",
    "parameters",
    "accuracy, int8",
    "array bytes",
    "arena bytes",
    "Vela flash",
    "Vela SRAM",
    "Vela cycles",
    "multiply-adds, times fewer",
    "TFLite Micro, times faster",
    "TFLite, times faster",
    "Ethos-U, times faster",
)


@dataclasses.dataclass(frozen=True)
class Task:
    """A network and its data.

    Attributes:
        model: the dense `keras.Model`.
        x: inputs to calibrate and to score channels on.
        y: their classes, or `None`.
        test: `(x, y)` or `None`.
        tune: function from a pruned model to a better one.
    """

    model: keras.Model
    x: np.ndarray
    y: np.ndarray | None = None
    test: tuple | None = None
    tune: object = staticmethod(lambda model: model)


def resnet8():
    name = "resnet8_mlperftiny_cifar10"
    model = checkpoints.restore(name, dict(np.load(FLAGS.resnet8)))
    images = datasets.load("cifar10", FLAGS.data_dir, validation="none")
    prepare = checkpoints.get(name).preprocessing

    batches = datasets.tf_batches(
        images.train, 128, prepare, images.augmentation, seed=0
    )

    chosen = np.random.default_rng(0).permutation(len(images.train))[:1024]
    train = images.train.take(chosen)
    test = prepare(images.test.x), images.test.y
    tune = functools.partial(tuned, batches, len(batches), FLAGS.epochs)
    return Task(model, prepare(train.x), train.y, test, tune)


def tuned(batches, steps, epochs, small):
    """The network after fine-tuning for some epochs."""
    decay = keras.optimizers.schedules.CosineDecay
    rate = decay(FLAGS.learning_rate, steps * epochs)
    small.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy"
    )
    small.fit(batches, epochs=epochs, verbose=2)
    return small


def ds_cnn():
    name = "dscnn_mlperftiny_kws"
    model = checkpoints.restore(name, dict(np.load(FLAGS.ds_cnn)))
    with np.load(FLAGS.speech) as speech:
        x, y = checkpoints.get(name).preprocessing(speech["x"]), speech["y"]
    x = x[..., None]
    order = np.random.default_rng(0).permutation(len(x))
    fit, rest = order[: FLAGS.fitted], order[FLAGS.fitted :]
    batches = datasets.tf_batches(
        splits.Split(x[fit], y[fit]), 20, splits.Preprocessing(), seed=0
    )
    tune = functools.partial(tuned, batches, len(batches), FLAGS.speech_epochs)
    return Task(model, x[fit], y[fit], (x[rest], y[rest]), tune)


def without_data(name):
    def build():
        model = zoo.build(name)
        shape = 256, *model.inputs[0].shape[1:]
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        return Task(tfprune.recalibrate(model, x), x)

    return build


TASKS = {
    "resnet8": resnet8,
    "ds_cnn": ds_cnn,
    "mobilenet_v1_025": without_data("mobilenet_v1_025"),
    "autoencoder": without_data("autoencoder"),
}


def main(_):
    folder = pathlib.Path(FLAGS.out)
    folder.mkdir(parents=True, exist_ok=True)
    for name, build in TASKS.items():
        path = folder / f"{name}.json"
        if not path.exists():
            keras.utils.set_random_seed(0)
            rows = measure(name, build(), folder)
            atomic.write({path: json.dumps(rows, indent=1).encode()})
    write(folder)


def measure(name, task, folder):
    """A `dict` for the dense network and each share."""
    rows, paths = [], []
    for share in ("1", *FLAGS.shares):
        path = folder / f"{name}-{share}.tflite"
        model = pruned(task, share, folder / f"{name}-{share}.keras")
        tflite.export_tflite(model, path, "int8", task.x)
        cost = tfprune.cost(model)
        accuracy = None
        if task.test:
            accuracy = tfprune.evaluate_tflite(path, task.test, "micro")
        vela = npu.compile_for_npu(path, FLAGS.accelerator)
        paths.append(path)
        rows.append(
            {
                "network": name,
                "macs": cost.macs,
                "params": cost.params,
                "accuracy": accuracy,
                "flash": len(lean.without_notes(path.read_bytes())),
                "arena": firmware_folder.arena_bytes(path),
                "vela_flash": vela.flash_bytes,
                "vela_sram": vela.sram_bytes,
                "vela_cycles": vela.cycles,
                "npu_share": vela.npu_share,
            }
        )
        print(rows[-1], flush=True)
    on_micro = measured_arena.seconds(paths)
    on_tflite = litert.times(paths, 300).min(0)
    for row, slow, fast in zip(rows, on_micro, on_tflite, strict=True):
        row["micro_seconds"], row["tflite_seconds"] = slow, fast
    return rows


def pruned(task, share, path):
    """The network at a share, fine-tuned, or read from `path` if it exists."""
    if share == "1":
        return task.model
    if path.exists():
        return keras.models.load_model(path)
    scored = None
    if task.y is not None:
        task.model.compile(loss="sparse_categorical_crossentropy")
        scored = task.x, task.y
    small = tfprune.prune(
        task.model,
        tfprune.Budget(macs=float(share)),
        FLAGS.criterion,
        scored,
        reconstruct=task.x,
        channel_multiple=FLAGS.channel_multiple,
    )
    small = task.tune(small)
    small.save(path)
    return small


def write(folder):
    cells = []
    for name in TASKS:
        rows = json.loads((folder / f"{name}.json").read_text())
        cells += [cell(row, rows[0]) for row in rows]
    table = tables.Table(HEADER, tuple(cells), left=1)
    text = (
        "# MLPerf Tiny\n\n"
        f"The reference networks, dense and pruned ({FLAGS.criterion}; groups "
        f"keep multiples of {FLAGS.channel_multiple}; the weights that read "
        "pruned channels are refitted by least squares), as int8 files. "
        "Array: the size of the array that `export_micro` writes. Arena: the "
        "least that is enough on any core. Accuracy on the interpreter of "
        "TFLite Micro. ResNet-8: published "
        f"weights, the 10,000 test images of CIFAR-10; {FLAGS.epochs} epochs "
        "of fine-tuning on the 50,000 training images, seed 0; nothing was "
        f"chosen on the test set. DS-CNN: published weights, {FLAGS.fitted} of "
        "the 1,000 samples to score channels, to refit weights and for "
        f"{FLAGS.speech_epochs} epochs of fine-tuning, seed 0, accuracy on the "
        "others; its original training set was not available. The other two "
        "networks have random weights and no accuracy. TFLite Micro: "
        "reference kernels on this machine; TFLite: XNNPACK, one thread, "
        "int8; both are the minimum of many runs in which the files take "
        f"turns. Vela: estimates for {FLAGS.accelerator}.\n\n"
        f"{table.to_markdown()}\n"
        "On TFLite these networks take a fraction of a millisecond, so that "
        "reading and writing feature maps and the overhead of each op matter "
        "as much as the multiply-adds. `benchmarks/speedup.py` also measures "
        "larger networks.\n\n"
        f"{results.footer('mlperf_tiny.py')}\n"
    )
    results.publish(text, FLAGS.table)


def cell(row, dense):
    def times(key):
        return f"{dense[key] / row[key]:.2f}"

    sizes = ("flash", "arena", "vela_flash", "vela_sram", "vela_cycles")
    return (
        row["network"],
        f"{row['macs']:,}",
        f"{row['params']:,}",
        "" if row["accuracy"] is None else f"{row['accuracy']:.2%}",
        *(f"{row[key]:,}" for key in sizes),
        times("macs"),
        times("micro_seconds"),
        times("tflite_seconds"),
        times("vela_cycles"),
    )


if __name__ == "__main__":
    app.run(main)
