"""A published network into the flash and RAM of a board.

Takes ResNet-8, the network of MLPerf Tiny for CIFAR-10, by default: finds the
shares of its groups that fit the board by their accuracy, fine-tunes what is
left for some epochs, exports int8, and counts flash and RAM on the file and
the accuracy on the TFLite Micro interpreter.

  python examples/fit_board.py --weights=resnet8.npz \\
      --data_dir=~/tensorflow_datasets --table=docs/results/resnet8_board.md

`--teacher=resnet20.npz` distills from a better network.

Nothing is chosen by test images. With `--validation=5000` that many training
images are held out and take their place, to compare settings. A run that was
stopped goes on after its last epoch.
"""

import pathlib

import keras
import numpy as np
import published
import results
from absl import app
from absl import flags

import tfprune
from tfprune import batches
from tfprune import evaluation
from tfprune import tables
from tfprune.export import interpreter
from tfprune.export import tflite
from tfprune.zoo import checkpoints

FLAGS = flags.FLAGS
FLAGS.set_default("checkpoint", "resnet8_mlperftiny_cifar10")
FLAGS.set_default("seeds", ["0"])
flags.DEFINE_integer("flash_bytes", 51_200, "size of the int8 file")
flags.DEFINE_integer("ram_bytes", 40_960, "its tensor arena")
flags.DEFINE_string("strategy", "evolution", "of the search")
flags.DEFINE_integer("evaluations", 150, "networks that the search tries")
flags.DEFINE_string("teacher", "", "weights of a teacher; none without")
flags.DEFINE_string("teacher_name", "resnet20_akamaster_cifar10", "its name")
flags.DEFINE_float("temperature", 4.0, "of the teacher")
flags.DEFINE_float("label_weight", 0.3, "of the labels beside the teacher")
flags.DEFINE_integer("epochs", 10, "of fine-tuning")
flags.DEFINE_float("learning_rate", 2e-3, "of Adam at first, then a cosine")
flags.DEFINE_integer("batch_size", 128, "images per step")
flags.DEFINE_integer("validation", 0, "training images in place of the test")
flags.DEFINE_string("out", "build/fit_board", "folder of the results")
SETTINGS = ("checkpoint", "dataset", "selection", "test", "strategy")
SETTINGS += ("flash_bytes", "ram_bytes")
SETTINGS += ("evaluations", "teacher_name", "temperature", "label_weight")
SETTINGS += ("epochs", "learning_rate", "batch_size", "validation")
MARGIN = 0.985  # Of flash; equal biases are one tensor until they are trained.


def main(argv):
    del argv
    if not FLAGS.teacher:
        FLAGS.teacher_name = "none"
    if FLAGS.smoke:
        FLAGS.evaluations, FLAGS.epochs, FLAGS.test = 6, 1, 64
        FLAGS.selection, FLAGS.seeds = 256, ["0"]
    todo = [("board", ())]
    rows = results.rows(todo, published.Published, run, SETTINGS)
    results.write(to_markdown(list(rows)))


def run(own):
    """Prunes, trains, exports, measures."""
    out = pathlib.Path(FLAGS.out)
    test, train = own.test, own.order
    if FLAGS.smoke:
        train = train[:512]
    if FLAGS.validation:
        test = own.training(len(train) - FLAGS.validation, None)
        train = train[: -FLAGS.validation]
    (dense,) = evaluation.accuracies([own.model], test)
    board = tfprune.Budget(
        flash_bytes=int(MARGIN * FLAGS.flash_bytes), ram_bytes=FLAGS.ram_bytes
    )
    x, _ = own.training(0, 512)
    found = tfprune.search(
        own.model,
        own.selection,
        board,
        FLAGS.strategy,
        FLAGS.evaluations,
        recalibrate=x,
        reconstruct=x,
        seed=own.seed,
        checkpoint=out / f"accuracies-{own.seed}.json",
    )
    fit = tfprune.fit_target(found.model, board, x, out / "untrained.tflite")
    small = fine_tuned(fit.model, own, train)
    path = out / f"seed{own.seed}.tflite"
    file = tflite.export_tflite(small, path, "int8", x)
    arena = tfprune.arena_bytes(path)
    scores = interpreter.run(path, test[0], "micro")
    before, after = evaluation.accuracies([found.model, small], test)
    return {
        "flash": file.file_bytes,
        "ram": arena,
        "fits": file.file_bytes <= FLAGS.flash_bytes
        and arena <= FLAGS.ram_bytes,
        "dense": dense,
        "before": before,
        "float": after,
        "micro": float(np.mean(scores.argmax(-1) == test[1])),
        "tested": len(test[1]),
        "macs": tfprune.cost(small).macs / own.cost.macs,
        "params": tfprune.cost(small).params / own.cost.params,
        "predicted": fit.rounds[-1].predicted,
        "kept": found.ratios,
    }


def fine_tuned(model, own, train):
    """The model after training, by teacher and labels or labels alone."""
    state = pathlib.Path(FLAGS.out) / f"training-{own.seed}"
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
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    learner.fit(
        data,
        epochs=FLAGS.epochs,
        shuffle=False,
        verbose=2,
        callbacks=[keras.callbacks.BackupAndRestore(state)],
    )
    return model


def teacher(own):
    """The teacher, on the inputs of the student and with its outputs."""
    with np.load(FLAGS.teacher) as arrays:
        model = checkpoints.restore(FLAGS.teacher_name, dict(arrays))
    theirs = checkpoints.get(FLAGS.teacher_name).preprocessing
    (scale, shift), (old, zero) = theirs.affine, own.prepare.affine
    # Back to pixels, then on to what the teacher wants.
    factor = scale / old
    shift = shift - zero * factor
    inputs = keras.Input(own.images.shape)
    x = keras.layers.Normalization(
        mean=(shift / factor).tolist(), variance=(1 / factor**2).tolist()
    )(inputs)
    return keras.Model(inputs, keras.layers.Softmax()(model(x)))


def to_markdown(rows):
    """One line for each seed."""
    cells = [
        (str(row["seed"]), tables.number(row["flash"]))
        + (tables.number(row["ram"]), "yes" if row["fits"] else "no")
        + tuple(
            tables.percent(row[key], 2)
            for key in ("dense", "before", "float", "micro")
        )
        + (tables.percent(row["macs"]), tables.percent(row["params"]))
        for row in rows
    ]
    header = ("seed", "flash", "RAM", "fits", "dense")
    header += ("before training", "float", "int8 on TFLM", "MACs", "params")
    limits = rows[0]["settings"]
    what = "training images held out" if limits["validation"] else "test images"
    parts = [
        "# ResNet-8 on a small board",
        f"At most {limits['flash_bytes']:,} bytes of flash (the int8 file) and "
        f"{limits['ram_bytes']:,} of RAM (the tensor arena), both as measured. "
        f"Accuracy on {rows[0]['tested']:,} {what}; the last one as the "
        "TFLite Micro interpreter computes it.",
        tables.Table(header, tuple(cells)).to_markdown().strip(),
        results.facts(rows[0]),
        "Written by `examples/fit_board.py`.",
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    app.run(main)
