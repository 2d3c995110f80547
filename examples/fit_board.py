"""Fits a published network into the flash and RAM of a board.

By default takes ResNet-8, MLPerf Tiny's network for CIFAR-10, and leaves all to
one call of `tfprune.compress`: it searches for channels that fit the board,
trains, exports to int8, and measures flash and RAM on the file.

  python examples/fit_board.py --weights=resnet8.npz \\
      --data_dir=~/tensorflow_datasets --table=docs/results/resnet8_board.md

`--teacher=resnet20.npz` lets it learn from a better network as well. A stopped
run resumes.

All choices are made on training images that are held out, which the published
weights have seen. Test images are used once, at the end.
"""

import pathlib

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
from tfprune.export.run import interpreter
from tfprune.reports import evaluation
from tfprune.zoo import checkpoints

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(study)
common.defaults(
    out="build/fit_board",
    model="resnet8_mlperftiny_cifar10",
    dataset="cifar10",
    method=["compress"],
    batch_size=128,
)
flags.DEFINE_integer("flash_bytes", 51_200, "size of the int8 file")
flags.DEFINE_integer("ram_bytes", 40_960, "its tensor arena")
flags.DEFINE_float("minutes", 56.0, "for all of it; 0: --epochs instead")
flags.DEFINE_integer("views", 8, "ways in which the images are augmented")
flags.DEFINE_string("teacher", "", "weights of a teacher; none by default")
flags.DEFINE_string("teacher_name", "resnet20_akamaster_cifar10", "its name")
SETTINGS = (*study.SETTINGS, "epochs", "minutes", "views", "flash_bytes")
SETTINGS += ("ram_bytes", "teacher_name")


def main(argv):
    del argv
    if not FLAGS.teacher:
        FLAGS.teacher_name = "none"
    common.smoke(dataset="digits", model="resnet8", dense_epochs=4, epochs=1)
    common.smoke(minutes=0.0, views=2, test=64)
    todo = [(method, (method,)) for method in FLAGS.method]
    rows = list(study.rows(todo, run, SETTINGS))
    text = (
        f"At most {FLAGS.flash_bytes:,} bytes of flash (the int8 file) and "
        f"{FLAGS.ram_bytes:,} of RAM (the tensor arena), both as measured. "
        f"Accuracy on {rows[0]['tested']:,} test images, as the TFLite Micro "
        "interpreter computes it; in the last columns that of the floats."
    )
    summary.finish(rows, f"{FLAGS.model} on a small board", text, EXTRA)


def run(own, method):
    """Compresses, then measures on test images."""
    data = batches.Batches(
        own.images.train,
        FLAGS.batch_size,
        own.prepare,
        own.images.augmentation,
        own.seed,
        views=FLAGS.views,
    )
    found = tfprune.compress(
        own.model,
        data,
        own.val,
        tfprune.Budget(
            flash_bytes=FLAGS.flash_bytes, ram_bytes=FLAGS.ram_bytes
        ),
        out=common.path(f"seed{own.seed}"),
        minutes=FLAGS.minutes or None,
        epochs=None if FLAGS.minutes else FLAGS.epochs,
        seed=own.seed,
        loss=own.loss,
        metrics=["accuracy"],
        teacher=teacher(own) if FLAGS.teacher else None,
    )
    x, y = own.test
    scores = interpreter.run(found.path, x, "micro")
    dense, after = evaluation.accuracies([own.model, found.model], own.test)
    return {
        "method": method,
        "budget": None,
        "flash": pathlib.Path(found.path).stat().st_size,
        "ram": tfprune.export.arena_bytes(found.path),
        "fits": found.fits,
        "dense": dense,
        "float": after,
        "accuracy": float(np.mean(scores.argmax(-1) == y)),
        "tested": len(y),
        **summary.measured(found.model, own.model, bits=8),
    }


def teacher(own):
    """Returns the teacher, with the network's inputs and outputs."""
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
    ("float", lambda rows: f"{summary.mean(rows, 'float'):.2%}"),
)


if __name__ == "__main__":
    app.run(main)
