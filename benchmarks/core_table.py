"""Measures layers on emulated cores, for `tfprune.deploy.cycles`.

Runs int8 networks of many parallel layers on qemu's Cortex-M, which counts the
instructions of each op, and on a simulated ESP32-S3. Fits the instructions of
an op to the iterations of its kernel's loops, and tests the fit on other
networks.

  python benchmarks/core_table.py --tflite_micro=../tflite-micro \\
      --esp_nn=../esp-nn --table=docs/results/core_table.md
"""

import itertools
import json
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
from tfprune.costs import core_table
from tfprune.costs import measured_tables
from tfprune.export.convert import tflite
from tfprune.export.micro import op_sizes
from tfprune.export.micro.arena import flat_ops
from tools import esp_nn
from tools import firmware_library
from tools import layer_costs
from tools import source_tree

_CORES = ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m55"]
_ESP = "esp32-s3"
FLAGS = flags.FLAGS
flags.DEFINE_string("tflite_micro", None, "sources of TFLite Micro")
flags.DEFINE_string("esp_nn", "", "sources of ESP-NN, for the ESP32-S3")
flags.DEFINE_string("build", "build/firmware", "folder of objects")
flags.DEFINE_string("out", "build/bench/core_table", "folder of results")
flags.DEFINE_string("table", "", "also write a table to this file")
flags.DEFINE_list("cores", _CORES, "what is measured")
flags.DEFINE_string("layers", "", "folder of results of core_layers.py")
flags.DEFINE_bool("fit", True, "also write the library's table")

LAYERS = keras.layers
_TABLE = source_tree.ROOT / "tfprune" / "costs" / "core_coefficients.json"
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
    narrow = [LAYERS.Conv2D(writes, 1, 2)(inputs) for writes in (4, 8, 16, 24)]
    return keras.Model(inputs, [*outputs, strided, odd, *narrow])


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
    merge = LAYERS.Multiply(), LAYERS.Add(), LAYERS.Subtract()
    outputs = [layer([x, other]) for other in others for layer in merge]
    return keras.Model(inputs, [*outputs, LAYERS.ReLU()(x * 2.5)])


def dense(reads):
    inputs = keras.Input((reads,))
    x = LAYERS.ReLU()(inputs)  # ESP-NN does less where zero is stored as zero.
    outputs = [LAYERS.Dense(n)(x) for n in (2, 5, 8, 12, 20, 32, 64, 128)]
    ends = [LAYERS.Softmax()(x) for x in outputs[::2]]
    return keras.Model(inputs, [*outputs, *ends])


def transposed(size, reads):
    """Transposed convolutions; CMSIS-NN has two ways, by input channels."""
    inputs = keras.Input((size, size, reads))
    outputs = [
        LAYERS.Conv2DTranspose(writes, kernel, stride, padding)(inputs)
        for kernel, stride, padding in (
            *((2, 2, "valid"), (3, 1, "same"), (3, 2, "same")),
            *((4, 2, "same"), (5, 3, "valid")),
        )
        for writes in (1, 4, 8, 12, 16)
    ]
    return keras.Model(inputs, outputs)


def grouped(size, channels):
    inputs = keras.Input((size, size, channels))
    outputs = [
        LAYERS.Conv2D(writes, kernel, padding="same", groups=groups)(inputs)
        for kernel in (1, 3)
        for groups in (2, 4)
        for writes in (4, 8, 16, 24)
    ]
    return keras.Model(inputs, outputs)


def multiplied(size, channels):
    """Depthwise layers with more outputs than inputs, or with gaps."""
    inputs = keras.Input((size, size, channels))
    outputs = [
        LAYERS.DepthwiseConv2D(3, 1, "same", multiplier)(inputs)
        for multiplier in (2, 3, 4)
    ]
    outputs.append(LAYERS.DepthwiseConv2D(5, 1, "valid", 2)(inputs))
    outputs += [
        LAYERS.DepthwiseConv2D(kernel, dilation_rate=2)(inputs)
        for kernel in (2, 3)
    ]
    return keras.Model(inputs, outputs)


def dense_of_steps(steps, reads):
    inputs = keras.Input((steps, reads))
    x = LAYERS.ReLU()(inputs)
    counts = (1, 3, 4, 8, 12, 16, 32)
    return keras.Model(inputs, [LAYERS.Dense(n)(x) for n in counts])


def rows_of_steps(steps, reads):
    """Convolutions and pooling of sequences."""
    inputs = keras.Input((steps, reads))
    outputs = [
        LAYERS.Conv1D(writes, kernel, stride, padding)(inputs)
        for kernel, stride, padding in (
            *((3, 1, "valid"), (3, 1, "same"), (5, 2, "same")),
            *((4, 2, "valid"), (8, 1, "same")),
        )
        for writes in (4, 6, 8, 16)
    ]
    outputs += [
        LAYERS.MaxPooling1D()(inputs),
        LAYERS.AveragePooling1D(3, 1)(inputs),
        LAYERS.GlobalMaxPooling1D()(inputs),
        LAYERS.GlobalAveragePooling1D()(inputs),
    ]
    return keras.Model(inputs, outputs)


def moves(size, channels):
    """Ops that put values elsewhere."""
    inputs = keras.Input((size, size, channels))
    half = size // 2
    outputs = [
        LAYERS.Permute((2, 1, 3))(inputs),
        LAYERS.Permute((3, 1, 2))(inputs),
        LAYERS.Permute((1, 3, 2))(inputs),
        LAYERS.Cropping2D(1)(inputs),
        LAYERS.UpSampling2D()(inputs),
        LAYERS.UpSampling2D(interpolation="bilinear")(inputs),
        keras.ops.flip(inputs, 1),
        keras.ops.flip(inputs, 3),
        keras.ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect"),
        keras.ops.pad(
            inputs, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1.0
        ),
        keras.ops.tile(inputs, (1, 1, 2, 1)),
        *keras.ops.split(inputs, [half], axis=1),
        *keras.ops.split(inputs, 2, axis=1),
        keras.ops.unstack(inputs, axis=1)[0],
        LAYERS.Reshape((half, 2, half, 2 * channels))(inputs),
        LAYERS.Reshape((size * size, channels))(inputs),
        keras.ops.stack([inputs, LAYERS.MaxPooling2D(1)(inputs)], axis=1),
    ]
    return keras.Model(inputs, outputs)


def pointwise(size, channels):
    """Activations and arithmetic of each value, and sums over some."""
    inputs = keras.Input((size, size, channels))
    x = LAYERS.DepthwiseConv2D(3, padding="same")(inputs)
    y = LAYERS.AveragePooling2D(3, 1, "same")(inputs)
    names = ("hard_silu", "gelu", "elu", "relu", "relu6", "log_softmax")
    outputs = [
        *(LAYERS.Activation(name)(y) for name in names),
        LAYERS.PReLU(shared_axes=(1, 2))(y),
        LAYERS.PReLU()(y),
        LAYERS.Softmax()(y),
        LAYERS.LayerNormalization()(y),
        LAYERS.Subtract()([x, y]),
        LAYERS.Maximum()([x, y]),
        LAYERS.Minimum()([x, y]),
        keras.ops.abs(y),
        keras.ops.square(y),
        keras.ops.sqrt(keras.ops.abs(x)),
        x / (1.0 + keras.ops.square(y)),
        LAYERS.GlobalMaxPooling2D()(inputs),
        keras.ops.max(y, axis=-1),
        keras.ops.sum(x, axis=-1),
        keras.ops.mean(x, axis=(1, 3)),
    ]
    return keras.Model(inputs, outputs)


def attention(steps, width):
    inputs = keras.Input((steps, width))
    outputs = [
        LAYERS.MultiHeadAttention(heads, width // 2)(inputs, inputs)
        for heads in (1, 2)
    ]
    outputs.append(LAYERS.Dot((2, 2))([inputs, LAYERS.Dense(width)(inputs)]))
    return keras.Model(inputs, outputs)


def recurrent(steps, reads):
    """LSTM layers, each a single op."""
    inputs = keras.Input((steps, reads))
    outputs = [LAYERS.LSTM(units)(inputs) for units in (3, 8, 16, 20, 48)]
    return keras.Model(inputs, outputs)


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
    **{
        f"dense_{reads}": (dense, reads)
        for reads in (8, 13, 32, 45, 64, 77, 128, 640)
    },
    **{
        f"{make.__name__}_{size}_{channels}": (make, size, channels)
        for make, shapes in (
            (transposed, ((4, 3), (5, 8), (4, 16), (4, 20), (6, 32), (3, 48))),
            (transposed, ((5, 5), (4, 17), (3, 33))),
            (dense_of_steps, ((64, 3), (16, 8), (25, 13), (12, 40))),
            (grouped, ((6, 4), (6, 8), (5, 16), (4, 32), (4, 48))),
            (multiplied, ((6, 1), (6, 3), (8, 8), (6, 16), (5, 24))),
            (rows_of_steps, ((16, 1), (30, 3), (20, 8), (16, 16), (12, 40))),
            (moves, ((4, 2), (8, 3), (16, 4), (6, 8), (8, 16), (4, 40))),
            (pointwise, ((4, 2), (6, 5), (6, 8), (8, 16), (4, 40))),
            (attention, ((6, 8), (12, 16), (10, 24))),
            (recurrent, ((4, 1), (10, 6), (20, 16), (12, 40))),
        )
        for size, channels in shapes
    },
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
    """Networks pruned for a core with the current table, if it has one."""
    if core not in measured_tables.table("core_coefficients"):
        return {}
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


def layers(table):
    """How far off a table is on the layers of `core_layers.py`.

    Args:
        table: a `CoreTable`.

    Returns:
        Rows of a table, one if there are results for the core: how many
        layers, and the largest error of half, of nine in ten, and of all.
    """
    errors = []
    for path in pathlib.Path(FLAGS.layers, "int8").glob(f"*.{table.core}.json"):
        counted = json.loads(path.read_text()).get("instructions")
        file = path.with_name(path.name.split(f".{table.core}")[0] + ".tflite")
        if counted:
            (graph,) = flat_ops.read(file.read_bytes())
            predicted = table.total([op_sizes.of(op) for op in graph.ops])
            errors.append(abs(predicted / counted - 1))
    if not errors:
        return []
    of = [f"{x:.0%}" for x in np.quantile(errors, (0.5, 0.9, 1.0))]
    return [(table.core, f"{len(errors)}", *of)]


def costs_on(core, paths, folder):
    """What files take on a core.

    Args:
        core: `str`.
        paths: list of `pathlib.Path`.
        folder: `pathlib.Path`, for programs.

    Returns:
        `dict` from each path to a `layer_costs.Costs`.
    """
    esp = core == _ESP
    library = firmware_library.Library(
        FLAGS.tflite_micro,
        "cortex-m4" if esp else core,
        "reference" if esp else "cmsis-nn",
        FLAGS.build,
    )
    program = layer_costs.Program(library, folder / core)
    found = dict(zip(paths, program.measure(paths), strict=True))
    if not esp:
        return found
    # Plain C takes about as many instructions on either core.
    kernels = esp_nn.Kernels(FLAGS.esp_nn, folder / "esp_nn")
    for path, costs in found.items():
        ran = list(kernels.ops(path))
        ops = [
            (name, own.instructions if own else count)
            for own, (name, count) in zip(ran, costs.ops, strict=True)
        ]
        total = sum(count for _, count in ops)
        between = costs.instructions - sum(n for _, n in costs.ops)
        found[path] = layer_costs.Costs(ops, total + between)
    return found


def fit(rows, core):
    """Coefficients of each family of ops.

    The fit minimizes relative errors, so that small layers count as much as
    large ones.

    Args:
        rows: list of `(OpSize, instructions)`.
        core: `str`.

    Returns:
        `dict` from the name of a family to a list of `float`.
    """
    families, table = {}, core_table.CoreTable(core, {})
    for size, count in rows:
        families.setdefault(table.family(size), []).append(
            (table.terms(size), count)
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
    tables_by_core, rows, single = {}, [], []
    for core in [*FLAGS.cores, *([_ESP] if FLAGS.esp_nn else [])]:
        tested = unseen | files_for(folder, core)
        paths = [*seen.values(), *tested.values()]
        costs = costs_on(core, paths, folder)
        fitted = fit(
            [row for p in seen.values() for row in rows_of(p, costs[p])], core
        )
        tables_by_core[core] = fitted
        if FLAGS.layers:
            single += layers(core_table.CoreTable(core, fitted))
        dense = {}
        for name, path in tested.items():
            measured = costs[path].instructions
            ops = [sizes for sizes, _ in rows_of(path, costs[path])]
            predicted = core_table.CoreTable(core, fitted).total(ops)
            of, work = dense.setdefault(
                name.removesuffix("_half").removesuffix(f"_{core}"),
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
        known = measured_tables.table("core_coefficients") | tables_by_core
        source_tree.write_data(_TABLE, known)
    header = ("network", "core", "predicted", "counted", "error")
    header += ("MACs", "times fewer")
    table = tables.Table(header, tuple(rows), left=2)
    text = (
        "# Instructions\n\n"
        "Instructions that `tfprune.deploy.cycles` predicts for int8 files "
        "with CMSIS-NN, and those that qemu counts for one inference "
        "(mps2-an385 for the Cortex-M0+ and M3, mps2-an386 for the M4, "
        "mps3-an547 for the M55). For the ESP32-S3 with ESP-NN, a simulator "
        "counts those of its assembly (`tools/xtensa_core.py`), and those of "
        "its C, compiled for another Xtensa core; TFLite Micro's own kernels "
        "count as on the M4. The table "
        "was fitted to single layers, not to these networks. Half: half of "
        "the multiply-adds, without the channels that score lowest; with the "
        "name of a core: pruned with `Budget(latency=1 / 1.8, target=)` for "
        "it. MACs: relative to the dense network. Instructions are not "
        "cycles: memory, branches and multi-beat vector instructions are not "
        "counted, and no board was measured.\n\n"
        f"{table.to_markdown()}\n{_of_layers(single)}"
        f"{results.footer('core_table.py')}\n"
    )
    results.publish(text, FLAGS.table)


def _of_layers(rows):
    if not rows:
        return ""
    header = ("core", "networks", "half within", "nine in ten within", "all")
    table = tables.Table(header, tuple(rows), left=1)
    return (
        "Networks of one layer, op or block, those of [core_layers.md]"
        "(core_layers.md): how far predictions are from what qemu counts. What "
        "an inference takes besides its ops counts as an error, which is a "
        "large part of the smallest layers.\n\n"
        f"{table.to_markdown()}\n"
    )


if __name__ == "__main__":
    app.run(main)
