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

import time

import numpy as np
import results
import study
from absl import app
from absl import flags

import tfprune
from tfprune import evaluation
from tfprune import score
from tfprune import tables

LAYERWISE = {"thinet_layerwise": "iccv", "thinet_tpami_layerwise": "tpami"}

FLAGS = flags.FLAGS
flags.DEFINE_list("criteria", [], "all of them by default")
flags.DEFINE_list("macs", ["0.5", "0.25"], "shares of the MACs that remain")
flags.DEFINE_integer("epochs", 2, "of fine-tuning")
flags.DEFINE_integer("selection", 2000, "training images to select with")
flags.DEFINE_float("learning_rate", 0.01, "at first, fine-tuning")
flags.DEFINE_string("out", "build/minicifar_criteria", "folder of the results")


def main(argv):
    del argv
    if FLAGS.smoke:
        FLAGS.dataset, FLAGS.seeds, FLAGS.macs = "digits", ["0"], ["0.5"]
        FLAGS.dense_epochs = FLAGS.epochs = 1
        FLAGS.criteria = ["l1", "random"]
    criteria = FLAGS.criteria or [*score.criteria.names(), *LAYERWISE]
    todo = [
        (f"{criterion}-{macs}", (criterion, float(macs)))
        for macs in FLAGS.macs
        for criterion in criteria
    ]
    results.write(to_markdown(list(study.rows(todo, run, ["selection"]))))


def run(own, criterion, macs):
    """Prunes, fine-tunes, measures."""
    order = np.random.default_rng(own.seed).permutation(len(own.images.train))
    chosen = own.images.train.take(order[: FLAGS.selection])
    x, y = own.images.preprocessing(chosen.x), chosen.y
    start = time.process_time()
    budget = tfprune.Budget(macs=macs)
    if criterion in LAYERWISE:
        algorithm = LAYERWISE[criterion]
        small = tfprune.thinet(own.model, budget, x, algorithm)
    else:
        small = tfprune.prune(own.model, budget, criterion, (x, y), "group")
    seconds = time.process_time() - start
    before = own.tested(small)
    own.train(small, FLAGS.epochs, FLAGS.learning_rate)
    dense, cost = tfprune.cost(own.model), tfprune.cost(small)
    scores = tfprune.micronet(small)
    return {
        "criterion": criterion,
        "budget": macs,
        "before": before,
        "validation": evaluation.accuracies([small], own.val)[0],
        "accuracy": own.tested(small),
        "macs": cost.macs / dense.macs,
        "params": cost.params / dense.params,
        "score_2019": scores.score_2019,
        "score_2025": scores.score_2025,
        "cpu_seconds": seconds,
    }


def to_markdown(rows):
    """A table for each budget, the best criterion first."""
    first, dense = rows[0], {r["seed"]: r["dense"] for r in rows}
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
        ranked = sorted(
            groups.items(), key=lambda g: -results.mean(g[1], "accuracy")
        )
        header = "criterion fine-tuned before validation macs params".split()
        header += ["score 2019", "score 2025", "seeds", "CPU s"]
        cells = tuple(
            (name, *(results.spread(g, k) for k in ("accuracy", "before")))
            + tuple(f"{results.mean(g, k):.1%}" for k in header[3:6])
            + tuple(
                f"{results.mean(g, k):.4f}"
                for k in ("score_2019", "score_2025")
            )
            + (str(len(g)), f"{results.mean(g, 'cpu_seconds'):.1f}")
            for name, g in ranked
        )
        parts += [f"## {budget:.0%} of the multiply-adds"]
        parts += [tables.Table(tuple(header), cells).to_markdown()]
    parts += [results.facts(first)]
    parts += ["Written by `examples/minicifar_criteria.py`."]
    return "\n\n".join(part.strip() for part in parts) + "\n"


if __name__ == "__main__":
    app.run(main)
