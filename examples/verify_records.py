"""Measures every finished record again and compares it with its figures.

  python examples/verify_records.py --data_dir=DIR

Loads `records/*/model.keras` with plain Keras, runs the test images, counts
parameters and multiply-adds, and prints the published figures beside them.
Counts must equal those of `metrics.json`; accuracy may differ by two images in
10,000, because processors round differently. Exits with 1 if a record differs.
Unfinished records are listed with their epoch.
"""

import dataclasses
import pathlib

import keras
import record_files
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
flags.DEFINE_string("markdown", "", "also write the table to this file")
TOLERANCE = 2e-4
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
    """

    params: int
    macs: int
    accuracy: float
    layers: bool

    def differences(self, metrics):
        """Returns the differences from `metrics.json`, a list of sentences."""
        found = []
        for name in ("params", "macs"):
            if getattr(self, name) != metrics[name]:
                found.append(
                    f"{name} are {getattr(self, name)}, not {metrics[name]}"
                )
        said = metrics["test_accuracy"]
        if abs(self.accuracy - said) > TOLERANCE:
            found.append(f"accuracy is {self.accuracy:.2%}, not {said:.2%}")
        if not self.layers:
            found.append("layers are not Keras' own")
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
    table = tables.Table(HEADER, tuple(rows))
    print(table.to_text())
    if FLAGS.markdown:
        pathlib.Path(FLAGS.markdown).write_text(table.to_markdown())
    if wrong:
        raise SystemExit("\n".join(wrong))


def measure(path, metrics):
    """Loads a network with Keras alone and measures it."""
    model = keras.saving.load_model(path, compile=False)
    dataset = datasets.load(
        metrics["dataset"], FLAGS.data_dir, validation="none"
    )
    prepare = batches.Preprocessing(**metrics["preprocessing"])
    test = prepare(dataset.test.x), dataset.test.y
    cost = tfprune.cost(model)
    own = all(
        type(layer).__module__.startswith("keras.") for layer in model.layers
    )
    accuracy = evaluation.accuracies([model], test)[0]
    return Measured(cost.params, cost.macs, accuracy, own)


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


def beside(count, dense):
    """Returns a count and its share of the dense network's."""
    return f"{count:,} ({count / dense:.1%})"


if __name__ == "__main__":
    app.run(main)
