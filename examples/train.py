"""Trains a dense network for the `--model` of the other scripts.

  python examples/train.py --smoke
  python examples/train.py --model=resnet20 --dataset=cifar10 --epochs=30 \\
      --data_dir=~/tensorflow_datasets --out=build/train --seed=0
  python examples/prune.py --model=build/train/resnet20-seed0.keras ...

The learning rate decays from `--learning_rate` to 0 as a cosine. Test images
are never used for choices. A stopped run resumes after its last epoch
(`--resume`).
"""

import pathlib

import common
import study
import summary
from absl import app
from absl import flags

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(study)
common.defaults(out="build/train", method=["dense"], macs=["1"], epochs=30)


def main(argv):
    del argv
    common.smoke(dataset="digits", epochs=1)
    FLAGS.dense_epochs, FLAGS.dense_rate = FLAGS.epochs, FLAGS.learning_rate
    todo = [(name(), ())]
    rows = list(common.rows(todo, lambda seed: seed, run, study.TRAINING))
    text = (
        "Accuracy on the test images after the last epoch, mean (least to "
        "most) over the seeds."
    )
    summary.finish(rows, f"{FLAGS.model} on {FLAGS.dataset}", text)


def name():
    """What results are called: the network, or its file without a folder."""
    return pathlib.Path(FLAGS.model).stem


def run(seed):
    own = study.Study(study.images(), seed)
    study.save(own.model, common.path(f"{name()}-seed{seed}.keras"))
    row = {"method": "dense", "budget": None, "accuracy": own.accuracy}
    return row | summary.measured(own.model, own.model)


if __name__ == "__main__":
    app.run(main)
