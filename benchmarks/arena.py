"""Compares predicted arenas with the smallest in which emulated cores run.

Predicts the arenas of the networks of MLPerf Tiny, dense and pruned, and of
recurrent networks, int16x8 and compressed weights with
`tfprune.export.arena_bytes`.
With the sources of TFLite Micro, finds the smallest arena and counts the
instructions of an inference on qemu's Cortex-M4 and M55.

  python benchmarks/arena.py --tflite_micro=../tflite-micro \\
      --table=docs/results/arena.md

If it is started again, it continues with the missing rows.
"""

import json
import pathlib

import emulated
import keras
import numpy as np
import results
from absl import app
from absl import flags

import tfprune
from tfprune import zoo
from tfprune.core import tables
from tfprune.core.files import atomic
from tfprune.export.convert import tflite
from tfprune.export.micro import compression
from tfprune.export.micro import firmware_folder
from tfprune.export.micro.arena import offline_plan

FLAGS = flags.FLAGS
flags.DEFINE_list("only", [], "names of networks; empty means all")
flags.DEFINE_string("out", "build/bench/arena", "folder of results")
flags.DEFINE_string("table", "", "also write a table to this file")

TARGETS = (
    ("reference", "cortex-m4"),
    ("cmsis-nn", "cortex-m4"),
    ("cmsis-nn", "cortex-m55"),
)
HEADER = (
    "network",
    "kernels",
    "core",
    "predicted",
    "least",
    "error",
    "used",
    "instructions",
    "outputs that differ",
)


def half(name):
    """A network of the zoo, pruned to half of its multiply-adds."""

    def build():
        model, x = zoo_model(name)
        small = tfprune.prune(model, tfprune.Budget(macs=0.5))
        return tfprune.recalibrate(small, x)

    return build


def zoo_model(name):
    model = zoo.build(name)
    x = samples(model)
    if name != "autoencoder":
        model = tfprune.recalibrate(model, x)
    return model, x


def whole(name):
    return lambda: zoo_model(name)[0]


def samples(model):
    rng = np.random.default_rng(0)
    shape = 32, *model.inputs[0].shape[1:]
    return rng.normal(size=shape).astype("float32")


def recurrent(kind):
    def build():
        inputs = keras.Input((12, 3))
        x = kind(8)(inputs)
        x = keras.layers.RepeatVector(12)(x)
        x = kind(8, return_sequences=True)(x)
        return keras.Model(
            inputs, keras.layers.TimeDistributed(keras.layers.Dense(3))(x)
        )

    return build


def sparse():
    """ResNet-8 with 80 % of its weights zero."""
    model, _ = zoo_model("resnet8")
    wrapped = tfprune.wrap(model, tfprune.methods.Masked())
    tfprune.callbacks.prune_now(wrapped, 0.8)
    return tfprune.strip(wrapped)


def compressed(path):
    compression.compress_tflite(path, path)


def planned(path):
    path.write_bytes(offline_plan.planned(path.read_bytes()))


# How to build each, its mode, and what is done to the file.
NETWORKS = {
    **{
        f"{name}{suffix}": (make(name), "int8", None)
        for name in ("resnet8", "ds_cnn", "autoencoder", "mobilenet_v1_025")
        for suffix, make in (("", whole), (", half", half))
    },
    "LSTM": (recurrent(keras.layers.LSTM), "int8", None),
    "GRU": (recurrent(keras.layers.GRU), "int8", None),
    "ds_cnn, int16x8": (whole("ds_cnn"), "int16x8", None),
    "resnet8, compressed": (sparse, "int8", compressed),
    "ds_cnn, half, planned": (half("ds_cnn"), "int8", planned),
    **{
        f"mobilenet_v1_025{suffix}, planned": (
            make("mobilenet_v1_025"),
            "int8",
            planned,
        )
        for suffix, make in (("", whole), (", half", half))
    },
}


def main(_):
    folder = pathlib.Path(FLAGS.out).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    names = FLAGS.only or NETWORKS
    # Rows are sorted so that each core's library is built only once. The
    # reference kernels come last, as they are slowest.
    for kernels, core in reversed(TARGETS):
        for name in names:
            path = export(folder, name)
            found = folder / f"{path.stem}-{core}-{kernels}.json"
            if FLAGS.tflite_micro and not found.exists():
                row = emulated.measure(folder, path, kernels, core)
                print(name, kernels, core, row, flush=True)
                atomic.write({found: json.dumps(row, indent=1).encode()})
                write(folder)
    write(folder)


def export(folder, name):
    """The path of a network's file, which is written if it is missing."""
    path = folder / f"{name.replace(', ', '_')}.tflite"
    if path.exists():
        return path
    build, quantize, finish = NETWORKS[name]
    keras.utils.set_random_seed(0)
    model = build()
    tflite.export_tflite(model, path, quantize, samples(model))
    if finish is not None:
        finish(path)
    return path


def write(folder):
    rows = []
    for name in NETWORKS:
        path = folder / f"{name.replace(', ', '_')}.tflite"
        if not path.exists():
            continue
        for kernels, core in TARGETS:
            need = firmware_folder.arena_bytes(path, kernels, core)
            found = folder / f"{path.stem}-{core}-{kernels}.json"
            cells = [""] * 5
            if found.exists():
                row = json.loads(found.read_text())
                cells = [
                    f"{row['least']:,}",
                    f"{need / row['least'] - 1:+.2%}",
                    f"{row['used']:,}",
                    f"{row['instructions']:,}",
                    f"{row['differ']} of {row['values']}",
                ]
            rows.append((name, kernels, core, f"{need:,}", *cells))
    table = tables.Table(HEADER, tuple(rows), left=3)
    text = (
        "# Arenas\n\n"
        "The arena that `tfprune.export.arena_bytes` predicts for the kernels "
        "of a core, without running the file, and the smallest arena in which "
        "TFLite Micro starts and runs it, found by bisection (bytes). A "
        "program with all kernels, built with GCC and TFLite Micro's own "
        "flags, runs in qemu: mps2-an386 (Cortex-M4) and mps3-an547 "
        "(Cortex-M55). `used`: the arena that the interpreter reports. "
        "Instructions: those of one inference, counted by qemu, without a "
        "board or a cache. Outputs must be bit-identical to those of the "
        "interpreter on this machine. Weights are random, seed 0. half: half "
        "of the multiply-adds; compressed: 80 % of the weights are zero; "
        "planned: the file holds a memory plan (`plan_memory=True`).\n\n"
        f"{table.to_markdown()}\n"
        f"{results.footer('arena.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
