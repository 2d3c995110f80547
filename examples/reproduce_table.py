"""Trains published rows again and shows the paper's figures beside them.

  python examples/reproduce_table.py --row=pcas_r56_c10 --data_dir=~/data
  python examples/reproduce_table.py --row=thinet_r50_imagenet \\
      --data_dir=~/imagenet --weights=imagenet
  python examples/reproduce_table.py --row=amc_r50_c10 --smoke

A row sets all hyper-parameters; flags on the command line override it. Where a
paper leaves something open, this is the choice:

  pcas      dense: SGD, momentum 0.9, Nesterov, weight decay 5e-4; rate 0.1,
            cosine to 0; 200 epochs of 128 images; crops of 4 pixels, mirrored.
            Gates on what lies inside a block, all else frozen; Adam, 1e-3, 10
            epochs; then the mean over all images, unchanged, once each. One
            ratio for all gates, the smallest that takes the published share of
            all weights. Retrained as dense, but from 0.01, 100 epochs.
  amc       dense as above. 400 networks, 100 of them at random; 5,000 training
            images are held out to choose by. No fine-tuning.
  thinet    --data_dir has train/ and val/ with a folder for each class,
            --weights a file of keras.applications.ResNet50, or `imagenet`,
            which fetches it. 70 percent of the first two convolutions of each
            block stay; an epoch at 1e-4 after each block, then 9
            epochs from 1e-3, a tenth of it every 3. The baseline uses the
            centre crop; the paper's is lower because it squashed images.

`--epochs` limits each stage. `--resume` continues a stopped run.
"""

import common
import published_rows
import study
import summary
from absl import app
from absl import flags

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(study)
flags.adopt_module_key_flags(published_rows)
common.defaults(out="build/reproduce_table", epochs=0)
ROWS = published_rows.ROWS
flags.DEFINE_enum("row", "pcas_r56_c10", list(ROWS), "which row")
SETTINGS = (*study.TRAINING, *published_rows.SETTINGS, "row")


def main(argv):
    del argv
    row = ROWS[FLAGS.row]
    asked = FLAGS.epochs
    FLAGS.epochs = row.recipe.get("epochs", 0)
    common.recipe(row.recipe)
    limit = 1 if FLAGS.smoke else asked
    for name in ("dense_epochs", "method_epochs", "epochs"):
        setattr(FLAGS, name, min(FLAGS[name].value, limit or 1000))
    common.smoke(**row.smoke)
    rows = list(common.rows([(FLAGS.row, (row,))], row.start, run, SETTINGS))
    extra = [
        ("dense", lambda rows: f"{summary.mean(rows, 'dense'):.2%}"),
        ("before", lambda rows: f"{summary.mean(rows, 'before'):.2%}"),
        ("published", lambda _: published(row)),
    ]
    title = f"{FLAGS.row}: {FLAGS.model} on {FLAGS.dataset}"
    summary.finish(rows, title, TEXT, extra)


def run(own, row):
    small, facts = row.run(own, row)
    before = own.tested(small)
    if "epochs" in row.recipe:
        own.train(small, FLAGS.epochs, FLAGS.learning_rate, "retrained")
    study.save(small, common.path(f"{FLAGS.row}-seed{own.seed}.keras"))
    return {
        "method": FLAGS.row,
        "budget": None,
        "accuracy": own.tested(small),
        "dense": own.accuracy,
        "before": before,
        **summary.measured(small, own.model),
        **facts,
    }


def published(row):
    """The published numbers as one cell."""
    p = row.published
    gone = f"{p['params']:.1%} of the parameters"
    if "macs" in p:
        gone += f", {p['macs']:.1%} of the MACs"
    return f"{p['dense']:.2%} to {p['pruned']:.2%}, without {gone}"


TEXT = (
    "Accuracy on the test images after the last epoch, mean (least to most) "
    "over the seeds; `before`: before retraining; shares are what remains."
)


if __name__ == "__main__":
    app.run(main)
