"""Do TFLite and TFLite Micro agree on int8 files, image by image?

Exports every network of the zoo to int8 and runs it on the interpreter of
TFLite Micro, on TFLite's reference kernels and on XNNPACK, which phones use. A
row counts the outputs that differ and measures by how many int8 steps. If the
script is started again, it continues with the networks that are missing.

  python benchmarks/bit_exactness.py --data_dir=~/tensorflow_datasets \\
      --weights=resnet20_akamaster_cifar10=weights.npz --table=agreement.md

Weights are published ones if `--weights` names a file, else random, with batch
normalization statistics of training images. Images are those of the test set,
resized to the network's input; other kinds of features are random, or array x
of `--samples=ds_cnn=features.npz`.
"""

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
from tfprune.export.convert import tflite
from tfprune.export.run import interpreter
from tfprune.zoo import checkpoints

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", [], "names in the zoo; empty means all")
flags.DEFINE_string("dataset", "cifar10", "data set of the images")
flags.DEFINE_string("data_dir", None, "folder of the data set")
flags.DEFINE_list("weights", [], "CHECKPOINT=FILE, published weights")
flags.DEFINE_list("samples", [], "NETWORK=FILE.npz with x, inputs")
flags.DEFINE_integer("images", 1000, "test images", lower_bound=1)
flags.DEFINE_integer("calibration", 128, "training images to calibrate on")
flags.DEFINE_string("out", "build/bench/bit_exactness", "folder of results")
flags.DEFINE_string("table", "", "also write a table to this file")

BESIDE = {"reference": "reference kernels", "tflite": "XNNPACK"}
HEADER = (
    "network",
    "weights",
    "images",
    "outputs",
    *(f"{name}: differ" for name in BESIDE.values()),
    *(f"{name}: most, steps" for name in BESIDE.values()),
    "same class",
)


def main(_):
    folder = pathlib.Path(FLAGS.out)
    folder.mkdir(parents=True, exist_ok=True)
    for name in FLAGS.networks or zoo.names():
        path = folder / f"{name}.json"
        if not path.exists():
            row = json.dumps(measure(name, folder))
            atomic.write({path: row.encode()})
            print(row, flush=True)
    write(folder)


def measure(name, folder):
    """The measurements of one network, a `dict`."""
    keras.utils.set_random_seed(0)
    model, weights, prepare = network(name)
    train, test = inputs(name, model, prepare)
    if weights == "random":
        model = tfprune.recalibrate(model, train)
    path = folder / f"{name}.tflite"
    file = tflite.export_tflite(model, path, "int8", train)
    columns = {
        runtime: file.outputs[0]
        .encode(interpreter.run(path, test, runtime))
        .astype(int)
        for runtime in ("micro", *BESIDE)
    }
    row = {
        "network": name,
        "weights": weights,
        "images": len(test),
        "outputs": columns["micro"].size,
    }
    for runtime in BESIDE:
        off = np.abs(columns[runtime] - columns["micro"])
        row[f"{runtime}_differ"] = int((off > 0).sum())
        row[f"{runtime}_most"] = int(off.max())
    best = [c.reshape(len(test), -1).argmax(-1) for c in columns.values()]
    same = (best[0] == best[1]) & (best[0] == best[2])
    row["same_class"] = float(same.mean())
    return row


def network(name):
    """`(model, description of its weights, preprocessing or None)`."""
    for given in FLAGS.weights:
        known, _, path = given.partition("=")
        checkpoint = checkpoints.get(known)
        if checkpoint.network == name:
            model = checkpoints.restore(known, dict(np.load(path)))
            return model, known, checkpoint.preprocessing
    return zoo.build(name), "random", None


def inputs(name, model, prepare):
    """`(calibration inputs, test inputs)`."""
    shape = model.inputs[0].shape[1:]
    counts = FLAGS.calibration, FLAGS.images
    for given in FLAGS.samples:
        network, _, path = given.partition("=")
        if network == name:
            x = np.load(path)["x"]
            x = prepare(x.reshape(len(x), *shape))
            return x[-counts[0] :], x[: counts[1]]
    if len(shape) != 3 or shape[-1] not in (1, 3):
        rng = np.random.default_rng(0)
        return [rng.normal(size=(n, *shape)).astype("float32") for n in counts]
    images = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    prepare = prepare or images.preprocessing
    parts = zip((images.train.x, images.test.x), counts, strict=True)
    return [sized(prepare(x[:count]), shape) for x, count in parts]


def sized(x, shape):
    """Images in the size and with the channels of a network's input."""
    if shape[-1] == 1:
        x = x.mean(-1, keepdims=True)
    x = keras.ops.image.resize(x, shape[:2])
    return keras.ops.convert_to_numpy(x)


def write(folder):
    rows = [json.loads(p.read_text()) for p in sorted(folder.glob("*.json"))]
    cells = [
        (
            row["network"],
            row["weights"],
            f"{row['images']:,}",
            f"{row['outputs']:,}",
            *(f"{row[f'{runtime}_differ']:,}" for runtime in BESIDE),
            *(f"{row[f'{runtime}_most']}" for runtime in BESIDE),
            f"{row['same_class']:.2%}",
        )
        for row in rows
    ]
    table = tables.Table(HEADER, tuple(cells), left=2)
    text = (
        "# TFLite and TFLite Micro\n\n"
        "int8 files on the interpreter of TFLite Micro, compared with "
        "TFLite's reference kernels and XNNPACK: the number of outputs that "
        "differ, the largest difference in int8 steps, and the share of "
        "images for which all three have the same highest output. TFLite "
        "Micro rounds twice when it rescales sums to the output: first the "
        "product to 32 bits, then the shift. TFLite's reference convolutions "
        "do the same, while its dense layers and XNNPACK round once; a test "
        "reproduces both in integer arithmetic bit by bit. A subsequent "
        f"softmax turns one step into several. Test images of {FLAGS.dataset}, "
        "resized to the network's input; ranges measured on "
        f"{FLAGS.calibration} training images; random weights: seed 0, with "
        "batch normalization statistics of the same images.\n\n"
        f"{table.to_markdown()}\n"
        f"{results.footer('bit_exactness.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
