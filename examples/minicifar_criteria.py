"""Every criterion on MiniCIFAR: one dense network a seed, two budgets, a table.

For each seed a network is trained and kept; every criterion prunes it to each
share of its multiply-adds, and the result is fine-tuned on the same batches.
Criteria look at training images. The test images choose nothing, nor do those
of the validation split, which MiniCIFAR leaves unused.

  python examples/minicifar_criteria.py --data_dir=~/tensorflow_datasets \
      --table=docs/results/minicifar_criteria.md
  python examples/minicifar_criteria.py --smoke

Finished rows are found in `--out` and not repeated; two processes with
different `--seeds` can share it.
"""

import json
import pathlib
import statistics
import time

import keras
import numpy as np
from absl import app
from absl import flags

import tfprune
from tfprune import batches
from tfprune import data
from tfprune import evaluation
from tfprune import report
from tfprune import score
from tfprune import tables
from tfprune import zoo
from tfprune.export import files

LAYERWISE = {"thinet_layerwise": "iccv", "thinet_tpami_layerwise": "tpami"}

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "resnet20", "network of tfprune.zoo")
flags.DEFINE_string("dataset", "minicifar", "data set of tfprune.data")
flags.DEFINE_string("data_dir", None, "where the data set lies")
flags.DEFINE_list("criteria", [], "all of them by default")
flags.DEFINE_list("macs", ["0.5", "0.25"], "shares of the MACs that remain")
flags.DEFINE_list("seeds", ["0", "1", "2"], "a dense network for each")
flags.DEFINE_integer("dense_epochs", 15, "of the dense networks")
flags.DEFINE_integer("epochs", 3, "of fine-tuning")
flags.DEFINE_integer("selection", 2000, "training images to select with")
flags.DEFINE_integer("batch_size", 64, "images per step")
flags.DEFINE_float("dense_rate", 0.05, "learning rate at first, dense")
flags.DEFINE_float("learning_rate", 0.01, "at first, fine-tuning")
flags.DEFINE_string("out", "build/minicifar_criteria", "folder of the rows")
flags.DEFINE_string("table", "", "also write the table to this file")
flags.DEFINE_bool("smoke", False, "digits, two criteria, one seed, one epoch")
SETTINGS = (
    "model dataset dense_epochs epochs selection batch_size dense_rate "
    "learning_rate"
).split()


def main(argv):
    del argv
    if FLAGS.smoke:
        FLAGS.dataset, FLAGS.seeds, FLAGS.macs = "digits", ["0"], ["0.5"]
        FLAGS.dense_epochs = FLAGS.epochs = 1
        FLAGS.criteria = ["l1", "random"]
    out = pathlib.Path(FLAGS.out)
    out.mkdir(parents=True, exist_ok=True)
    criteria = FLAGS.criteria or [*score.criteria.names(), *LAYERWISE]
    images = data.load(FLAGS.dataset, FLAGS.data_dir)
    rows = []
    for seed in map(int, FLAGS.seeds):
        study = Study(images, seed, out)
        for macs in map(float, FLAGS.macs):
            for criterion in criteria:
                path = out / f"{criterion}-{macs}-seed{seed}.json"
                if not path.exists():
                    row = study.row(criterion, macs)
                    files.write({path: json.dumps(row, indent=2).encode()})
                rows.append(json.loads(path.read_text()))
                print(json.dumps(rows[-1]), flush=True)
    text = to_markdown(rows)
    print(text)
    if FLAGS.table:
        pathlib.Path(FLAGS.table).parent.mkdir(parents=True, exist_ok=True)
        files.write({FLAGS.table: text.encode()})


class Study:
    """The images and the dense network of one seed."""

    def __init__(self, images, seed, out):
        self.images, self.seed = images, seed
        self.val, self.test = (
            (images.preprocessing(split.x), split.y)
            for split in (images.val, images.test)
        )
        order = np.random.default_rng(seed).permutation(len(images.train))
        chosen = images.train.take(order[: FLAGS.selection])
        self.selection = images.preprocessing(chosen.x), chosen.y
        path = out / f"dense-seed{seed}.keras"
        if path.exists():
            self.model = keras.saving.load_model(path)
        else:
            self.model = self.dense()
            temporary = path.with_name("tmp-" + path.name)
            self.model.save(temporary)
            temporary.rename(path)
        self.cost = tfprune.cost(self.model)
        (self.accuracy,) = evaluation.accuracies([self.model], self.test)

    def dense(self):
        """A network trained from scratch."""
        keras.utils.set_random_seed(self.seed)
        model = zoo.build(
            FLAGS.model,
            classes=self.images.classes,
            input_shape=self.images.shape,
        )
        self.train(model, FLAGS.dense_epochs, FLAGS.dense_rate)
        return model

    def train(self, model, epochs, rate):
        """Trains in place, on the same batches for every model."""
        train = batches.Batches(
            self.images.train,
            FLAGS.batch_size,
            self.images.preprocessing,
            self.images.augmentation,
            seed=self.seed,
        )
        rate = keras.optimizers.schedules.CosineDecay(rate, epochs * len(train))
        model.compile(
            keras.optimizers.SGD(
                rate, momentum=0.9, nesterov=True, weight_decay=5e-4
            ),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        model.fit(train, epochs=epochs, shuffle=False, verbose=0)

    def row(self, criterion, macs):
        """Prunes, fine-tunes, measures."""
        keras.utils.set_random_seed(self.seed)
        start = time.process_time()
        budget = tfprune.Budget(macs=macs)
        x, _ = self.selection
        if criterion in LAYERWISE:
            algorithm = LAYERWISE[criterion]
            small = tfprune.thinet(self.model, budget, x, algorithm)
        else:
            small = tfprune.prune(
                self.model, budget, criterion, self.selection, "group"
            )
        seconds = time.process_time() - start
        (before,) = evaluation.accuracies([small], self.test)
        self.train(small, FLAGS.epochs, FLAGS.learning_rate)
        cost, scores = tfprune.cost(small), tfprune.micronet(small)
        return {
            "criterion": criterion,
            "budget": macs,
            "seed": self.seed,
            "dense": self.accuracy,
            "before": before,
            "validation": evaluation.accuracies([small], self.val)[0],
            "accuracy": evaluation.accuracies([small], self.test)[0],
            "macs": cost.macs / self.cost.macs,
            "params": cost.params / self.cost.params,
            "score_2019": scores.score_2019,
            "score_2025": scores.score_2025,
            "cpu_seconds": seconds,
            "settings": {name: getattr(FLAGS, name) for name in SETTINGS},
            "environment": report.environment(),
        }


def to_markdown(rows):
    """A table for each budget, the best criterion first."""
    first, dense = rows[0], {r["seed"]: r["dense"] for r in rows}
    facts = first["settings"] | first["environment"]["versions"]
    parts = [
        f"# Criteria on {first['settings']['dataset']}",
        "Dense networks: "
        + ", ".join(f"{d:.2%} (seed {s})" for s, d in dense.items())
        + ". Accuracies are on the test images, mean (least to most) over "
        "the seeds; scores are those of MicroNet, 32 bits, lower is better.",
    ]
    for budget in dict.fromkeys(r["budget"] for r in rows):
        groups = {}
        for row in (r for r in rows if r["budget"] == budget):
            groups.setdefault(row["criterion"], []).append(row)
        ranked = sorted(groups.items(), key=lambda g: -_mean(g[1], "accuracy"))
        header = "criterion fine-tuned before validation macs params".split()
        header += ["score 2019", "score 2025", "seeds", "CPU s"]
        cells = tuple(
            (name, *(_spread(g, k) for k in ("accuracy", "before")))
            + tuple(f"{_mean(g, k):.1%}" for k in header[3:6])
            + tuple(f"{_mean(g, k):.4f}" for k in ("score_2019", "score_2025"))
            + (str(len(g)), f"{_mean(g, 'cpu_seconds'):.1f}")
            for name, g in ranked
        )
        parts += [f"## {budget:.0%} of the multiply-adds"]
        parts += [tables.Table(tuple(header), cells).to_markdown()]
    parts += ["\n".join(f"- {name}: {value}" for name, value in facts.items())]
    parts += [f"{first['environment']['machine']}. Written by "
        "`examples/minicifar_criteria.py`."]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _mean(rows, key):
    return statistics.mean(row[key] for row in rows)


def _spread(rows, key):
    values = [row[key] for row in rows]
    mean = statistics.mean(values)
    return f"{mean:.2%} ({min(values):.2%} to {max(values):.2%})"


if __name__ == "__main__":
    app.run(main)
