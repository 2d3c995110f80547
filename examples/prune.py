"""Prunes a trained network in one shot, then fine-tunes it.

`--method` is any criterion of tfprune (`l1`, `taylor`, `geometric_median`,
...), or `thinet_layerwise`, `thinet_tpami_layerwise`, `pcas` or `amc`, which do
more than rank channels. Each starts from the dense network of its seed, keeps
each fraction of its multiply-adds (`--params`: of its parameters) and is
fine-tuned on the same batches. The small networks are saved beside the rows.

  python examples/prune.py --smoke
  python examples/prune.py --dataset=cifar10 --data_dir=~/tensorflow_datasets \\
      --method=l1,taylor,amc --macs=0.5,0.25 --seed=0,1,2
  python examples/prune.py --model=resnet56_akamaster_cifar10 \\
      --weights=resnet56_akamaster_cifar10.npz --dataset=cifar10 \\
      --validation=none --method=taylor --params=0.463 --distill

Criteria use training images; `amc` uses validation images if the data set has
any. Test images are never used for choices.
"""

import common
import study
import summary
from absl import app
from absl import flags

import tfprune
from tfprune.datasets import batches
from tfprune.scoring import criterion as criterion_lib
from tfprune.searches import amc

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(study)
common.defaults(out="build/prune", method=["l1"])
flags.DEFINE_list("params", [], "fractions of the parameters instead of MACs")
flags.DEFINE_string("ranking", "group", "of criteria: group, global or raw")
flags.DEFINE_list("skip", [], "patterns of groups to keep whole")
flags.DEFINE_integer("fitted", 0, "training images for reconstruction; 0: none")
flags.DEFINE_integer("gate_epochs", 2, "epochs of gate training in pcas")
flags.DEFINE_integer("evaluations", 200, "networks that amc tries")
flags.DEFINE_bool("distill", False, "distill the dense network as well")
flags.DEFINE_float("temperature", 4.0, "temperature of the distillation")
flags.DEFINE_float("label_weight", 0.3, "weight of the labels' loss")
CUTTING = ("params", "ranking", "skip", "fitted", "gate_epochs")
CUTTING += ("evaluations", "distill", "temperature", "label_weight")
SETTINGS = (*study.TRAINING, *CUTTING)


def main(argv):
    del argv
    common.smoke(dataset="digits", dense_epochs=1, epochs=1, selection=256)
    common.smoke(evaluations=4, gate_epochs=1)
    methods = FLAGS.method or names()
    common.known(methods, names())
    todo = common.grid(methods, FLAGS.params or FLAGS.macs)
    rows = list(study.rows(todo, run, SETTINGS))
    title = f"Pruned: {FLAGS.model} on {FLAGS.dataset}"
    title += ", distilled" * FLAGS.distill
    summary.finish(rows, title, TEXT, EXTRA)


def names():
    """All that `--method` takes, sorted."""
    return sorted({*criterion_lib.criteria.names(), *CUTS})


def run(own, method, share):
    """Prunes, fine-tunes, measures."""
    budget = tfprune.Budget(**{"params" if FLAGS.params else "macs": share})
    small = CUTS.get(method, by_criterion)(own, method, budget)
    if FLAGS.fitted:
        x, _ = own.training(0, FLAGS.fitted)
        small = tfprune.recalibrate(small, x)
    before = own.tested(small)
    name = f"{method}-{share:g}"
    own.train(learner(own, small), FLAGS.epochs, FLAGS.learning_rate, name)
    file = f"{name}-seed{own.seed}.keras"
    study.save(small, common.path(file))
    row = {"method": method, "budget": share, "before": before}
    row["accuracy"] = own.tested(small)
    return row | summary.measured(small, own.model)


def learner(own, small):
    """Returns what `fit` trains: the small network, or one with its teacher."""
    if not FLAGS.distill:
        return small
    how = FLAGS.temperature, FLAGS.label_weight
    return tfprune.distill(small, own.model, *how)


def by_criterion(own, method, budget):
    x, _ = own.selection
    fitted = x[: FLAGS.fitted] if FLAGS.fitted else None
    return tfprune.prune(
        *(own.model, budget, method, own.selection, FLAGS.ranking, fitted),
        skip=tuple(FLAGS.skip),
    )


def thinet(own, method, budget):
    """Prunes layer by layer, on the outputs of the pruned earlier layers."""
    algorithm = "tpami" if "tpami" in method else "iccv"
    x, _ = own.selection
    skip = tuple(FLAGS.skip)
    return tfprune.recipes.thinet(own.model, budget, x, algorithm, skip=skip)


def pcas(own, method, budget):
    """Learns gates while the rest is frozen; groups in `--skip` have none."""
    del method
    unchanged = batches.Batches(own.images.train, FLAGS.batch_size, own.prepare)
    return tfprune.recipes.pcas(
        own.fresh(),
        own.batches(),
        budget,
        gate=tfprune.methods.AttentionGate(seed=own.seed),
        statistics=unchanged,
        loss=own.loss,
        epochs=FLAGS.gate_epochs,
        retrain_epochs=0,
        skip=tuple(FLAGS.skip),
    )


def agent(own, method, budget):
    """Prunes by an agent's shares; each trial is refitted, then scored."""
    data = own.selection if own.images.val is None else own.val
    begin = FLAGS.selection
    measured, _ = own.training(begin, begin + 256)
    fitted, _ = own.training(begin, begin + 512)
    return tfprune.search(
        *(own.model, data, budget, method, FLAGS.evaluations),
        recalibrate=measured,
        reconstruct=fitted,
        skip=tuple(FLAGS.skip),
        seed=own.seed,
        settings=amc.Settings(warmup=FLAGS.evaluations // 4, seed=own.seed),
    ).model


# Methods that do more than rank channels; other names are criteria.
CUTS = {
    "thinet_layerwise": thinet,
    "thinet_tpami_layerwise": thinet,
    "pcas": pcas,
    "amc": agent,
}
TEXT = (
    "Accuracy on the test images after fine-tuning, mean (least to most) over "
    "the seeds; `before`: without any training. Shares are of the dense "
    "network. Scores are MicroNet's, lower is better."
)
DENSE = ("dense", lambda rows: f"{summary.mean(rows, 'dense'):.2%}")
EXTRA = (("before", lambda rows: summary.spread(rows, "before")), DENSE)


if __name__ == "__main__":
    app.run(main)
