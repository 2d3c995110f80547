"""How much flash zeros save: ResNet-8, pruned inside `fit`.

Prunes single weights on a schedule while the network trains on CIFAR-10.
Exports int8 files: plain, with sparse encoding for phones, compressed for
TFLite Micro without a limit and within several arenas, and compiled by Vela.
Compares the outputs of compressed files on test images.

  python benchmarks/compressed_weights.py --data_dir=~/tensorflow_datasets \\
      --weights=resnet8.npz --table=docs/results/compressed_weights.md
"""

import pathlib

import keras
import numpy as np
import results
from absl import app
from absl import flags

import tfprune
from tfprune import datasets
from tfprune.core import tables
from tfprune.export.convert import tflite
from tfprune.export.edit import lean
from tfprune.export.micro import compression
from tfprune.export.micro import firmware_folder
from tfprune.export.micro import npu
from tfprune.export.run import interpreter
from tfprune.zoo import checkpoints

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "folder of CIFAR-10")
flags.DEFINE_string("weights", None, "published weights of ResNet-8")
flags.DEFINE_float("sparsity", 0.8, "share of the weights to prune")
flags.DEFINE_integer("epochs", 8, "epochs of training; pruning ends after half")
flags.DEFINE_float("learning_rate", 2e-3, "of Adam, with cosine decay to 0")
flags.DEFINE_integer("images", 1000, "test images whose outputs are compared")
flags.DEFINE_list("arenas", ["1.0", "1.05", "1.1"], "limits, times the arena")
flags.DEFINE_string("accelerator", "ethos-u55-128", "for Vela")
flags.DEFINE_string("out", "build/bench/compressed_weights", "folder")
flags.DEFINE_string("table", "", "also write a table to this file")

NAME = "resnet8_mlperftiny_cifar10"
HEADER = ("file", "file bytes", "array bytes", "arena bytes", "Vela flash")
HEADER += ("compressed weights", "accuracy", "other outputs")


def main(_):
    keras.utils.set_random_seed(0)
    folder = pathlib.Path(FLAGS.out)
    folder.mkdir(parents=True, exist_ok=True)
    images = datasets.load("cifar10", FLAGS.data_dir, validation="none")
    prepare = checkpoints.get(NAME).preprocessing
    dense = checkpoints.restore(NAME, dict(np.load(FLAGS.weights)))
    path = folder / "sparse.keras"
    if not path.exists():
        trained(dense, images, prepare).save(path)
    models = {"dense": dense, "sparse": keras.models.load_model(path)}
    x = prepare(images.train.x[:256])
    test = prepare(images.test.x), images.test.y
    rows, compared = [], test[0][: FLAGS.images]
    for name, model in models.items():
        file = folder / f"{name}.tflite"
        tflite.export_tflite(model, file, "int8", x)
        vela = npu.compile_for_npu(file, FLAGS.accelerator).flash_bytes
        rows.append(row(name, file, test, vela))
    wanted = interpreter.run(file, compared, "micro")
    arena = firmware_folder.arena_bytes(file)
    limits = [round(float(times) * arena) for times in FLAGS.arenas]
    for limit in (*limits, None):
        out = folder / "compressed.tflite"
        done = compression.compress_tflite(file, out, ram_bytes=limit)
        got = interpreter.run(out, compared, "micro")
        within = f"within {limit:,} bytes of arena" if limit else "no limit"
        count = sum(weight.chosen for weight in done.weights)
        others = int((wanted != got).any(-1).sum())
        rows.append(
            row(f"sparse, compressed, {within}", out, test, "", count, others)
        )
    encoded = folder / "encoded.tflite"
    tflite.export_tflite(models["sparse"], encoded, "int8", x, sparse="auto")
    same = encoded.read_bytes() == file.read_bytes()
    if not same:
        rows.append(row("sparse, sparse encoding", encoded, None, ""))
    zeros = np.mean(
        np.concatenate(
            [
                np.asarray(v).reshape(-1) == 0
                for v in map(keras.ops.convert_to_numpy, kernels(models))
            ]
        )
    )
    write(rows, zeros, same)


def kernels(models):
    return [v for v in models["sparse"].trainable_weights if v.name == "kernel"]


def trained(dense, images, prepare):
    """The network, pruned during training."""
    wrapped = tfprune.wrap(dense, tfprune.methods.Masked())
    steps = -(-len(images.train) // 128) * FLAGS.epochs
    decay = keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, steps)
    wrapped.compile(
        keras.optimizers.Adam(decay), "sparse_categorical_crossentropy"
    )
    ramp = tfprune.schedules.Polynomial(
        0.0, FLAGS.sparsity, begin=0, end=f"{FLAGS.epochs / 2:g} epochs"
    )
    wrapped.fit(
        datasets.tf_batches(images.train, 128, prepare, images.augmentation, 0),
        epochs=FLAGS.epochs,
        callbacks=[tfprune.PruneOnSchedule(ramp)],
        verbose=2,
    )
    return tfprune.strip(wrapped)


def row(name, path, test, vela, count="", others=""):
    """A row of the table; `test` is `None` for files for phones or an NPU."""
    accuracy = arena = ""
    if test:
        accuracy = f"{tfprune.evaluate_tflite(path, test, 'micro'):.2%}"
        arena = f"{firmware_folder.arena_bytes(path):,}"
    content = path.read_bytes()
    return (
        name,
        f"{len(content):,}",
        f"{len(lean.without_notes(content)):,}" if test else "",
        arena,
        f"{vela:,}" if vela else "",
        f"{count}",
        accuracy,
        f"{others}",
    )


def write(rows, zeros, same):
    text = (
        "# Compressed weights\n\n"
        "ResNet-8 of MLPerf Tiny with published weights, whose single weights "
        f"were pruned on a schedule inside `fit` ({zeros:.1%} of the kernels "
        f"zero, {FLAGS.epochs} epochs of the 50,000 training images of "
        "CIFAR-10, seed 0; nothing was chosen on the test set), as int8 "
        "files. Accuracy on the 10,000 test images, on the interpreter of "
        "TFLite Micro; arena: the least that is enough on any core; `array`: "
        "the array that `export_micro` embeds; `other outputs`: of "
        f"{FLAGS.images:,} test images, the number "
        "whose outputs are not bit-identical to those without compression. "
        f"Vela: estimates for {FLAGS.accelerator}; Vela compresses zeros by "
        "itself. The sparse encoding of TFLite "
        + ("saves too little here and is omitted. " if same else "")
        + ("" if same else "is for phones; TFLite Micro does not run it. ")
        + f"\n\n{tables.Table(HEADER, tuple(rows), left=1).to_markdown()}\n"
        f"{results.footer('compressed_weights.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
