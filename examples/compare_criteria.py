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

import time

import keras
import published
import results
from absl import app
from absl import flags

import tfprune
from tfprune import batches
from tfprune import evaluation
from tfprune import pruning
from tfprune import score
from tfprune import tables
from tfprune.graph import rebuild

LAYERWISE = {"thinet_layerwise": "iccv", "thinet_tpami_layerwise": "tpami"}
STAGES = ("pruned", "recalibrated", "reconstructed", "both", "fine_tuned")

FLAGS = flags.FLAGS
FLAGS.set_default("seeds", ["0"])
flags.DEFINE_list("criteria", [], "all of them by default")
flags.DEFINE_list("rankings", ["group"], "group, global, raw")
flags.DEFINE_integer("fitted", 512, "selected images to reconstruct with")
flags.DEFINE_integer("train", 0, "training images to tune with; 0 for all")
flags.DEFINE_integer("epochs", 2, "of fine-tuning; 0 for none")
flags.DEFINE_integer("batch_size", 128, "images per step")
flags.DEFINE_float("learning_rate", 0.01, "at the start, then a cosine to 0")
flags.DEFINE_string("out", "build/compare_criteria", "folder of the rows")
SETTINGS = (
    *published.SETTINGS,
    *("fitted", "train", "epochs", "batch_size", "learning_rate"),
)


def main(argv):
    del argv
    if FLAGS.smoke:
        FLAGS.criteria, FLAGS.epochs = ["l1", "random"], 1
        FLAGS.selection = FLAGS.fitted = FLAGS.test = FLAGS.train = 64
    criteria = FLAGS.criteria or [*score.criteria.names(), *LAYERWISE]
    todo = [
        (f"{ranking}-{criterion}", (criterion, ranking))
        for ranking in FLAGS.rankings
        for criterion in criteria
    ]
    rows = results.rows(todo, Study, Study.row, SETTINGS)
    results.write(to_markdown(list(rows)))


class Study(published.Published):
    """A published network, and what is done for each row."""

    def __init__(self, seed):
        super().__init__(seed)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(loss=loss)
        self.train = {
            "split": self.images.train.take(self.order[: FLAGS.train or None]),
            "batch_size": FLAGS.batch_size,
            "preprocessing": self.prepare,
            "augmentation": self.images.augmentation,
            "seed": seed,
        }
        (self.dense,) = evaluation.accuracies([self.model], self.test)

    def row(self, criterion, ranking):
        """Prunes, goes on in all ways, measures."""
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
        return {
            "criterion": criterion,
            "ranking": ranking,
            "accuracy": dict(zip(models, found, strict=True)),
            "dense": self.dense,
            "macs": cost.macs / self.cost.macs,
            "params": cost.params / self.cost.params,
            "cpu_seconds": seconds,
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


def to_markdown(rows):
    """The rows as a table, best first, with their settings; markdown."""
    rows = sorted(rows, key=lambda row: -row["accuracy"]["fine_tuned"])
    names = [row["criterion"] for row in rows]
    dense = f"Dense: {tables.percent(rows[0]['dense'], 2)}."
    if "random" in names:
        place = names.index("random") + 1
        dense += f" After fine-tuning, random is in place {place} of "
        dense += f"{len(rows)}."
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
        results.facts(rows[0]),
        "Written by `examples/compare_criteria.py`.",
    ]
    return "\n\n".join(lines) + "\n"


if __name__ == "__main__":
    app.run(main)
