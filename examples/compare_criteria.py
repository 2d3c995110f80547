"""Every criterion on one trained network: what is left before fine-tuning?

Prunes a published network to a share of its multiply-adds by each criterion and
measures the test accuracy right after that, after recalibration, after
reconstruction, after both, and after a few epochs of fine-tuning. All of them
look at the same training images; the test images choose nothing.

  python examples/compare_criteria.py --weights=resnet20.npz \
      --data_dir=~/tensorflow_datasets --table=docs/results/criteria.md

With `--rankings=group` all networks have the same shape and differ only in
which channels they kept. Finished rows are found in `--out` and not repeated.
"""

import json
import pathlib
import platform
import time

import keras
import numpy as np
from absl import app
from absl import flags

import tfprune
from tfprune import batches
from tfprune import data
from tfprune import evaluation
from tfprune import pruning
from tfprune import score
from tfprune import tables
from tfprune.export import files
from tfprune.graph import rebuild
from tfprune.zoo import checkpoints

LAYERWISE = {"thinet_layerwise": "iccv", "thinet_tpami_layerwise": "tpami"}
STAGES = ("pruned", "recalibrated", "reconstructed", "both", "fine_tuned")

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "checkpoint", "resnet20_akamaster_cifar10", "name in tfprune.zoo"
)
flags.DEFINE_string("weights", None, "the checkpoint's .npz", required=True)
flags.DEFINE_string("dataset", "cifar10", "data set of tfprune.data")
flags.DEFINE_string("data_dir", None, "where the data set lies")
flags.DEFINE_list("criteria", [], "all of them by default")
flags.DEFINE_list("rankings", ["group"], "group, global, raw")
flags.DEFINE_float("macs", 0.5, "fraction of the MACs that may remain")
flags.DEFINE_integer("selection", 2000, "training images to select with")
flags.DEFINE_integer("fitted", 512, "those of them to reconstruct with")
flags.DEFINE_integer("train", 0, "training images to tune with; 0 for all")
flags.DEFINE_integer("test", 0, "test images; 0 for all")
flags.DEFINE_integer("epochs", 2, "of fine-tuning; 0 for none")
flags.DEFINE_integer("batch_size", 128, "images per step")
flags.DEFINE_float("learning_rate", 0.01, "at the start, then a cosine to 0")
flags.DEFINE_integer("seed", 0, "of the selection, the batches and chance")
flags.DEFINE_string("out", "build/compare_criteria", "folder of the rows")
flags.DEFINE_string("table", "", "also write the table to this file")
SETTINGS = (
    "checkpoint dataset macs selection fitted train test epochs batch_size "
    "learning_rate seed"
).split()


def main(argv):
    del argv
    out = pathlib.Path(FLAGS.out)
    out.mkdir(parents=True, exist_ok=True)
    settings = {name: getattr(FLAGS, name) for name in SETTINGS}
    criteria = FLAGS.criteria or [*score.criteria.names(), *LAYERWISE]
    study, rows = Study(), []
    for ranking in FLAGS.rankings:
        for criterion in criteria:
            path = out / f"{ranking}-{criterion}.json"
            if not path.exists():
                row = {"settings": settings, **study.row(criterion, ranking)}
                files.write({path: json.dumps(row, indent=2).encode()})
            rows.append(json.loads(path.read_text()))
            if rows[-1]["settings"] != settings:
                raise app.UsageError(
                    f"{path} was made with {rows[-1]['settings']}. Choose "
                    "another --out."
                )
            print(criterion, ranking, rows[-1]["accuracy"], flush=True)
    text = report(rows)
    print(text)
    if FLAGS.table:
        pathlib.Path(FLAGS.table).parent.mkdir(parents=True, exist_ok=True)
        files.write({FLAGS.table: text.encode()})


class Study:
    """The dense network, the images, and what is done for each row."""

    def __init__(self):
        with np.load(FLAGS.weights) as arrays:
            self.model = checkpoints.restore(FLAGS.checkpoint, dict(arrays))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(loss=loss)
        prepare = checkpoints.get(FLAGS.checkpoint).preprocessing
        images = data.load(FLAGS.dataset, FLAGS.data_dir, validation="none")
        order = np.random.default_rng(FLAGS.seed).permutation(len(images.train))
        chosen = images.train.take(order[: FLAGS.selection])
        self.selection = prepare(chosen.x), chosen.y
        test = slice(FLAGS.test or None)
        self.test = prepare(images.test.x[test]), images.test.y[test]
        self.train = {
            "split": images.train.take(order[: FLAGS.train or None]),
            "batch_size": FLAGS.batch_size,
            "preprocessing": prepare,
            "augmentation": images.augmentation,
            "seed": FLAGS.seed,
        }
        self.cost = tfprune.cost(self.model)
        (self.dense,) = evaluation.accuracies([self.model], self.test)

    def row(self, criterion, ranking):
        """Prunes, goes on in all ways, measures."""
        keras.utils.set_random_seed(FLAGS.seed)
        start = time.process_time()
        models = self.pruned(criterion, ranking)
        seconds = time.process_time() - start
        x, _ = self.selection
        models["recalibrated"] = tfprune.recalibrate(models["pruned"], x)
        if "reconstructed" in models:
            models["both"] = tfprune.recalibrate(models["reconstructed"], x)
        models["fine_tuned"] = self.fine_tuned(models["pruned"])
        found = evaluation.accuracies([*models.values()], self.test)
        cost = tfprune.cost(models["pruned"])
        devices = ", ".join(keras.distribution.list_devices())
        return {
            "criterion": criterion,
            "ranking": ranking,
            "accuracy": dict(zip(models, found, strict=True)),
            "dense": self.dense,
            "macs": cost.macs / self.cost.macs,
            "params": cost.params / self.cost.params,
            "cpu_seconds": seconds,
            "machine": {
                "tfprune": tfprune.__version__,
                "keras": f"{keras.__version__} on {keras.backend.backend()}",
                "machine": f"{platform.machine()}, {devices}",
            },
        }

    def pruned(self, criterion, ranking):
        """`dict` with the pruned model and, where it can be, the fitted one."""
        budget = tfprune.Budget(macs=FLAGS.macs)
        x, _ = self.selection
        if criterion in LAYERWISE:
            algorithm = LAYERWISE[criterion]
            return {"pruned": tfprune.thinet(self.model, budget, x, algorithm)}
        graph = tfprune.channel_graph(self.model)
        keep = pruning.choose(graph, budget, criterion, self.selection, ranking)
        return {
            "pruned": rebuild.shrink(graph, keep),
            "reconstructed": tfprune.reconstruct(
                self.model, keep, x, limit=FLAGS.fitted
            ),
        }

    def fine_tuned(self, model):
        """A copy, trained on the same batches as in every other row."""
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        train = batches.Batches(**self.train)
        steps = max(FLAGS.epochs * len(train), 1)
        rate = FLAGS.learning_rate
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
        copy.compile(
            keras.optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4),
            self.model.loss,
            jit_compile=keras.backend.backend() == "jax",
        )
        copy.fit(train, epochs=FLAGS.epochs, shuffle=False, verbose=0)
        return copy


def report(rows):
    """The rows as a table, best first, with their settings; markdown."""
    rows = sorted(rows, key=lambda row: -row["accuracy"]["fine_tuned"])
    names = [row["criterion"] for row in rows]
    dense = f"Dense: {tables.percent(rows[0]['dense'], 2)}."
    if "random" in names:
        place = names.index("random") + 1
        dense += f" After fine-tuning, random is in place {place} of "
        dense += f"{len(rows)}."
    facts = rows[0]["settings"] | rows[0]["machine"]
    cells = tuple(
        (row["criterion"], row["ranking"])
        + tuple(tables.percent(row["accuracy"].get(s), 2) for s in STAGES)
        + (tables.percent(row["macs"]), tables.percent(row["params"]))
        for row in rows
    )
    header = ("criterion", "ranking", *STAGES, "MACs", "params")
    lines = [
        f"# Criteria on {rows[0]['settings']['checkpoint']}",
        dense,
        tables.Table(header, cells, left=2).to_markdown(),
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
    ]
    return "\n\n".join(lines) + "\n"


if __name__ == "__main__":
    app.run(main)
