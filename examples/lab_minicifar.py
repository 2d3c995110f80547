"""The lab: one network, every method, two budgets, one leaderboard.

Trains a dense network for each seed, then prunes it by every method to each
share of its multiply-adds, or of its weights or bits where the structure stays.
All methods train for the same epochs. Each row is added to `rows.csv` in
`--out` once it is measured. `--resume` continues a stopped lab, and another
process can take other seeds at the same time.

  python examples/lab_minicifar.py --data_dir=~/tensorflow_datasets \\
      --table=docs/results/minicifar.md --plot=docs/results/minicifar.png
  python examples/lab_minicifar.py --smoke

Test images are never used for choices: methods that choose use the validation
images, which MiniCIFAR's own recipe leaves unused.
"""

import csv
import io

import common
import fit_pruning
import prune
import recipes
import study
import summary
from absl import app
from absl import flags

import tfprune
from tfprune import reports
from tfprune.core.files import atomic
from tfprune.plots import style

ONCE = {
    "random": "random",
    "l1": "l1",
    "fpgm": "geometric_median",
    "taylor": "taylor",
    "thinet": "thinet_layerwise",
    "pcas": "pcas",
    "amc": "amc",
}
METHODS = ["dense", *ONCE, "slimming", "gradual", "str", "autoprune", "bits"]

FLAGS = flags.FLAGS
for _module in (study, prune, recipes):
    flags.adopt_module_key_flags(_module)
common.defaults(
    out="build/lab_minicifar",
    method=METHODS,
    macs=["0.5", "0.25"],
    seed=["0", "1", "2"],
    skip=["stem_conv", "*_conv2"],
    evaluations=100,
)
flags.DEFINE_string("plot", "", "also draw accuracy against costs: lab.png")
flags.DEFINE_string("rows", "", "draw this rows.csv and train nothing")
SETTINGS = (*study.TRAINING, *prune.CUTTING, *recipes.FITTING)


def main(argv):
    del argv
    common.smoke(dataset="digits", model="resnet8", dense_epochs=1, epochs=2)
    common.smoke(method=["dense", "l1", "str"], seed=["0"], skip=[], decay=0.1)
    if FLAGS.rows:
        draw(read(FLAGS.rows), FLAGS.plot)
        return
    rows = []
    for row in study.rows(todo(), run, SETTINGS):
        rows.append(row)
        append(row)
    hours = sum(row["cpu_seconds"] for row in rows) / 3600
    text = f"{TEXT} All rows together took {hours:.1f} hours of one core."
    title = f"The lab: {FLAGS.model} on {FLAGS.dataset}"
    summary.finish(best_first(rows), title, text, EXTRA)
    if FLAGS.plot:
        draw(rows, FLAGS.plot)


def todo():
    """Pairs of a file name and `(method, share)`, budget after budget."""
    common.known(FLAGS.method, [*METHODS, "channels"])
    cuts = [m for m in FLAGS.method if m in ONCE]
    fits = [m for m in FLAGS.method if m not in ONCE]
    return recipes.todo(fits, FLAGS.macs) + common.grid(cuts, FLAGS.macs)


def run(own, method, share):
    """One row, by the script that the method belongs to."""
    if method in ONCE:
        return prune.run(own, ONCE[method], share) | {"method": method}
    return fit_pruning.run(own, method, share)


def append(row):
    """Adds a row to `rows.csv`, once; readers never see half a file."""
    path = common.path("rows.csv")
    lines = []
    if path.exists():
        with open(path, newline="") as file:
            lines = list(csv.DictReader(file))
    line = {key: "" if row[key] is None else str(row[key]) for key in COLUMNS}
    if line not in lines:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, COLUMNS)
        writer.writeheader()
        writer.writerows([*lines, line])
        atomic.write({path: buffer.getvalue().encode()})


def best_first(rows):
    """Sorts by budget, largest first, then by accuracy, best first."""
    mean = {
        key: summary.mean(group, "accuracy")
        for key, group in summary.groups(rows, "budget", "method").items()
    }
    order = sorted(mean, key=lambda key: (-(key[0] or 1), -mean[key]))
    place = {key: i for i, key in enumerate(order)}
    return sorted(rows, key=lambda r: place[r["budget"], r["method"]])


def read(path):
    """Reads the rows of a `rows.csv`, numbers as numbers."""

    def value(name, text):
        if name == "method":
            return text
        return float(text) if text else None

    with open(path, newline="") as file:
        found = list(csv.DictReader(file))
    return [{k: value(k, text) for k, text in row.items()} for row in found]


def draw(rows, path):
    """Plots the accuracy drop against each cost: means, and all seeds."""
    dense = summary.mean(rows, "dense")

    def point(found, name):
        drop = summary.mean(found, "dense") - summary.mean(found, "accuracy")
        costs = {k: scale * summary.mean(found, k) for k, scale in COSTS}
        costs = {WORDS.get(k, k): cost for k, cost in costs.items()}
        return reports.FrontierPoint(name, dense - drop, costs)

    def frontier(groups):
        points = tuple(point(found, str(name)) for name, found in groups)
        return reports.Frontier("test accuracy", points)

    methods = summary.groups(rows, "method")
    means = {
        method: frontier(summary.groups(found, "budget").items())
        for method, found in methods.items()
    }
    title = f"{FLAGS.model} on {FLAGS.dataset}: mean of all seeds, and each"
    figure = tfprune.plots.frontier_plot(means, None, title, dense)
    for look, found in zip(
        style.series(len(methods)), methods.values(), strict=True
    ):
        for row in found:
            (one,) = frontier([("", [row])]).points
            for axes, cost in zip(
                figure.axes, one.costs.values(), strict=False
            ):
                drop = 100 * (dense - one.value)
                axes.plot(cost, drop, ".", color=look["color"], alpha=0.35)
    style.write(figure, style.writable(path))


COLUMNS = "method budget seed accuracy dense macs params nonzero bits".split()
COLUMNS += ["score_2019", "score_2025", "cpu_seconds"]
COSTS = (("macs", 100), ("nonzero", 100), ("score_2019", 1), ("cpu_seconds", 1))
WORDS = {
    "macs": "MACs left, %",
    "nonzero": "weights that are not zero, %",
    "cpu_seconds": "CPU seconds of pruning and training",
}
TEXT = (
    "Accuracy on the test images, mean (least to most) over the seeds. "
    "Budgets are multiply-adds; of `gradual`, `str` and `autoprune` weights "
    "that are not zero, of `bits` bits out of 8. `dense` trains as long "
    "without pruning; the last column is where all of them start. Scores are "
    "MicroNet's, lower is better."
)
EXTRA = (prune.DENSE,)


if __name__ == "__main__":
    app.run(main)
