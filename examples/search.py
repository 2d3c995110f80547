"""Which share of each group may go? An agent against simple strategies.

Prunes a published network to a share of its multiply-adds by each strategy,
with the same criterion and the same images, and measures the test accuracy;
nothing is trained. The search sees training images only: some choose the
network, others measure batch normalisation and fit the weights that read what
is left.

  python examples/search.py --weights=resnet20.npz \\
      --data_dir=~/tensorflow_datasets --table=docs/results/search_resnet20.md

A search that was stopped goes on where it was; finished ones are found in
`--out` and not repeated.
"""

import pathlib
import statistics

import published
import results
from absl import app
from absl import flags

import tfprune
from tfprune import evaluation
from tfprune import tables
from tfprune.methods import amc
from tfprune.searches import searching

FLAGS = flags.FLAGS
FLAGS.set_default("selection", 1000)
flags.DEFINE_list(
    "strategies",
    ["amc", "random", "greedy", "evolution", "bayesian"]
    + ["uniform", "shallow", "deep"],
    "which",
)
flags.DEFINE_integer("evaluations", 400, "networks, but of the last three")
flags.DEFINE_integer("warmup", 100, "random episodes of amc at first")
flags.DEFINE_integer("recalibration", 256, "training images to measure with")
flags.DEFINE_integer(
    "reconstruction", 512, "training images to fit weights by, 0: no fit"
)
flags.DEFINE_list("skip", [], "patterns of groups that are left whole")
flags.DEFINE_string("out", "build/search", "folder of the results")
flags.DEFINE_string("picture", "", "the trials of the first seed: trials.png")
SETTINGS = (*published.SETTINGS, "evaluations", "warmup")
SETTINGS += ("recalibration", "reconstruction", "skip")


def main(argv):
    del argv
    if FLAGS.smoke:
        FLAGS.evaluations, FLAGS.warmup, FLAGS.seeds = 6, 3, ["0"]
        FLAGS.selection = FLAGS.recalibration = FLAGS.test = 64
        FLAGS.reconstruction = 64
    todo = [(strategy, (strategy,)) for strategy in FLAGS.strategies]
    rows = results.rows(todo, published.Published, run, SETTINGS)
    rows = list(rows)
    results.write(to_markdown(rows))
    if FLAGS.picture:
        first = [row for row in rows if row["seed"] == rows[0]["seed"]]
        tfprune.search_plot(
            [searching.Search.from_dict(row["search"]) for row in first],
            FLAGS.picture,
        )


def run(own, strategy):
    """Searches; measures what was found on the test images."""
    out, begin = pathlib.Path(FLAGS.out), FLAGS.selection
    measured, _ = own.training(begin, begin + FLAGS.recalibration)
    fitted, _ = own.training(begin, begin + FLAGS.reconstruction)
    found = tfprune.search(
        own.model,
        own.selection,
        tfprune.Budget(macs=FLAGS.macs),
        strategy,
        FLAGS.evaluations,
        recalibrate=measured,
        reconstruct=fitted if FLAGS.reconstruction else None,
        skip=tuple(FLAGS.skip),
        seed=own.seed,
        checkpoint=out / f"accuracies-{own.seed}.json",
        settings=amc.Settings(warmup=FLAGS.warmup, seed=own.seed),
    )
    (accuracy,) = evaluation.accuracies([found.model], own.test)
    return {
        "strategy": strategy,
        "test": accuracy,
        "selection": found.best.accuracy,
        "macs": found.best.macs / own.cost.macs,
        "seconds": statistics.median(t.seconds for t in found.trials),
        "search": found.to_dict(),
    }


def to_markdown(rows):
    """One line for each strategy, over the seeds."""
    settings = rows[0]["settings"]
    header = "strategy test selection MACs trials s/trial seeds"
    cells = []
    for strategy in dict.fromkeys(row["strategy"] for row in rows):
        group = [row for row in rows if row["strategy"] == strategy]
        cells.append(
            (strategy, results.spread(group, "test"))
            + (results.spread(group, "selection"),)
            + (f"{results.mean(group, 'macs'):.1%}",)
            + (str(len(group[0]["search"]["trials"])),)
            + (f"{results.mean(group, 'seconds'):.2f}", str(len(group)))
        )
    traces = max(row["search"]["traces"] for row in rows)
    parts = [
        f"# Search on {settings['checkpoint']}",
        "Accuracy without any training, batch normalisation measured anew "
        f"on {settings['recalibration']} images, weights fitted on "
        f"{settings['reconstruction']}, mean (least to most) over the seeds: "
        "on the test images, and on the images that the search chose by. "
        "Traces of the model in one search, "
        f"one for each size of batches: {traces}.",
        tables.Table(tuple(header.split()), tuple(cells)).to_markdown().strip(),
        results.facts(rows[0]),
        "Written by `examples/search.py`.",
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    app.run(main)
