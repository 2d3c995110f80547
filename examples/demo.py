"""From training to the microcontroller, on real handwritten digits.

Trains a small convolutional net with two residual blocks on the 8x8 digits
of scikit-learn, hands it to `tfprune.compress`, and runs the test images on
the TFLite Micro interpreter.

    python examples/demo.py --out=build/demo

writes dense.keras, report.json and the folder `compressed` with model.keras,
model.tflite, firmware/, result.json and report.html.
"""

import json
import pathlib
import shutil

import keras
from absl import app
from absl import flags
from absl import logging

import tfprune
from tfprune import datasets
from tfprune.core import tables
from tfprune.core.files import atomic
from tfprune.datasets import batches
from tfprune.pipeline.result import workspace
from tfprune.reports import evaluation
from tfprune.reports.html import provenance

FLAGS = flags.FLAGS
flags.DEFINE_string("out", "build/demo", "Folder of the results.")
flags.DEFINE_float("macs", 0.25, "Fraction of the multiply-adds to keep.")
flags.DEFINE_integer("flash_bytes", 18_432, "Maximum size of the array.")
flags.DEFINE_integer("ram_bytes", 8_192, "Maximum size of its arena.")
flags.DEFINE_integer("width", 24, "Channels of the first block.")
flags.DEFINE_integer("epochs", 15, "Epochs of the dense net.")
flags.DEFINE_integer("tune_epochs", 30, "Epochs of the smaller net.")
flags.DEFINE_integer("evaluations", 16, "Networks that the search tries.")
flags.DEFINE_integer("seed", 0, "Seed of weights, batches and validation.")


def build(shape, classes, width):
    """A net of two residual blocks, `width` and `2 * width` channels wide."""

    def conv(x, filters, name, strides=1):
        x = keras.layers.Conv2D(
            filters, 3, strides, padding="same", use_bias=False, name=name
        )(x)
        norm = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")
        return norm(x)

    def block(x, filters, name):
        y = keras.layers.ReLU()(conv(x, filters, f"{name}_conv1"))
        return keras.layers.ReLU()(x + conv(y, filters, f"{name}_conv2"))

    inputs = keras.Input(shape, name="image")
    x = keras.layers.ReLU()(conv(inputs, width, "stem"))
    x = block(x, width, "block1")
    x = keras.layers.ReLU()(conv(x, 2 * width, "down", strides=2))
    x = block(x, 2 * width, "block2")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = keras.layers.Dense(classes, name="logits")(x)
    return keras.Model(inputs, outputs, name="digits")


def augmented(dataset, batch_size):
    """Batches of the training images, cropped at random."""
    prepare = (dataset.preprocessing, dataset.augmentation, FLAGS.seed)
    return batches.Batches(dataset.train, batch_size, *prepare)


def fit(model, train, epochs):
    """Trains in place: Adam, cosine schedule."""
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(train))
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.fit(train, epochs=epochs, verbose=0, shuffle=False)


def cleared(folder):
    """The folder of the result, without what a demo before left there.

    Raises:
        FileExistsError: If it holds something else.
    """
    part = folder.with_name(f"{folder.name}.part")
    for old, mark in ((folder, workspace.RESULT), (part, workspace.JOURNAL)):
        if (old / mark).exists():
            shutil.rmtree(old)
    workspace.check_out(folder)
    return folder


def main(arguments):
    del arguments
    logging.set_verbosity(logging.ERROR)
    keras.utils.set_random_seed(FLAGS.seed)
    out = pathlib.Path(FLAGS.out)
    out.mkdir(parents=True, exist_ok=True)
    folder = cleared(out / "compressed")
    dataset = datasets.load("digits", seed=FLAGS.seed)
    parts = {"train": dataset.train, "validation": dataset.val}
    parts["test"] = dataset.test
    samples = {k: (dataset.preprocessing(p.x), p.y) for k, p in parts.items()}
    print(f"Training the dense net, {FLAGS.epochs} epochs ...", flush=True)
    dense = build(dataset.shape, dataset.classes, FLAGS.width)
    fit(dense, augmented(dataset, 32), FLAGS.epochs)
    dense.save(out / "dense.keras")
    print("Compressing it ...", flush=True)
    found = tfprune.compress(
        dense,
        augmented(dataset, 64),
        samples["validation"],
        tfprune.Budget(
            macs=FLAGS.macs,
            flash_bytes=FLAGS.flash_bytes,
            ram_bytes=FLAGS.ram_bytes,
        ),
        out=folder,
        epochs=FLAGS.tune_epochs,
        seed=FLAGS.seed,
        labels=dataset.class_names,
        recipe=tfprune.pipeline.Recipe(
            evaluations=FLAGS.evaluations, selection=256
        ),
        command=f"python examples/demo.py --out={out}",
    )
    floats = evaluation.accuracies([dense, found.model], samples["test"])
    int8 = tfprune.evaluate_tflite(
        found.path, samples["test"], "micro", progress=False
    )
    nets = {
        "dense": found.before | {"test accuracy, float32": floats[0]},
        "compressed": found.after
        | {
            "test accuracy, float32": floats[1],
            "test accuracy, int8 on TFLite Micro": int8,
        },
    }
    settings = {
        "data": "handwritten digits of scikit-learn",
        "images": {name: len(y) for name, (_, y) in samples.items()},
        "seed": FLAGS.seed,
        "epochs": FLAGS.epochs,
        "tune_epochs": FLAGS.tune_epochs,
        "fits": found.fits,
        **provenance.environment(),
    }
    facts = json.dumps({"settings": settings, "nets": nets}, indent=2) + "\n"
    atomic.write({out / "report.json": facts.encode()})
    print(f"\n{found.table().to_text()}")
    print(
        f"On {len(samples['test'][1])} test images: dense "
        f"{tables.percent(floats[0], 2)}, compressed "
        f"{tables.percent(floats[1], 2)}, its int8 file on TFLite Micro "
        f"{tables.percent(int8, 2)}.\n"
    )
    print(f"The report: {pathlib.Path(found.report).resolve().as_uri()}")


if __name__ == "__main__":
    app.run(main)
