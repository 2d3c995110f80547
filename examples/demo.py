"""From training to the microcontroller, on real handwritten digits.

Trains a small convolutional net with two residual blocks on the 8x8 digits
of scikit-learn, prunes it to a quarter of its multiply-adds, fine-tunes it,
quantizes it to int8 and runs the test images on the TFLite Micro interpreter.

    python examples/demo.py --out=build/demo

leaves model.keras, model.tflite, firmware/, report.md, report.json
and channels.png in that folder.
"""

import functools
import json
import pathlib
import textwrap

import keras
import numpy as np
import rich.progress
from absl import app
from absl import flags
from absl import logging

import tfprune
from tfprune import datasets
from tfprune.core import atomic
from tfprune.datasets import batches
from tfprune.export.convert import tflite
from tfprune.export.micro import firmware_folder
from tfprune.export.run import interpreter
from tfprune.reports import environment
from tfprune.reports import evaluation
from tfprune.reports import profiles
from tfprune.selection import cut as cut_lib
from tfprune.surgery import shrinking
from tfprune.surgery import verification

FLAGS = flags.FLAGS
flags.DEFINE_string("out", "build/demo", "Folder of the results.")
flags.DEFINE_float("macs", 0.25, "Share of the multiply-adds that may remain.")
flags.DEFINE_integer("width", 24, "Channels of the first block.")
flags.DEFINE_integer("epochs", 15, "Epochs of the dense net.")
flags.DEFINE_integer("tune_epochs", 20, "Epochs of fine-tuning.")
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


def fit(model, dataset, epochs, batch_size, tick):
    """Trains in place: Adam, cosine schedule, crops; `tick` every epoch."""
    prepare = (dataset.preprocessing, dataset.augmentation, FLAGS.seed)
    train = batches.Batches(dataset.train, batch_size, *prepare)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(train))
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    ticks = [keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: tick())]
    model.fit(train, epochs=epochs, verbose=0, shuffle=False, callbacks=ticks)


def shrink(dense, out):
    """Prunes, and checks that `strip` of the masked model is the same."""
    budget = tfprune.Budget(macs=FLAGS.macs)
    small = tfprune.prune(dense, budget)
    graph = tfprune.channel_graph(dense)
    keep = cut_lib.choose(graph, budget).keep
    masked = shrinking.masked(cut_lib.Cut(graph, keep))
    stripped = tfprune.strip(masked)
    verification.check_equal(stripped, small)
    tfprune.plots.channels_plot(graph, keep, out / "channels.png")
    return small, verification.check_equal(masked, stripped)


def measure(models, report, samples, out, advance):
    """`dict` from the name of a net to its numbers, in the table's order."""

    def numbers(profile, accuracy, path, kind):
        return {
            "accuracy": accuracy,
            "params": profile.total.params,
            "macs": profile.total.macs,
            f"{kind}_arena_bytes": firmware_folder.arena_bytes(path),
        }

    nets = {}
    for name, profile in (("dense", report.before), ("pruned", report.after)):
        path = out / f"{name}_float32.tflite"
        tflite.export_tflite(models[name], path)
        nets[name] = numbers(profile, profile.accuracy, path, "float32")
        nets[name]["float32_file_bytes"] = path.stat().st_size
        path.unlink()
        advance(5, f"{name} net on TFLite Micro")
    path = out / "model.tflite"
    tflite.export_tflite(models["pruned"], path, "int8", samples["train"][0])
    sources = firmware_folder.export_micro(
        path, out / "firmware", labels=list("0123456789")
    )
    x, y = samples["test"]
    scores = interpreter.run(path, x, runtime="micro")
    accuracy = float(np.mean(scores.argmax(1) == y))
    found = numbers(report.after, accuracy, path, "int8")
    nets["int8 on TFLM"] = found | {"int8_flash_bytes": sources.flash_bytes}
    advance(10, "int8 net on TFLite Micro")
    return nets


def write(out, settings, nets, report):
    """Writes `report.md` and `report.json`; returns the text to print."""
    images = ", ".join(f"{n} {part}" for part, n in settings["images"].items())
    notes = textwrap.fill(
        f"Data: {settings['data']}, {images} images. Seed {settings['seed']}, "
        f"{settings['epochs']} epochs, then {settings['tune_epochs']} of "
        "fine-tuning, chosen on the validation images. The files of dense and "
        "pruned are float32. A masked model and the stripped one differ by "
        f"{settings['strip_difference']:.1e} of the largest output.",
        79,
    )
    table = profiles.side_by_side(nets)
    text = f"# Demo\n\n{table.to_markdown()}\n{notes}\n\n## Layers\n\n"
    facts = {"settings": settings, "nets": nets, "report": report.to_dict()}
    atomic.write(
        {
            out / "report.md": (text + report.to_markdown()).encode(),
            out / "report.json": json.dumps(facts, indent=2).encode() + b"\n",
        }
    )
    return f"\n{table.to_text()}\n{notes}\n\nThe results are in {out}."


def main(arguments):
    del arguments
    logging.set_verbosity(logging.WARNING)
    keras.utils.set_random_seed(FLAGS.seed)
    out = pathlib.Path(FLAGS.out)
    out.mkdir(parents=True, exist_ok=True)
    dataset = datasets.load("digits", seed=FLAGS.seed)
    parts = {"train": dataset.train, "validation": dataset.val}
    parts["test"] = dataset.test
    samples = {k: (dataset.preprocessing(p.x), p.y) for k, p in parts.items()}
    with rich.progress.Progress() as progress:
        # A step takes about a second.
        total = FLAGS.epochs + FLAGS.tune_epochs // 2 + 20
        task = progress.add_task("dense net", total=total)

        def advance(steps, text):
            progress.update(task, advance=steps, description=text)

        dense = build(dataset.shape, dataset.classes, FLAGS.width)
        tick = functools.partial(advance, 1, "dense net")
        fit(dense, dataset, FLAGS.epochs, 32, tick)
        small, difference = shrink(dense, out)
        tick = functools.partial(advance, 0.5, "fine-tuning")
        fit(small, dataset, FLAGS.tune_epochs, 64, tick)
        small.save(out / "model.keras")
        report = tfprune.compare(dense, small, data=samples["test"])
        models = {"dense": dense, "pruned": small}
        nets = measure(models, report, samples, out, advance)
    validation = evaluation.accuracies([dense, small], samples["validation"])
    settings = {
        "data": "handwritten digits of scikit-learn",
        "images": {name: len(y) for name, (_, y) in samples.items()},
        "seed": FLAGS.seed,
        "epochs": FLAGS.epochs,
        "tune_epochs": FLAGS.tune_epochs,
        "macs": FLAGS.macs,
        "validation_accuracy": dict(zip(models, validation, strict=True)),
        "strip_difference": difference,
        **environment.environment(),
    }
    print(write(out, settings, nets, report))


if __name__ == "__main__":
    app.run(main)
