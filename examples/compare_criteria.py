"""Compares all criteria on one trained network, before and after fine-tuning.

Prunes a network to a fraction of its multiply-adds by each criterion and
measures the test accuracy right after pruning, after recalibration, after
reconstruction, after both, and after a few epochs of fine-tuning. All criteria
use the same training images; test images are never used for choices.

  python examples/compare_criteria.py --model=resnet20_akamaster_cifar10 \\
      --weights=resnet20_akamaster_cifar10.npz --validation=none \\
      --data_dir=~/tensorflow_datasets --table=criteria.md

With `--rankings=group`, all networks have the same shape and differ only in the
kept channels. `--resume` reuses finished rows in `--out`.
"""

import common
import study
import summary
from absl import app
from absl import flags

import tfprune
from tfprune.core import tables
from tfprune.scoring import criterion as criterion_lib

LAYERWISE = {"thinet_layerwise": "iccv", "thinet_tpami_layerwise": "tpami"}
STAGES = ("pruned", "recalibrated", "reconstructed", "both")

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(study)
common.defaults(
    out="build/compare_criteria",
    dataset="cifar10",
    epochs=2,
    batch_size=128,
    learning_rate=0.01,
)
flags.DEFINE_list("rankings", ["group"], "group, global, raw")
flags.DEFINE_integer("fitted", 512, "selected images to reconstruct with")
SETTINGS = (*study.TRAINING, "fitted")


def main(argv):
    del argv
    common.smoke(dataset="digits", model="resnet8", dense_epochs=1, epochs=1)
    common.smoke(method=["l1", "random"], selection=64, fitted=64)
    names = [*criterion_lib.criteria.names(), *LAYERWISE]
    common.known(FLAGS.method, names)
    todo = [
        (f"{ranking}-{method}-{share}", (method, ranking, float(share)))
        for share in FLAGS.macs
        for ranking in FLAGS.rankings
        for method in FLAGS.method or names
    ]
    rows = list(study.rows(todo, run, SETTINGS))
    places = ordered(rows)
    text = f"Dense: {dense(rows)}. `accuracy`: after fine-tuning."
    if places:
        text += f" Random is in place {places}."
    summary.finish(rows, f"Criteria on {FLAGS.model}", text, EXTRA)


def ordered(rows):
    """Sorts the rows, best lines first; tells the place of random choices.

    A line is a method at a budget, over the seeds.
    """
    lines = summary.groups(rows, "method", "budget")
    means = {key: summary.mean(x, "accuracy") for key, x in lines.items()}
    rows.sort(key=lambda row: -means[row["method"], row["budget"]])
    places = []
    for share, found in summary.groups(rows, "budget").items():
        same = summary.groups(found, "method").values()
        order = [line[0]["criterion"] for line in same]
        if "random" in order:
            place = f"{order.index('random') + 1} of {len(order)}"
            places.append((share, place))
    if len(places) == 1:
        return places[0][1]
    return ", ".join(
        f"{place} at {tables.percent(share)}" for share, place in places
    )


def dense(rows):
    """The accuracy of the dense network, or of those of several seeds."""
    found = list({row["seed"]: row for row in rows}.values())
    if len(found) > 1:
        return summary.spread(found, "dense")
    return f"{found[0]['dense']:.2%}"


def run(own, criterion, ranking, share):
    """Prunes, continues in all ways, and measures."""
    models = pruned(own, criterion, ranking, share)
    x, _ = own.selection
    models["recalibrated"] = tfprune.recalibrate(models["pruned"], x)
    if "reconstructed" in models:
        models["both"] = tfprune.recalibrate(models["reconstructed"], x)
    tuned = study.copy(models["pruned"])
    own.train(tuned, FLAGS.epochs, FLAGS.learning_rate)
    return {
        "method": f"{criterion}, {ranking}",
        "criterion": criterion,
        "budget": share,
        "accuracy": own.tested(tuned),
        "stages": {name: own.tested(model) for name, model in models.items()},
        **summary.measured(tuned, own.model),
    }


def pruned(own, criterion, ranking, share):
    """Returns a `dict` of the pruned model and the refitted one, if any."""
    budget = tfprune.Budget(macs=share)
    x, _ = own.selection
    if criterion in LAYERWISE:
        algorithm = LAYERWISE[criterion]
        return {
            "pruned": tfprune.recipes.thinet(own.model, budget, x, algorithm)
        }
    graph = tfprune.channel_graph(own.model)
    cut = tfprune.selection.choose(
        graph, budget, criterion, own.selection, ranking
    )
    return {
        "pruned": tfprune.surgery.apply(cut),
        "reconstructed": tfprune.reconstruct(cut, x, limit=FLAGS.fitted),
    }


def _stage(name):
    def cell(rows):
        found = [row["stages"][name] for row in rows if name in row["stages"]]
        return tables.percent(sum(found) / len(found), 2) if found else "-"

    return name, cell


EXTRA = tuple(map(_stage, STAGES))


if __name__ == "__main__":
    app.run(main)
