"""Measures layers on emulated cores, for `tfprune.deploy.cycles`.

Runs int8 networks of many parallel layers on qemu's Cortex-M4 and M55, which
counts the instructions of each op. Fits the instructions of an op to the
iterations of its kernel's loops, and tests the fit on other networks.

  python benchmarks/core_table.py --tflite_micro=../tflite-micro \\
      --table=docs/results/core_table.md
"""

import itertools
import pathlib
import sys

import keras
import numpy as np
import results
import scipy.optimize
from absl import app
from absl import flags

# The tools are not installed.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import tfprune
from tfprune import zoo
from tfprune.core import tables
from tfprune.costs import core_coefficients
from tfprune.costs import core_table
from tfprune.export.convert import tflite
from tfprune.export.micro import op_sizes
from tfprune.export.micro.arena import flat_ops
from tools import firmware_library
from tools import layer_costs
from tools import source_tree

FLAGS = flags.FLAGS
flags.DEFINE_string("tflite_micro", None, "sources of TFLite Micro")
flags.DEFINE_string("build", "build/firmware", "folder of objects")
flags.DEFINE_string("out", "build/bench/core_table", "folder of results")
flags.DEFINE_string("table", "", "also write a table to this file")
flags.DEFINE_list("cores", ["cortex-m4", "cortex-m55"], "what is measured")
flags.DEFINE_bool("fit", True, "also write the library's table")

LAYERS = keras.layers
_TABLE = source_tree.ROOT / "tfprune" / "costs" / "core_coefficients.py"
UNSEEN = ("resnet8", "ds_cnn", "autoencoder", "mobilenet_v1_025")


def convolutions(size, reads):
    """Convolutions of many widths that read the same feature maps."""
    inputs = keras.Input((size, size, reads))
    outputs = []
    for kernel, writes in itertools.product((1, 3), (4, 6, 7, 8, 12, 16, 24)):
        layer = LAYERS.Conv2D(writes, kernel, padding="same")
        outputs.append(layer(inputs))
    strided = LAYERS.Conv2D(16, 3, 2, padding="same")(inputs)
    odd = LAYERS.Conv2D(8, (5, 3), padding="same")(inputs)
    narrow = LAYERS.Conv2D(8, 1, 2)(inputs)
    return keras.Model(inputs, [*outputs, strided, odd, narrow])


def by_channel(size, channels):
    """Depthwise layers, pooling and merge layers with `channels` channels."""
    inputs = keras.Input((size, size, channels))
    outputs = [
        LAYERS.DepthwiseConv2D(kernel, stride, padding="same")(inputs)
        for kernel, stride in ((3, 1), (3, 2), (5, 1), ((10, 4), 2))
    ]
    a, b = outputs[0], outputs[2]
    outputs += [
        LAYERS.Add()([a, b]),
        LAYERS.Multiply()([a, b]),
        LAYERS.Concatenate()([a, b]),
        LAYERS.MaxPooling2D()(inputs),
        LAYERS.AveragePooling2D(2)(inputs),
        LAYERS.GlobalAveragePooling2D()(inputs),
        LAYERS.ZeroPadding2D()(inputs),
        LAYERS.Activation("tanh")(inputs),
        LAYERS.Activation("sigmoid")(inputs),
        LAYERS.LeakyReLU()(inputs),
    ]
    return keras.Model(inputs, outputs)


def broadcasts(size, channels):
    """Merge layers of tensors of different shapes."""
    inputs = keras.Input((size, size, channels))
    x = LAYERS.DepthwiseConv2D(3, padding="same")(inputs)
    others = (
        LAYERS.GlobalAveragePooling2D(keepdims=True)(inputs),
        LAYERS.Conv2D(1, 1)(inputs),
        LAYERS.AveragePooling2D((size, 1))(inputs),
    )
    merge = LAYERS.Multiply(), LAYERS.Add()
    outputs = [layer([x, other]) for other in others for layer in merge]
    return keras.Model(inputs, [*outputs, LAYERS.ReLU()(x * 2.5)])


def dense(reads):
    inputs = keras.Input((reads,))
    outputs = [LAYERS.Dense(n)(inputs) for n in (2, 5, 8, 12, 20, 32, 64, 128)]
    ends = [LAYERS.Softmax()(x) for x in outputs[::2]]
    return keras.Model(inputs, [*outputs, *ends])


_SHAPES = (
    *((8, 1), (8, 6), (8, 8), (8, 12), (8, 16), (8, 44)),
    *((10, 32), (5, 64)),
)
CASES = {
    **{
        f"convolutions_{size}_{reads}": (convolutions, size, reads)
        for size, reads in (
            *((8, 3), (8, 6), (8, 12), (8, 16), (8, 20), (8, 32)),
            *((5, 16), (5, 44), (12, 8), (4, 64)),
        )
    },
    **{
        f"{make.__name__}_{size}_{channels}": (make, size, channels)
        for make in (by_channel, broadcasts)
        for size, channels in _SHAPES
    },
    **{f"dense_{reads}": (dense, reads) for reads in (8, 13, 32, 64, 128, 640)},
}


def export(folder, name, build):
    path = folder / f"{name}.tflite"
    if not path.exists():
        keras.utils.set_random_seed(0)
        model = build()
        shape = 8, *model.inputs[0].shape[1:]
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        tflite.export_tflite(model, path, "int8", x)
        print(name, flush=True)
    return path


def halved(name):
    def build():
        return tfprune.prune(zoo.build(name), tfprune.Budget(macs=0.5))

    return build


def faster(name, core):
    """The network, pruned to 1 / 1.8 of its instructions on a core."""

    def build():
        budget = tfprune.Budget(latency=1 / 1.8, target=core)
        return tfprune.prune(zoo.build(name), budget)

    return build


def macs(size):
    """Multiply-adds of an op."""
    if size.kind == "DEPTHWISE_CONV_2D":
        return size.places * size.window * size.writes
    if size.kind in ("CONV_2D", "FULLY_CONNECTED"):
        return size.places * size.window * size.reads * size.writes
    return 0


def files(folder):
    found = {
        name: export(folder, name, lambda make=make: make[0](*make[1:]))
        for name, make in CASES.items()
    }
    unseen = {}
    for name in UNSEEN:
        unseen[name] = lambda name=name: zoo.build(name)
        if name != "mobilenet_v1_025":
            unseen[f"{name}_half"] = halved(name)
    return found, {k: export(folder, k, build) for k, build in unseen.items()}


def files_for(folder, core):
    """Networks pruned for a core with the current table."""
    return {
        f"{name}_{core}": export(folder, f"{name}_{core}", faster(name, core))
        for name in ("resnet8", "ds_cnn")
    }


def rows_of(path, costs):
    """`(sizes, instructions)` of the ops of a file."""
    (graph,) = flat_ops.read(path.read_bytes())
    return [
        (op_sizes.of(op), count)
        for op, (_, count) in zip(graph.ops, costs.ops, strict=True)
    ]


def fit(rows):
    """Coefficients of each family of ops.

    The fit minimizes relative errors, so that small layers count as much as
    large ones.

    Args:
        rows: list of `(OpSize, instructions)`.

    Returns:
        `dict` from the name of a family to a list of `float`.
    """
    families = {}
    for size, count in rows:
        families.setdefault(core_table.family(size), []).append(
            (core_table.terms(size), count)
        )
    found = {}
    for name, pairs in sorted(families.items()):
        terms = np.array([t for t, _ in pairs], float)
        counts = np.array([max(c, 1) for _, c in pairs], float)
        scale = np.maximum(terms.max(0), 1)
        solved, _ = scipy.optimize.nnls(
            terms / scale / counts[:, None], np.ones(len(counts))
        )
        found[name] = [float(f"{c:.6g}") for c in solved / scale]
    return found


def main(_):
    folder = pathlib.Path(FLAGS.out).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    seen, unseen = files(folder)
    tables_by_core, rows = {}, []
    for core in FLAGS.cores:
        library = firmware_library.Library(
            FLAGS.tflite_micro, core, "cmsis-nn", FLAGS.build
        )
        program = layer_costs.Program(library, folder / core)
        tested = unseen | files_for(folder, core)
        paths = [*seen.values(), *tested.values()]
        costs = dict(zip(paths, program.measure(paths), strict=True))
        fitted = fit(
            [row for p in seen.values() for row in rows_of(p, costs[p])]
        )
        tables_by_core[core] = fitted
        dense = {}
        for name, path in tested.items():
            measured = costs[path].instructions
            ops = [sizes for sizes, _ in rows_of(path, costs[path])]
            predicted = core_table.CoreTable(core, fitted).total(ops)
            of, work = dense.setdefault(
                name.split("_half")[0].split("_cortex")[0],
                (measured, sum(map(macs, ops))),
            )
            rows.append(
                (
                    name,
                    core,
                    f"{round(predicted):,}",
                    f"{measured:,}",
                    f"{predicted / measured - 1:+.1%}",
                    f"{sum(map(macs, ops)) / work:.0%}",
                    f"{of / measured:.2f}",
                )
            )
            print(rows[-1], flush=True)
    if FLAGS.fit:
        known = core_coefficients.COEFFICIENTS | tables_by_core
        about = (
            "Instructions for each term of an op; by benchmarks/core_table.py."
        )
        source_tree.write_data(_TABLE, about, "COEFFICIENTS", known)
    header = ("network", "core", "predicted", "counted", "error")
    header += ("MACs", "times fewer")
    table = tables.Table(header, tuple(rows), left=2)
    text = (
        "# Instructions\n\n"
        "Instructions that `tfprune.deploy.cycles` predicts for int8 files "
        "with CMSIS-NN, and those that qemu counts for one inference "
        "(mps2-an386 for the Cortex-M4, mps3-an547 for the M55). The table "
        "was fitted to single layers, not to these networks. Half: half of "
        "the multiply-adds, without the channels that score lowest; with the "
        "name of a core: pruned with `Budget(latency=1 / 1.8, target=)` for "
        "it. MACs: relative to the dense network. Instructions are not "
        "cycles: memory, branches and multi-beat vector instructions are not "
        "counted, and no board was measured.\n\n"
        f"{table.to_markdown()}\n"
        f"{results.footer('core_table.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
