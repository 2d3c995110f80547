"""Compares how strategies choose the share of each group.

Prunes a trained network to a fraction of its multiply-adds by each strategy,
with the same criterion and the same images, and measures the test accuracy
without any training. Some training images choose the network, others
recalibrate batch normalization and refit the weights that read kept channels.

  python examples/search.py --smoke
  python examples/search.py --model=resnet20_akamaster_cifar10 \\
      --weights=resnet20_akamaster_cifar10.npz --dataset=cifar10 \\
      --validation=none --data_dir=~/tensorflow_datasets --seed=0,1,2

A stopped search resumes (`--resume`). The networks found are in `--out`, for
`prune.py` and `export.py`.
"""

import statistics

import common
import study
import summary
from absl import app
from absl import flags

import tfprune
from tfprune.searches import amc
from tfprune.searches import searching

SINGLE = ("uniform", "shallow", "deep")
METHODS = ("amc", "random", "greedy", "evolution", "bayesian", *SINGLE)

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(study)
common.defaults(out="build/search", method=list(METHODS), selection=1000)
flags.DEFINE_integer("evaluations", 400, "networks per search strategy")
flags.DEFINE_integer("warmup", 100, "random warm-up episodes of amc")
flags.DEFINE_integer("recalibration", 256, "training images to recalibrate on")
flags.DEFINE_integer(
    "reconstruction", 512, "training images to fit weights by, 0: no fit"
)
flags.DEFINE_list("skip", [], "patterns of groups to keep whole")
flags.DEFINE_string("picture", "", "the trials of the first seed: trials.png")
SETTINGS = (*study.SETTINGS, "evaluations", "warmup")
SETTINGS += ("recalibration", "reconstruction", "skip")


def main(argv):
    del argv
    common.smoke(dataset="digits", model="resnet8", dense_epochs=1)
    common.smoke(evaluations=6, warmup=3, selection=64, test=64)
    common.smoke(recalibration=64, reconstruction=64)
    common.smoke(method=["amc", "greedy", "uniform"])
    common.known(FLAGS.method, METHODS)
    todo = common.grid(FLAGS.method, FLAGS.macs)
    rows = list(study.rows(todo, run, SETTINGS))
    summary.finish(rows, f"Search: {FLAGS.model}", to_text(rows), EXTRA)
    if FLAGS.picture:
        first = [row for row in rows if row["seed"] == rows[0]["seed"]]
        found = [searching.Search.from_dict(row["search"]) for row in first]
        tfprune.plots.search_plot(found, FLAGS.picture)


def run(own, strategy, share):
    """Searches, and measures the network found on the test images."""
    begin = FLAGS.selection
    measured, _ = own.training(begin, begin + FLAGS.recalibration)
    fitted, _ = own.training(begin, begin + FLAGS.reconstruction)
    found = tfprune.search(
        own.model,
        own.selection,
        tfprune.Budget(macs=share),
        strategy,
        FLAGS.evaluations,
        recalibrate=measured,
        reconstruct=fitted if FLAGS.reconstruction else None,
        skip=tuple(FLAGS.skip),
        seed=own.seed,
        checkpoint=common.path(f"accuracies-{own.seed}.json"),
        settings=amc.Settings(warmup=FLAGS.warmup, seed=own.seed),
    )
    file = f"{strategy}-{share:g}-seed{own.seed}.keras"
    study.save(found.model, common.path(file))
    return {
        "method": strategy,
        "budget": share,
        "accuracy": own.tested(found.model),
        "selection": found.best.accuracy,
        "trials": len(found.trials),
        "seconds": statistics.median(t.seconds for t in found.trials),
        "search": found.to_dict(),
        **summary.measured(found.model, own.model),
    }


def to_text(rows):
    settings = rows[0]["settings"]
    traces = max(row["search"]["traces"] for row in rows)
    return (
        "Accuracy without any training, batch normalisation measured anew "
        f"on {settings['recalibration']} images, weights fitted on "
        f"{settings['reconstruction']}, mean (least to most) over the seeds: "
        "on the test images; `selection`: on the images that the search chose "
        "by. Traces of the model in one search, "
        f"one for each size of batches: {traces}."
    )


EXTRA = (
    ("selection", lambda rows: summary.spread(rows, "selection")),
    ("trials", lambda rows: f"{summary.mean(rows, 'trials'):.0f}"),
    ("s/trial", lambda rows: f"{summary.mean(rows, 'seconds'):.2f}"),
)


if __name__ == "__main__":
    app.run(main)
