"""Measures every finished record again and compares it with its figures.

  python examples/verify_records.py --data_dir=DIR
  python examples/verify_records.py --data_dir=DIR --weights_dir=DIR \\
      --page=docs/results/records.md --plot=docs/results/records.png

Loads `records/*/model.keras` with plain Keras, runs the test images, counts
parameters and multiply-adds, and prints the published figures beside them.
Counts must equal those of `metrics.json`; accuracy may differ by two images in
10,000, because processors round differently. int8 firmware is exported anew and
run on TFLite Micro; it may differ by ten images, and sizes by 1 %. Exits with 1
if a record differs. Unfinished records are listed with their epoch.
"""

import dataclasses
import pathlib
import statistics

import keras
import record_entries as entries
import record_files
import record_firmware
import record_plot
from absl import app
from absl import flags

import tfprune
from tfprune import datasets
from tfprune.core import tables
from tfprune.datasets import batches
from tfprune.reports import evaluation

FLAGS = flags.FLAGS
ROOT = pathlib.Path(__file__).resolve().parent.parent
flags.DEFINE_string("records", str(ROOT / "records"), "folder of the records")
flags.DEFINE_string("data_dir", None, "where the data set lies")
flags.DEFINE_string("page", "", "also write a page with the table there")
flags.DEFINE_string("plot", "", "also draw accuracy against parameters there")
flags.DEFINE_string(
    "weights_dir", None, "where the published .npz files lie, for the plot"
)
TOLERANCE = 2e-4
ROUNDING = 1e-9  # Of differences: 0.9341 - 0.9339 is more than 2e-4.
INT8_TOLERANCE = {"accuracy": 1e-3, "flash_bytes": 0.01, "arena_bytes": 0.01}
HEADER = (
    "record",
    "published",
    "goal",
    "accuracy",
    "parameters",
    "multiply-adds",
    "epochs",
    "verified",
)


@dataclasses.dataclass(frozen=True)
class Measured:
    """Measurements of a network.

    Attributes:
        params, macs: `int`.
        accuracy: `float`, on the test images.
        layers: whether all layers are Keras' own.
        int8: `dict`, as `record_firmware.measure` returns it, if the record
            has a goal in int8.
    """

    params: int
    macs: int
    accuracy: float
    layers: bool
    int8: dict | None = None

    def differences(self, metrics):
        """Returns the differences from `metrics.json`, a list of sentences."""
        found = []
        for name in ("params", "macs"):
            if getattr(self, name) != metrics[name]:
                found.append(
                    f"{name} are {getattr(self, name)}, not {metrics[name]}"
                )
        said = metrics["test_accuracy"]
        if abs(self.accuracy - said) > TOLERANCE + ROUNDING:
            found.append(f"accuracy is {self.accuracy:.2%}, not {said:.2%}")
        if not self.layers:
            found.append("layers are not Keras' own")
        for name, value in (self.int8 or {}).items():
            said, most = metrics["int8"][name], INT8_TOLERANCE[name]
            if abs(value - said) > most * (said if said > 1 else 1) + ROUNDING:
                found.append(f"in int8 {name} is {value}, not {said}")
        return found


def main(argv):
    del argv
    folder = pathlib.Path(FLAGS.records).expanduser()
    done, wrong, rows = record_files.finished(folder), [], []
    for name, metrics in done.items():
        measured = measure(folder / name / "model.keras", metrics)
        found = measured.differences(metrics)
        wrong += [f"{name}: {complaint}" for complaint in found]
        rows.append(row(name, metrics, measured, not found))
    for name, line in record_files.progress(folder).items():
        if name not in done:
            state = f"{line['epoch']} of {line['epochs']}"
            rows.append((name, *[""] * 5, state, "unfinished"))
    table, begun = tables.Table(HEADER, tuple(rows)), dense(done)
    print(table.to_text())
    if firmware := record_firmware.table(done):
        print(firmware.to_text())
    if FLAGS.page:
        pathlib.Path(FLAGS.page).write_text(page(table, done, begun))
    if FLAGS.plot:
        record_plot.draw(done, begun, FLAGS.plot)
    if wrong:
        raise SystemExit("\n".join(wrong))


def measure(path, metrics):
    """Loads a network with Keras alone and measures it."""
    model = keras.saving.load_model(path, compile=False)
    cost = tfprune.cost(model)
    own = all(
        type(layer).__module__.startswith("keras.") for layer in model.layers
    )
    int8 = None
    if "int8" in metrics:
        int8 = record_firmware.measure(model, *images(metrics))
    return Measured(cost.params, cost.macs, tested(model, metrics), own, int8)


def dense(done):
    """Accuracies of the pruned networks before, by name, if they are here."""
    found = {}
    for metrics in done.values():
        name = metrics["network"]
        folder = pathlib.Path(FLAGS.weights_dir or ".").expanduser()
        records = pathlib.Path(FLAGS.records).expanduser()
        here = (folder / f"{name}.npz").exists()
        if name not in found and (here or name.startswith(entries.RECORD)):
            model = entries.network(name, folder, records, None)
            found[name] = tested(model, metrics)
    return found


def images(metrics):
    """`(preprocessing, data set)` of a record."""
    dataset = datasets.load(
        metrics["dataset"], FLAGS.data_dir, validation="none"
    )
    return batches.Preprocessing(**metrics["preprocessing"]), dataset


def tested(model, metrics):
    """The accuracy of a network on the test images of a record."""
    prepare, dataset = images(metrics)
    test = prepare(dataset.test.x), dataset.test.y
    return evaluation.accuracies([model], test)[0]


def row(name, metrics, measured, verified):
    published = metrics["published"]
    return (
        name,
        f"{published['accuracy']:.2%} ({published['source']})",
        f"{metrics['goal']:.2%}",
        f"{measured.accuracy:.2%}",
        beside(measured.params, metrics["dense_params"]),
        beside(measured.macs, metrics["dense_macs"]),
        str(metrics["epochs"]),
        "yes" if verified else "NO",
    )


def page(table, done, begun):
    """Returns the page of `docs/results` as text."""
    ways = "\n".join(f"- {way(name, m)}" for name, m in done.items())
    picture, worth = "", ""
    if pathlib.Path(FLAGS.page).with_name("ablation.md").exists():
        worth = (
            "What each part of the training is worth was measured [on "
            "MiniCIFAR](ablation.md), one change at a time.\n\n"
        )
    firmware = ""
    if found := record_firmware.table(done):
        firmware = (
            "## As firmware\n\nint8, calibrated on 256 training images; all "
            "test images on TFLite Micro. Flash is the array that "
            "`export_micro` writes, the arena the least on any core.\n\n"
            f"{found.to_markdown()}\n"
        )
    if FLAGS.plot:
        name = pathlib.Path(FLAGS.plot).name
        picture = f"![Accuracy against size]({name})\n\n"
    return (
        "# Records\n\n"
        "Networks that were pruned and trained to the end, as they lie in "
        "`records/`, measured again: accuracy on the test images after the "
        "last epoch, never the best one. Nothing was chosen on test images. "
        "Shares are of the dense network. `python examples/records.py` makes "
        "them, `make verify-records` measures them.\n\n"
        f"{table.to_markdown()}\n{picture}{firmware}"
        "## What these figures do not tell\n\n"
        f"{caveats(done, begun)}\n\n"
        f"{worth}"
        "## How each was made\n\n"
        f"{ways}\n\n"
        "Written by `examples/verify_records.py`.\n"
    )


def caveats(done, begun):
    """Returns a list of what the protocols hide, theirs and ours."""
    found = [
        "Which epoch: many papers publish the best epoch by test images, "
        "which chooses among as many networks as there are epochs. These are "
        "the last.",
        "Who taught: these networks learned from the dense one and a second "
        "one. Papers of pruning alone train on labels.",
        "Which channels: a row compares with a paper at its size; the channels "
        "were chosen in the way that is named below, not in the paper's.",
    ]
    for entry, runs in record_files.by_entry(done).items():
        values = [run["test_accuracy"] for run in runs]
        first = runs[0]
        if len(values) > 1:
            goal = sum(value >= first["goal"] for value in values)
            found.append(
                f"Which seed: {entry} has a mean of "
                f"{statistics.mean(values):.2%} over {len(values)} seeds, from "
                f"{min(values):.2%} to {max(values):.2%}; {goal} of them "
                f"reached the goal of {first['goal']:.2%}. A paper that "
                "publishes one figure does not say which it is."
            )
        gap, planned = first["goal"] - max(values), entries.ENTRIES.get(entry)
        if gap > 0:
            short = ""
            if planned and first["epochs"] < planned.epochs:
                short = f" of the {planned.epochs} that were planned"
            found.append(
                f"What is missing: {entry} is {100 * gap:.2f} points below its "
                f"goal, after {first['epochs']} epochs{short}."
            )
        theirs, own = first["published"].get("dense"), first["network"]
        if theirs and own in begun:
            found.append(
                "Where it began: the dense network of "
                f"{first['published']['source']}, had {theirs:.2%}; that of "
                f"{entry} had {begun[own]:.2%}."
            )
    return "\n".join(f"- {line}" for line in found)


def way(name, metrics):
    """Returns a sentence on how a record was made."""
    given, made = metrics["training"], metrics["pruning"]
    versions = metrics["environment"]["versions"]
    limits = ", ".join(
        f"{k} {v:.3g}" if v < 1 else f"{k} {v:,}"
        for k, v in made["budget"].items()
    )
    begun = metrics["network"] or "a small network"
    how = made.get("criterion") or f"the search {made.get('strategy')}"
    pruned = f"Pruned once from {begun} within {limits}, by {how}"
    if not limits:
        pruned = "Not pruned"
    before = f"{metrics['training_images_before']:.1%} of training images"
    if "test_accuracy_before" in metrics:
        before += f" and {metrics['test_accuracy_before']:.1%} of test images"
    *rest, last = map(entries.title, metrics["teachers"])
    teachers = f"{', '.join(rest)} and {last}" if rest else last
    dtype = "bfloat16" if given.get("bfloat16") else "float32"
    if given.get("padded"):
        dtype += ", padded with channels of zeros"
    cycles = ""
    for earlier in metrics.get("earlier", []):
        cycles += (
            f"; a record after {earlier['epochs']} epochs (with "
            f"{earlier['test_accuracy']:.2%}, revision "
            f"{(earlier['revision'] or 'unknown')[:12]}) began the cosine anew"
        )
    return (
        f"{name}: {metrics['title']}. {pruned}; {before} before training. "
        f"{metrics['epochs']} epochs on all "
        f"{metrics['dataset']} training images in {given['views']} augmented "
        f"views, batches of {given['batch_size']}, SGD from {given['rate']} "
        f"along a cosine{cycles}, teachers {teachers} (temperature "
        f"{given['temperature']}, labels {given['label_weight']}), {dtype}, "
        f"{metrics['curve'][-1]['train_accuracy']:.1%} of the views right at "
        f"the end, "
        f"seed {metrics['seed']}; {metrics['hours']:.1f} hours on "
        f"{metrics['threads']} thread, {metrics['environment']['machine']}, "
        + ", ".join(f"{k} {v}" for k, v in versions.items())
        + f"; revision {(metrics['revision'] or 'unknown')[:12]}."
    )


def beside(count, dense):
    """Returns a count and its share of the dense network's."""
    return f"{count:,} ({count / dense:.1%})"


if __name__ == "__main__":
    app.run(main)
