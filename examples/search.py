"""Which share of each group may go? An agent against simple strategies.

Prunes a published network to a share of its multiply-adds by each strategy,
with the same criterion and the same images, and measures the test accuracy
before and after recalibration; nothing is trained. The search sees training
images only: some choose the network, others measure batch normalisation.

  python examples/search.py --weights=resnet20.npz \\
      --data_dir=~/tensorflow_datasets --table=docs/results/search_resnet20.md

A search that was stopped goes on where it was; finished ones are found in
`--out` and not repeated.
"""

import json
import pathlib
import statistics

import numpy as np
from absl import app
from absl import flags

import tfprune
from tfprune import data
from tfprune import evaluation
from tfprune import report
from tfprune import tables
from tfprune.export import files
from tfprune.methods import amc
from tfprune.zoo import checkpoints

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "checkpoint", "resnet20_akamaster_cifar10", "name in tfprune.zoo"
)
flags.DEFINE_string("weights", None, "the checkpoint's .npz", required=True)
flags.DEFINE_string("dataset", "cifar10", "data set of tfprune.data")
flags.DEFINE_string("data_dir", None, "where the data set lies")
flags.DEFINE_list(
    "strategies", ["amc", "random", "uniform", "shallow", "deep"], "which"
)
flags.DEFINE_float("macs", 0.5, "share of the MACs that may remain")
flags.DEFINE_integer("evaluations", 400, "trials of amc and random")
flags.DEFINE_integer("warmup", 100, "random episodes of amc at first")
flags.DEFINE_integer("selection", 1000, "training images to choose by")
flags.DEFINE_integer("recalibration", 256, "training images to measure with")
flags.DEFINE_integer("test", 0, "test images; 0 for all")
flags.DEFINE_list("seeds", ["0", "1", "2"], "one search for each")
flags.DEFINE_string("out", "build/search", "folder of the results")
flags.DEFINE_string("table", "", "also write the table to this file")
flags.DEFINE_bool("smoke", False, "six trials, few images, one seed")
SETTINGS = (
    "checkpoint dataset macs evaluations warmup selection recalibration test"
).split()


def main(argv):
    del argv
    if FLAGS.smoke:
        FLAGS.evaluations, FLAGS.warmup, FLAGS.seeds = 6, 3, ["0"]
        FLAGS.selection, FLAGS.recalibration, FLAGS.test = 64, 64, 64
    out = pathlib.Path(FLAGS.out)
    out.mkdir(parents=True, exist_ok=True)
    settings = {name: getattr(FLAGS, name) for name in SETTINGS}
    study, rows = Study(out), []
    for seed in map(int, FLAGS.seeds):
        for strategy in FLAGS.strategies:
            path = out / f"{strategy}-seed{seed}.json"
            if not path.exists():
                row = {"settings": settings} | study.row(strategy, seed)
                files.write({path: json.dumps(row, indent=2).encode()})
            rows.append(json.loads(path.read_text()))
            if rows[-1]["settings"] != settings:
                raise app.UsageError(
                    f"{path} was made with {rows[-1]['settings']}. Choose "
                    "another --out, or the same flags."
                )
            print({k: rows[-1][k] for k in ("strategy", "test")}, flush=True)
    text = to_markdown(rows)
    print(text)
    if FLAGS.table:
        pathlib.Path(FLAGS.table).parent.mkdir(parents=True, exist_ok=True)
        files.write({FLAGS.table: text.encode()})


class Study:
    """The network and the images."""

    def __init__(self, out):
        self.out = out
        with np.load(FLAGS.weights) as arrays:
            self.model = checkpoints.restore(FLAGS.checkpoint, dict(arrays))
        prepare = checkpoints.get(FLAGS.checkpoint).preprocessing
        images = data.load(FLAGS.dataset, FLAGS.data_dir, validation="none")
        order = np.random.default_rng(0).permutation(len(images.train))
        chosen = images.train.take(order[: FLAGS.selection])
        self.selection = prepare(chosen.x), chosen.y
        others = order[FLAGS.selection :][: FLAGS.recalibration]
        self.measured = prepare(images.train.take(others).x)
        test = slice(FLAGS.test or None)
        self.test = prepare(images.test.x[test]), images.test.y[test]

    def row(self, strategy, seed):
        """Searches; measures what was found on the test images."""
        found = tfprune.search(
            self.model,
            self.selection,
            tfprune.Budget(macs=FLAGS.macs),
            strategy,
            FLAGS.evaluations,
            recalibrate=self.measured,
            seed=seed,
            checkpoint=self.out / "accuracies.json",
            settings=amc.Settings(warmup=FLAGS.warmup, seed=seed),
        )
        tfprune.search_plot(found, self.out / f"{strategy}-seed{seed}.png")
        small = tfprune.recalibrate(found.model, self.measured)
        accuracies = evaluation.accuracies([found.model, small], self.test)
        seconds = [trial.seconds for trial in found.trials]
        return {
            "strategy": strategy,
            "seed": seed,
            "test": accuracies[1],
            "before": accuracies[0],
            "selection": found.best.accuracy,
            "macs": found.best.macs / tfprune.cost(self.model).macs,
            "seconds": statistics.median(seconds),
            "search": found.to_dict(),
            "environment": report.environment(),
        }


def to_markdown(rows):
    """One line for each strategy, over the seeds."""
    header = "strategy test as-found selection MACs trials s/trial seeds"
    cells = []
    for strategy in dict.fromkeys(row["strategy"] for row in rows):
        group = [row for row in rows if row["strategy"] == strategy]
        cells.append(
            (strategy, *(_spread(group, k) for k in ("test", "before")))
            + (_spread(group, "selection"),)
            + (f"{statistics.mean(row['macs'] for row in group):.1%}",)
            + (str(len(group[0]["search"]["trials"])),)
            + (f"{statistics.median(row['seconds'] for row in group):.2f}",)
            + (str(len(group)),)
        )
    facts = rows[0]["settings"] | rows[0]["environment"]["versions"]
    facts["machine"] = rows[0]["environment"]["machine"]
    traces = max(row["search"]["traces"] for row in rows)
    parts = [
        f"# Search on {rows[0]['settings']['checkpoint']}",
        "Accuracy without any training, mean (least to most) over the seeds: "
        "`test`, on the test images, after batch normalisation was measured "
        "anew; `as found`, before that; `selection`, on the images that the "
        "search chose by. Single networks depend on no seed. Traces of the "
        f"model in one search, one for each size of batches: {traces}.",
        tables.Table(tuple(header.split()), tuple(cells)).to_markdown().strip(),
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
        "Written by `examples/search.py`.",
    ]
    return "\n\n".join(parts) + "\n"


def _spread(rows, key):
    values = [row[key] for row in rows]
    mean = statistics.mean(values)
    return f"{mean:.2%} ({min(values):.2%} to {max(values):.2%})"


if __name__ == "__main__":
    app.run(main)
