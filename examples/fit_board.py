"""Fits a published network into the flash and RAM of a board.

By default uses ResNet-8, MLPerf Tiny's network for CIFAR-10: searches for the
most accurate shares of its groups that fit the board, fine-tunes for some
epochs, exports to int8, and measures flash and RAM on the file and the accuracy
on the TFLite Micro interpreter.

  python examples/fit_board.py --weights=resnet8.npz \\
      --data_dir=~/tensorflow_datasets --table=docs/results/resnet8_board.md

`--teacher=resnet20.npz` distills from a better network.

Test images are never used for choices. With `--held_out=5000`, that many
training images are held out and replace them, to compare settings. A stopped
run resumes after its last epoch.
"""

import common
import keras
import numpy as np
import study
import summary
from absl import app
from absl import flags

import tfprune
from tfprune.core import tables
from tfprune.datasets import batches
from tfprune.export.convert import tflite
from tfprune.export.run import interpreter
from tfprune.reports import evaluation
from tfprune.zoo import checkpoints

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(study)
common.defaults(
    out="build/fit_board",
    model="resnet8_mlperftiny_cifar10",
    dataset="cifar10",
    validation="none",
    method=["evolution"],
    epochs=10,
    learning_rate=2e-3,
    batch_size=128,
)
flags.DEFINE_integer("flash_bytes", 51_200, "size of the int8 file")
flags.DEFINE_integer("ram_bytes", 40_960, "its tensor arena")
flags.DEFINE_integer("evaluations", 150, "networks that the search tries")
flags.DEFINE_string("teacher", "", "weights of a teacher; none by default")
flags.DEFINE_string("teacher_name", "resnet20_akamaster_cifar10", "its name")
flags.DEFINE_float("temperature", 4.0, "temperature of the distillation")
flags.DEFINE_float("label_weight", 0.3, "weight of the labels' loss")
flags.DEFINE_integer("held_out", 0, "training images to use instead of test")
SETTINGS = (*study.TRAINING, "flash_bytes", "ram_bytes", "evaluations")
SETTINGS += ("teacher_name", "temperature", "label_weight", "held_out")
MARGIN = 0.985  # Of flash: equal biases share a tensor until they are trained.


def main(argv):
    del argv
    if not FLAGS.teacher:
        FLAGS.teacher_name = "none"
    common.smoke(dataset="digits", model="resnet8", dense_epochs=1, epochs=1)
    common.smoke(evaluations=6, selection=256, test=64)
    todo = [(method, (method,)) for method in FLAGS.method]
    rows = list(study.rows(todo, run, SETTINGS))
    what = "training images held out" if FLAGS.held_out else "test images"
    text = (
        f"At most {FLAGS.flash_bytes:,} bytes of flash (the int8 file) and "
        f"{FLAGS.ram_bytes:,} of RAM (the tensor arena), both as measured. "
        f"Accuracy on {rows[0]['tested']:,} {what}, as the TFLite Micro "
        "interpreter computes it; in the last columns that of the floats."
    )
    summary.finish(rows, f"{FLAGS.model} on a small board", text, EXTRA)


def run(own, strategy):
    """Prunes, trains, exports and measures."""
    test, train = own.test, own.order
    if FLAGS.held_out:
        test = own.training(len(train) - FLAGS.held_out, None)
        train = train[: -FLAGS.held_out]
    (dense,) = evaluation.accuracies([own.model], test)
    board = tfprune.Budget(
        flash_bytes=int(MARGIN * FLAGS.flash_bytes), ram_bytes=FLAGS.ram_bytes
    )
    x, _ = own.training(0, 512)
    found = tfprune.search(
        own.model,
        own.selection,
        board,
        strategy,
        FLAGS.evaluations,
        recalibrate=x,
        reconstruct=x,
        seed=own.seed,
        checkpoint=common.path(f"accuracies-{own.seed}.json"),
    )
    file = common.path("untrained.tflite")
    fit = tfprune.fit_target(found.model, board, x, file)
    small = fine_tuned(fit.model, own, train)
    path = common.path(f"seed{own.seed}.tflite")
    file = tflite.export_tflite(small, path, "int8", x)
    arena = tfprune.export.arena_bytes(path)
    scores = interpreter.run(path, test[0], "micro")
    before, after = evaluation.accuracies([found.model, small], test)
    return {
        "method": strategy,
        "budget": None,
        "flash": file.file_bytes,
        "ram": arena,
        "fits": file.file_bytes <= FLAGS.flash_bytes
        and arena <= FLAGS.ram_bytes,
        "dense": dense,
        "before": before,
        "float": after,
        "accuracy": float(np.mean(scores.argmax(-1) == test[1])),
        "tested": len(test[1]),
        **summary.measured(small, own.model, bits=8),
        "predicted": fit.rounds[-1].predicted,
        "kept": found.kept,
    }


def fine_tuned(model, own, train):
    """Returns the trained model, from teacher and labels or labels alone."""
    state = common.path(f"training-{own.seed}")
    data = batches.Batches(
        own.images.train.take(train),
        FLAGS.batch_size,
        own.prepare,
        own.images.augmentation,
        own.seed,
    )
    learner = model
    if FLAGS.teacher:
        learner = tfprune.distill(
            model, teacher(own), FLAGS.temperature, FLAGS.label_weight
        )
    rate = keras.optimizers.schedules.CosineDecay(
        FLAGS.learning_rate, FLAGS.epochs * len(data)
    )
    learner.compile(
        keras.optimizers.Adam(rate),
        own.loss,
        metrics=["accuracy"],
    )
    learner.fit(
        data,
        epochs=FLAGS.epochs,
        shuffle=False,
        verbose=2,
        callbacks=[tfprune.callbacks.Backup(state, data=data)],
    )
    return model


def teacher(own):
    """Returns the teacher, with the student's inputs and outputs."""
    with np.load(FLAGS.teacher) as arrays:
        model = checkpoints.restore(FLAGS.teacher_name, dict(arrays))
    theirs = checkpoints.get(FLAGS.teacher_name).preprocessing
    (scale, shift), (old, zero) = theirs.affine, own.prepare.affine
    # The teacher has its own preprocessing: back to pixels first.
    factor = scale / old
    shift = shift - zero * factor
    inputs = keras.Input(own.images.shape)
    x = keras.layers.Normalization(
        mean=(shift / factor).tolist(), variance=(1 / factor**2).tolist()
    )(inputs)
    return keras.Model(inputs, keras.layers.Softmax()(model(x)))


EXTRA = (
    ("flash", lambda rows: tables.number(max(r["flash"] for r in rows))),
    ("RAM", lambda rows: tables.number(max(r["ram"] for r in rows))),
    ("fits", lambda rows: "yes" if all(r["fits"] for r in rows) else "no"),
    ("dense", lambda rows: f"{summary.mean(rows, 'dense'):.2%}"),
    ("untrained", lambda rows: f"{summary.mean(rows, 'before'):.2%}"),
    ("float", lambda rows: f"{summary.mean(rows, 'float'):.2%}"),
)


if __name__ == "__main__":
    app.run(main)
