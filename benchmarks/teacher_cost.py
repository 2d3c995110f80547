"""What does a teacher cost in a training step?

Trains a network on its labels, with a teacher that answers in every step, and
with a teacher whose outputs were computed once. Rounds alternate between them,
and figures are medians of ratios within a round, so that the machine's speed
cancels out. A teacher is the network itself, dense.

  python benchmarks/teacher_cost.py --table=docs/results/teacher_cost.md
"""

import statistics
import time

import keras
import numpy as np
import results
from absl import app
from absl import flags

import tfprune
from tfprune import zoo
from tfprune.core import tables
from tfprune.pipeline import teacher_outputs
from tfprune.pipeline import tuning
from tfprune.pipeline import tutor
from tfprune.pipeline.request import sources
from tfprune.training import fused_normalization

FLAGS = flags.FLAGS
flags.DEFINE_list("models", ["resnet8", "resnet20"], "networks of tfprune.zoo")
flags.DEFINE_float("macs", 0.5, "share of the multiply-adds to keep")
flags.DEFINE_integer("batch_size", 64, "images per step")
flags.DEFINE_integer("steps", 20, "steps in a round")
flags.DEFINE_integer("rounds", 7, "measured rounds")
flags.DEFINE_string("table", "", "also write the table to this file")
WAYS = ("labels", "in every step", "computed once")


def main(argv):
    del argv
    lines = []
    for name in FLAGS.models:
        rounds, once = measure(name)
        ratios = {
            way: [r[way] / r["labels"] for r in rounds] for way in WAYS[1:]
        }
        lines.append(
            (
                name,
                *(f"{statistics.median(ratios[w]):.3f}" for w in WAYS[1:]),
                *(
                    f"{min(ratios[w]):.2f} to {max(ratios[w]):.2f}"
                    for w in WAYS[1:]
                ),
                f"{once / statistics.median(r['labels'] for r in rounds):.2f}",
            )
        )
    header = ("network", *WAYS[1:], *(f"{way}, range" for way in WAYS[1:]))
    header += ("computing them once",)
    table = tables.Table(header, tuple(lines))
    text = (
        "# What a teacher costs\n\n"
        "CPU time of a training step with a teacher, relative to one on the "
        f"labels alone: median and range of {FLAGS.rounds} rounds of "
        f"{FLAGS.steps} batches of {FLAGS.batch_size} images of 32 x 32. The "
        "student is the network with "
        f"{FLAGS.macs:.0%} of its multiply-adds, the teacher the network "
        "itself. Computing all outputs once is paid once for all epochs; the "
        "last column has its cost in such epochs on the labels.\n\n"
        f"{table.to_markdown()}\n{results.footer('teacher_cost.py')}\n"
    )
    results.publish(text, FLAGS.table)


def measure(name):
    """`(rounds, once)`: CPU seconds by way, and of computing outputs once."""
    rng = np.random.default_rng(0)
    count = FLAGS.steps * FLAGS.batch_size
    x = rng.normal(size=(count, 32, 32, 3)).astype("float32")
    y = rng.integers(0, 10, count)
    dense = zoo.build(name, classes=10, input_shape=(32, 32, 3))
    small = tfprune.prune(dense, macs=FLAGS.macs)
    logits = dense.layers[-1].activation is not keras.activations.softmax
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    source = sources.Source(
        (x, y), "training", small, batch_size=FLAGS.batch_size
    )
    teacher = tuning.teacher_of(dense)
    told = teacher_outputs.TeacherOutputs(teacher, source)

    def learner(is_told):
        model = fused_normalization.fast(small)
        if is_told is not None:
            model = tutor.Tutored.of(
                model, teacher, [("sparse", logits)], is_told=is_told
            )
        model.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=False)
        return model

    began = time.process_time()
    fed = told.epochs()
    once = time.process_time() - began
    runs = {
        "labels": (learner(None), source.epochs()),
        "in every step": (learner(False), source.epochs()),
        "computed once": (learner(True), fed),
    }
    rounds = []
    for _ in range(FLAGS.rounds + 1):
        seconds = {}
        for way, (model, data) in runs.items():
            began = time.process_time()
            model.fit(data, shuffle=False, verbose=0)
            seconds[way] = time.process_time() - began
        rounds.append(seconds)
    return rounds[1:], once  # The first one includes compilation.


if __name__ == "__main__":
    app.run(main)
