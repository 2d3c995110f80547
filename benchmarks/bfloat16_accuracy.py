"""Whether training in bfloat16 costs accuracy: seeds in pairs.

ResNet-20 is trained on MiniCIFAR from the same start and on the same batches in
float32 and in bfloat16 (`tfprune.training.fast`), once for each seed.

  python benchmarks/bfloat16_accuracy.py --data_dir=DATA \\
      --table=docs/results/bfloat16_accuracy.md

Each run is stored; if the script is started again, it continues with those
that are missing.
"""

import json
import pathlib
import statistics
import time

import keras
import numpy as np
import results
from absl import app
from absl import flags

from tfprune import datasets
from tfprune import training
from tfprune import zoo
from tfprune.core import tables
from tfprune.core.files import atomic
from tfprune.datasets import batches

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "folder of MiniCIFAR")
flags.DEFINE_list("seeds", ["0", "1", "2", "3", "4"], "of weights and batches")
flags.DEFINE_integer("epochs", 30, "of each run")
flags.DEFINE_string("out", "build/bench/bfloat16", "folder of finished runs")
flags.DEFINE_string("table", "", "also write the table to this file")

DTYPES = {"float32": None, "bfloat16": "mixed_bfloat16"}


def run(seed, dtype):
    """Accuracy on the test images after the last epoch, and the seconds."""
    keras.utils.set_random_seed(seed)
    data = datasets.load("minicifar", FLAGS.data_dir, seed=seed)
    prepare = data.preprocessing
    train = batches.Batches(data.train, 128, prepare, data.augmentation, seed)
    model = zoo.build("resnet20", classes=int(data.test.y.max()) + 1)
    model = training.fast(model, DTYPES[dtype])
    schedule = keras.optimizers.schedules.CosineDecay(
        0.1, FLAGS.epochs * len(train)
    )
    model.compile(
        keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    began = time.perf_counter()
    model.fit(train, epochs=FLAGS.epochs, shuffle=False, verbose=0)
    seconds = time.perf_counter() - began
    found = training.plain(model).predict(prepare(data.test.x), verbose=0)
    return {
        "accuracy": float(np.mean(found.argmax(1) == data.test.y)),
        "seconds": seconds,
        "images": [len(data.train), len(data.test)],
    }


def finished(seed, dtype):
    path = pathlib.Path(FLAGS.out) / f"{dtype}-{FLAGS.epochs}-{seed}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write({path: json.dumps(run(seed, dtype)).encode()})
        print(path.stem, path.read_text(), flush=True)
    return json.loads(path.read_text())


def main(argv):
    del argv
    rows, pairs = [], []
    for seed in map(int, FLAGS.seeds):
        plain, half = pair = [finished(seed, dtype) for dtype in DTYPES]
        pairs.append([found["accuracy"] for found in pair])
        rows.append(
            (
                str(seed),
                *(f"{accuracy:.2%}" for accuracy in pairs[-1]),
                f"{100 * (pairs[-1][1] - pairs[-1][0]):+.2f}",
                f"{plain['seconds'] / half['seconds']:.2f}",
            )
        )
    differences = [100 * (half - plain) for plain, half in pairs]
    means = [statistics.mean(column) for column in zip(*pairs, strict=True)]
    rows.append(("mean", *(f"{mean:.2%}" for mean in means), "", ""))
    header = ("seed", *DTYPES, "difference", "times as fast")
    table = tables.Table(header, tuple(rows))
    error = statistics.stdev(differences) / len(differences) ** 0.5
    train, test = plain["images"]
    results.publish(
        "# Accuracy of training in bfloat16\n\n"
        f"ResNet-20 on MiniCIFAR ({train:,} images to train, {test:,} to "
        f"test), {FLAGS.epochs} epochs, last epoch, the same start and batches "
        "for both. Mean difference "
        f"{statistics.mean(differences):+.2f} points, standard error "
        f"{error:.2f}. Times: other load on the machine affects them.\n\n"
        f"{table.to_markdown()}\n{results.footer('bfloat16_accuracy.py')}\n",
        FLAGS.table,
    )


if __name__ == "__main__":
    app.run(main)
