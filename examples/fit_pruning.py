"""Prunes inside `fit`: by learned masks, and on a schedule.

Every run starts from the dense network of its seed (`--dense_epochs=0`: from
scratch) and trains for the same number of epochs. Shares are what remains:

- `dense`: trains equally long without pruning, as the baseline
- `gradual`: prunes the smallest weights on Zhu and Gupta's cubic schedule;
  share: weights
- `2:4` and other `n:m`: keeps n of m weights, whatever the share
- `channels`: prunes the smallest channels on the cubic schedule; share:
  multiply-adds
- `slimming`: penalizes batch normalization scales for half of the epochs, then
  prunes the smallest at once; share: multiply-adds
- `str`: learns thresholds; once enough is pruned they are frozen, because the
  decay that a short run needs (`--decay`) is stronger than the paper's; share:
  weights
- `autoprune`: indicators are learned from validation images, and frozen once
  enough is pruned; share: weights
- `bits`: bit lengths are learned from 8 down, then rounded up and fixed; share:
  average bits of 8

  python examples/fit_pruning.py --data_dir=~/tensorflow_datasets --seed=0,1,2
  python examples/fit_pruning.py --smoke

Methods that learn their sparsity may miss the share: the table has both the
requested and the reached one.
"""

import common
import recipes
import study
import summary
from absl import app
from absl import flags

import tfprune

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(study)
flags.adopt_module_key_flags(recipes)
common.defaults(out="build/fit_pruning", macs=["0.5", "0.25"])
SETTINGS = (*study.TRAINING, *recipes.FITTING)


def main(argv):
    del argv
    common.smoke(dataset="digits", model="resnet8", dense_epochs=1, epochs=2)
    common.smoke(macs=["0.5"], method=["gradual", "2:4", "channels", "str"])
    todo = recipes.todo(FLAGS.method or recipes.METHODS, FLAGS.macs)
    rows = list(study.rows(todo, run, SETTINGS))
    title = f"Pruned inside `fit`: {FLAGS.model} on {FLAGS.dataset}"
    summary.finish(rows, title, TEXT)


def run(own, method, share):
    """Trains a copy of the dense network and returns its row."""
    wrapped = recipes.train(own, method, share)
    row = {"method": method, "budget": share}
    return row | measured(own, wrapped, method == "bits")


def measured(own, wrapped, quantized):
    """Measures a network as it will be exported."""
    if quantized:  # A stripped layer no longer quantizes its inputs.
        found = tfprune.reports.bits(wrapped)
        return summary.measured(tfprune.strip(wrapped), own.model) | {
            "bits": found.average_bits,
            "score_2019": found.micronet.score_2019,
            "score_2025": found.micronet.score_2025,
            "accuracy": own.tested(wrapped),
        }
    # The masks changed until the end, so moving averages lag behind.
    x, _ = own.selection
    final = tfprune.recalibrate(tfprune.strip(wrapped), x)
    row = summary.measured(final, own.model)
    return row | {"accuracy": own.tested(final)}


TEXT = (
    "Accuracy on the test images of what was stripped (`bits`: with weights "
    "and inputs quantized), mean (least to most) over the seeds. Budgets are "
    "multiply-adds of `channels` and `slimming`, bits out of 8 of `bits`, "
    "else weights that are not zero. Scores are MicroNet's, lower is better."
)


if __name__ == "__main__":
    app.run(main)
