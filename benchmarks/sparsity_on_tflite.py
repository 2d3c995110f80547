"""What zeros save on TFLite, gzip and NPUs.

Masks ResNet-20 and a network of dense layers in several patterns and exports
them. Measures the size of the file plain, gzipped and in TFLite's sparse
encoding, the time of an inference of the sparse relative to the dense file, and
Vela's flash and cycles. Vela compresses zeros and, on Ethos-U85, skips them in
2:4 patterns.

  python benchmarks/sparsity_on_tflite.py --table=sparsity_on_tflite.md
"""

import gzip
import pathlib
import tempfile
from unittest import mock

import keras
import numpy as np
import results
from absl import app
from absl import flags

import tfprune
from tfprune import zoo
from tfprune.core import tables
from tfprune.export.convert import tflite
from tfprune.export.edit import sparse_encoding
from tfprune.export.micro import npu
from tfprune.export.run import interpreter
from tfprune.export.run import litert

FLAGS = flags.FLAGS
flags.DEFINE_float("sparsity", 0.8, "share of zeros, except for n:m patterns")
flags.DEFINE_integer("runs", 200, "inferences, of which the fastest counts")
flags.DEFINE_string("table", "", "also write the table to this file")

PATTERNS = {
    "dense": None,
    "unstructured": tfprune.patterns.Unstructured(),
    "2:4": tfprune.patterns.NM(2, 4),
    "blocks of 4": tfprune.patterns.Block((1, 4)),
    "blocks of 16": tfprune.patterns.Block((1, 16)),
}
CASES = (
    ("ResNet-20", "int8", ("dense", "unstructured", "2:4", "blocks of 16")),
    ("dense layers", "float32", ("dense", "unstructured", "blocks of 4")),
    ("dense layers", "dynamic", ("dense", "blocks of 4")),
    ("dense layers", "int8", ("dense", "unstructured", "2:4", "blocks of 16")),
)
HEADER = (
    "network",
    "format",
    "zeros",
    "bytes",
    "gzip",
    "sparse encoding",
    "kernels",
    "time, sparse / dense",
    "outputs",
    "auto keeps it",
    "Ethos-U55-128 flash",
    "Ethos-U85-256 cycles",
)


def resnet20():
    return zoo.build("resnet20")


def dense_layers():
    x = inputs = keras.Input((256,))
    for _ in range(3):
        x = keras.layers.Dense(512, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(16)(x))


NETWORKS = {"ResNet-20": resnet20, "dense layers": dense_layers}


def main(_):
    rows = []
    for network, mode, patterns in CASES:
        keras.utils.set_random_seed(0)
        model = NETWORKS[network]()
        shape = (64, *model.inputs[0].shape[1:])
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        model = tfprune.recalibrate(model, x)
        for name in patterns:
            masked = with_zeros(model, PATTERNS[name])
            row = measure(masked, mode, x)
            rows.append((network, mode, name, *row))
            print(rows[-1], flush=True)
    write(rows)


def with_zeros(model, pattern):
    if pattern is None:
        return model
    wrapped = tfprune.wrap(model, tfprune.methods.Masked(pattern))
    two_of_four = isinstance(pattern, tfprune.patterns.NM)
    tfprune.callbacks.prune_now(wrapped, 0.5 if two_of_four else FLAGS.sparsity)
    return tfprune.strip(wrapped)


def measure(model, mode, x):
    """The cells of a row after the first three."""
    seen = {}

    def look(dense, sparse, integers):
        """Keeps the sparse file even if it is not chosen."""
        chosen = sparse_encoding.choose(dense, sparse, integers)
        seen["encoded"] = sparse.read_bytes()
        seen["kept"] = "yes" if chosen == sparse else "no"
        return chosen

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        path, encoded = folder / "a.tflite", folder / "b.tflite"
        data = x if mode == "int8" else None
        tflite.export_tflite(model, path, mode, data)
        choice = mock.Mock(choose=look)
        with mock.patch.object(tflite, "sparse_encoding", choice):
            tflite.export_tflite(
                model, folder / "c.tflite", mode, data, sparse="auto"
            )
        encoded.write_bytes(seen["encoded"])
        slow, fast = litert.times([encoded, path], FLAGS.runs).min(0)
        content = path.read_bytes()
        cells = [
            f"{len(content):,}",
            f"{len(gzip.compress(content)):,}",
            f"{len(seen['encoded']):,}",
            litert.kernels(encoded),
            f"{slow / fast:.2f}",
            same(path, encoded, x[:8]),
            seen["kept"],
        ]
        if mode != "int8":
            return (*cells, "", "")
        flash = npu.compile_for_npu(path, "ethos-u55-128").flash_bytes
        cycles = npu.compile_for_npu(path, "ethos-u85-256").cycles
        return (*cells, f"{flash:,}", f"{cycles:,}")


def same(dense, sparse, x):
    a, b = (interpreter.run(path, x) for path in (dense, sparse))
    return "the same" if np.allclose(a, b, atol=0.02 * np.ptp(a)) else "wrong"


def write(rows):
    text = (
        "# Zeros on TFLite\n\n"
        f"{FLAGS.sparsity:.0%} of the weights of each kernel are zero (half in "
        "2:4); random weights, seed 0. `sparse encoding`: the size of the file "
        "in the converter's sparse encoding, the kernels that run it, the time "
        "of an inference relative to the dense file (one thread, minimum of "
        'many runs), and whether the outputs agree. `sparse="auto"` keeps the '
        "sparse file if it is smaller, int8 still runs on XNNPACK, and outputs "
        "differ by at most one step. Vela: estimates from the dense file.\n\n"
        f"{tables.Table(HEADER, tuple(rows), left=3).to_markdown()}\n"
        f"{results.footer('sparsity_on_tflite.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
