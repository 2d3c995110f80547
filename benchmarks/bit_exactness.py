"""Whether TFLite and TFLite Micro agree on int8 files, image by image.

Every network of the zoo is exported to int8 and run on the interpreter of
TFLite Micro, on TFLite's plain kernels and on TFLite as phones run it
(XNNPACK). A row counts the outputs that differ, in steps of int8. Networks that
are measured stay measured: started again the script goes on with the others.

  python benchmarks/bit_exactness.py --data_dir=~/tensorflow_datasets \\
      --weights=resnet20_akamaster_cifar10=weights.npz --table=agreement.md

Weights are published ones where `--weights` names a file of them, else random,
with batch normalisation measured on training images. Images are those of the
test set, sized as the network wants them; features of other kinds are random,
or come from `--samples=ds_cnn=features.npz`, array x.
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
flags.DEFINE_list("networks", [], "names in the zoo; all of them if none")
flags.DEFINE_string("dataset", "cifar10", "where the images come from")
flags.DEFINE_string("data_dir", None, "folder of the data set")
flags.DEFINE_list("weights", [], "CHECKPOINT=FILE, published weights")
flags.DEFINE_list("samples", [], "NETWORK=FILE.npz with x, inputs")
flags.DEFINE_integer("images", 1000, "test images", lower_bound=1)
flags.DEFINE_integer("calibration", 128, "training images for ranges")
flags.DEFINE_string("out", "build/bench/bit_exactness", "folder of results")
flags.DEFINE_string("table", "", "also write a table to this file")

BESIDE = {"reference": "plain kernels", "tflite": "XNNPACK"}
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
    """The facts of one network, a `dict`."""
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
    """`(model, what its weights are, preprocessing or None)`."""
    for given in FLAGS.weights:
        known, _, path = given.partition("=")
        checkpoint = checkpoints.get(known)
        if checkpoint.network == name:
            model = checkpoints.restore(known, dict(np.load(path)))
            return model, known, checkpoint.preprocessing
    return zoo.build(name), "random", None


def inputs(name, model, prepare):
    """Inputs to measure ranges on, and those of the test."""
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
    """Images in the size and with the channels that a network wants."""
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
        "int8 files on the interpreter of TFLite Micro, beside TFLite with "
        "its plain kernels and with XNNPACK: outputs that differ, the most "
        "that one differs in steps of int8, and the share of images for which "
        "all three have the same highest output. TFLite Micro rounds twice "
        "when it brings sums to the scale of the output, first the product to "
        "32 bits, then the shift. TFLite's plain convolutions do the same, its "
        "dense layers and XNNPACK round once: a test computes both in "
        "integers and meets each to the last bit. A softmax behind it makes "
        "several steps of one. Images of the test set of "
        f"{FLAGS.dataset}, resized where a network wants another size; ranges "
        f"measured on {FLAGS.calibration} training images; random weights: "
        "seed 0, batch normalisation measured on the same images.\n\n"
        f"{table.to_markdown()}\n"
        f"{results.footer('bit_exactness.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
