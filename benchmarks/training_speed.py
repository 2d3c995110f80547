"""What makes training faster on a CPU? Images per second of several variants.

Two processes train the same networks, one with oneDNN's kernels and one
without, because TensorFlow reads that switch only once. Rounds alternate among
all variants. A factor is the median of ratios within a round to Keras' layers
without oneDNN, so that the machine's speed cancels out. bfloat16 is omitted if
the processor has no instructions for it and TensorFlow would emulate them.

  python benchmarks/training_speed.py --table=docs/results/training_speed.md
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import results
from absl import app
from absl import flags

from tfprune import zoo
from tfprune.core import tables
from tfprune.training import fused_normalization

FLAGS = flags.FLAGS
flags.DEFINE_list("widths", ["16", "12", "8"], "of ResNet-20's first stage")
flags.DEFINE_integer("batch_size", 128, "images per step")
flags.DEFINE_integer("rounds", 3, "measured rounds")
flags.DEFINE_integer("steps", 4, "steps in a round")
flags.DEFINE_integer("threads", 1, "TensorFlow's threads within an op")
flags.DEFINE_string("table", "", "also write the table to this file")
flags.DEFINE_bool("worker", False, "internal: serve the parent process")


def quick16(model):
    return fused_normalization.fast(model, "mixed_bfloat16")


# Name: whether with oneDNN, the change to the network, whether with XLA.
WAYS = {
    "Keras": ("0", None, False),
    "XLA": ("0", None, True),
    "oneDNN": ("1", None, False),
    "oneDNN, fused": ("1", fused_normalization.fast, False),
    "oneDNN, fused, bfloat16": ("1", quick16, False),
}


def main(argv):
    del argv
    if FLAGS.worker:
        work()
        return
    workers = {switch: Worker(switch) for switch in "01"}
    ways = list(WAYS)[: 5 if has_bfloat16() else 4]
    rounds = []
    for _ in range(FLAGS.rounds + 1):
        rounds.append(
            {
                (way, width): workers[WAYS[way][0]].speed(way, width)
                for width in FLAGS.widths
                for way in ways
            }
        )
    for worker in workers.values():
        worker.stop()
    write(rounds[1:], ways)  # The first round includes compilation.


class Worker:
    """A process with oneDNN's kernels (`"1"`) or without (`"0"`)."""

    def __init__(self, switch):
        command = [sys.executable, __file__, "--worker"]
        command += [
            f"--{name}={FLAGS[name].value}"
            for name in ("batch_size", "steps", "threads")
        ]
        self.process = subprocess.Popen(
            command,
            env=dict(os.environ, TF_ENABLE_ONEDNN_OPTS=switch),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def speed(self, way, width):
        """Images a second."""
        print(json.dumps([way, width]), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.communicate()


def work():
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(FLAGS.batch_size, 32, 32, 3)).astype("float32")
    y = rng.integers(0, 10, FLAGS.batch_size)
    models = {}
    for line in sys.stdin:
        way, width = json.loads(line)
        if (way, width) not in models:
            _, change, jit = WAYS[way]
            model = zoo.build("resnet20", width=int(width))
            model = change(model) if change else model
            models[way, width] = compiled(model, jit)
        model = models[way, width]
        start = time.perf_counter()
        for _ in range(FLAGS.steps):
            model.train_on_batch(x, y)
        seconds = time.perf_counter() - start
        print(FLAGS.steps * FLAGS.batch_size / seconds, flush=True)


def compiled(model, jit):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, 0.9), loss, jit_compile=jit)
    return model


def processor():
    """`(name, flags)` of the processor, as Linux reports them."""
    path = pathlib.Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    name = facts.get("model name", "unknown processor")
    return name, facts.get("flags", "").split()


def has_bfloat16():
    return bool({"avx512_bf16", "amx_bf16"} & set(processor()[1]))


def write(rounds, ways):
    cells = []
    for width in FLAGS.widths:
        for way in ways:
            speeds = [r[way, width] for r in rounds]
            factors = [r[way, width] / r["Keras", width] for r in rounds]
            cells.append(
                (
                    width,
                    way,
                    f"{statistics.median(speeds):,.0f}",
                    f"{statistics.median(factors):.2f}",
                )
            )
    header = ("width", "way", "images/s", "factor")
    table = tables.Table(header, tuple(cells), left=2)
    name, known = processor()
    vectors = [
        f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in known
    ]
    text = (
        "# How fast ResNet-20 trains on a CPU\n\n"
        f"{FLAGS.threads} thread(s), batches of {FLAGS.batch_size} images of "
        f"32 x 32; medians of {FLAGS.rounds} rounds that alternate between all "
        "variants; the factor is relative to Keras' layers without oneDNN in "
        f"the same round. {name} with {', '.join(vectors) or 'none'} of AVX2, "
        "AVX-512, AVX512_BF16 and AMX. bfloat16 is omitted if the processor "
        "has no instructions for it. XLA ran without oneDNN. Other load on "
        "the machine affects images/s more than factors; compare widths with "
        "care.\n\n"
        f"{table.to_markdown()}\n"
        f"{results.footer('training_speed.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
