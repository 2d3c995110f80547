"""Prunes a queue of networks and trains them fully, for anyone to check.

  python examples/records.py --data_dir=DIR --weights_dir=DIR --state=DIR
  python examples/records.py --state=DIR --list
  python examples/records.py --go_on --entry=tiny_r8 --epochs=160 ...
  python examples/records.py --smoke --state=DIR

Trains the entries in order, on the CPU, and saves its state after every epoch:
stop the script at any time, and start it again to continue. A finished network
is in `--records` with everything it depends on; `verify_records.py` measures it
again.

The criterion chooses channels on training images, and the number of epochs is
fixed beforehand; `--epochs` makes shorter records, which longer ones replace.
`--go_on` trains a finished record to more epochs: another cosine from the first
rate (a warm restart; Loshchilov and Hutter 2017, SGDR, section 3).
Test images are used once, after the last epoch. There is no validation set,
because the published weights and the teachers have already seen all training
images.
"""

import json
import os
import pathlib
import time

# Read once, when TensorFlow is imported; off by default on AMD's processors.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import common
import keras
import record_entries as entries
import record_files
import record_firmware
import record_training as training
from absl import app
from absl import flags

import tfprune
from tfprune.reports.html import provenance
from tfprune.training import fused_normalization

FLAGS = flags.FLAGS
ROOT = pathlib.Path(__file__).resolve().parent.parent
flags.DEFINE_string("weights_dir", None, "where the published .npz files lie")
flags.DEFINE_string("state", "build/records", "what a run goes on from")
flags.DEFINE_string("records", str(ROOT / "records"), "what is finished")
flags.DEFINE_bool("list", False, "show what is done, running and next")
flags.DEFINE_list("entry", [], "names of entries, by default all")
flags.DEFINE_integer("threads", 1, "of TensorFlow, within one op")
flags.DEFINE_integer("views", 20, "ways in which the images are augmented")
flags.DEFINE_integer("batch_size", 128, "images per step")
flags.DEFINE_float("decay", 5e-4, "weight of the penalty on kernels")
flags.DEFINE_float("temperature", 4.0, "of the teachers")
flags.DEFINE_float("label_weight", 0.3, "of the labels beside the teachers")
flags.DEFINE_bool("fused", True, "normalize in one op while training")
flags.DEFINE_bool("bfloat16", False, "train in it; the processor must know it")
flags.DEFINE_bool("padded", False, "train with more channels, of zeros")
flags.DEFINE_bool("go_on", False, "begin where shorter records ended")
flags.DEFINE_integer("stop_after", 0, "stop after so many epochs, 0: never")
TRAINING = ("views", "batch_size", "decay", "temperature", "label_weight")
TRAINING += ("bfloat16", "padded")
# What a record that goes on keeps of its beginning.
BEGINNING = "dense_params", "dense_macs", "params", "macs", "pruning_seconds"
BEGINNING += "training_images_before", "test_accuracy_before"


def main(argv):
    del argv
    jobs, known = entries.JOBS, entries.ENTRIES
    if FLAGS.smoke:
        jobs, known = [(name, 0) for name in entries.SMOKE], entries.SMOKE
        common.smoke(views=2, batch_size=64)
        if not FLAGS["records"].present:  # Not among those that are published.
            FLAGS.records = str(path(FLAGS.state) / "records")
    common.known(FLAGS.entry, known)
    if FLAGS.go_on and FLAGS.padded:
        raise SystemExit(
            "What goes on is not padded: channels of zeros come from pruning. "
            "Received: --go_on and --padded. Leave one out."
        )
    jobs = [job for job in jobs if job[0] in (FLAGS.entry or known)]
    if FLAGS.list:
        print(record_files.table(path(FLAGS.records), jobs, known).to_text())
        return
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    left = FLAGS.stop_after or -1
    for name, seed in jobs:
        job = Job(name, known[name], seed)
        if not job.finished():
            left = job.run(left)
        if left == 0:
            return


class Job:
    """An entry with a seed.

    Args:
        name: `str`, of the entry.
        entry: `record_entries.Entry`.
        seed: `int`.
    """

    def __init__(self, name, entry, seed):
        self.name = f"{name}-seed{seed}"
        self.entry, self.seed = entry, seed
        # The flag of all scripts, if it is given.
        given = FLAGS["epochs"].present
        self.epochs = FLAGS.epochs if given else entry.epochs
        self.place = path(FLAGS.records) / self.name
        # The metrics of a shorter record, or of one that is long enough.
        self.known = record_files.finished(path(FLAGS.records)).get(self.name)
        self.after = self.known["epochs"] if FLAGS.go_on and self.known else 0
        short = f"-epochs{FLAGS.epochs}" if given else ""
        behind = f"-after{self.after}" if self.after else ""
        self.folder = path(FLAGS.state) / f"{self.name}{short}{behind}"

    def finished(self):
        """Whether there is a record of as many epochs; a longer one wins."""
        return self.known is not None and self.known["epochs"] >= self.epochs

    def run(self, left):
        """Trains until it is finished, or for `left` epochs.

        Returns:
            The number of epochs left after that.
        """
        dataset = entries.images(self.entry, FLAGS.data_dir)
        prepare = entries.preparation(self.entry, dataset)
        facts = self._pruned(dataset, prepare)
        model = self._begun("padded" if FLAGS.padded else "pruned")
        keras.utils.set_random_seed(self.seed)
        learner = model
        if FLAGS.fused:
            learner = fused_normalization.fast(model, dtype())
        learner = training.Training(
            learner,
            self._views(dataset, prepare),
            self.folder / "training.npz",
            self.seed,
            self._settings(),
        )
        while learner.epoch < self.epochs and left:
            line = learner.run_epoch()
            print(self.name, json.dumps(line), flush=True)
            self._tell(learner)
            left -= 1
        if learner.epoch == self.epochs:
            self._finish(
                self._unpadded(fused_normalization.plain(learner.model), facts),
                dataset,
                prepare,
                facts | {"curve": learner.curve},
            )
        return left

    def _pruned(self, dataset, prepare):
        """Prunes the network once, and returns facts about the small one."""
        facts = self.folder / "pruned.json"
        if self.after and not facts.exists():
            model = keras.saving.load_model(self.place / "model.keras")
            record_files.save(model, self.folder / "pruned.keras")
            kept = {k: self.known[k] for k in BEGINNING if k in self.known}
            record_files.write_json(facts, kept)
        padded = self.folder / "padded.keras"
        if not facts.exists() or (FLAGS.padded and not padded.exists()):
            begin = time.time()
            dense = network(self.entry.network, dataset)
            small, wide = entries.pruned(
                self.entry, dense, dataset, prepare, self.seed
            )
            cost, small_cost = tfprune.cost(dense), tfprune.cost(small)
            record_files.save(small, self.folder / "pruned.keras")
            record_files.save(wide, padded)
            record_files.write_json(
                facts,
                {
                    "dense_params": cost.params,
                    "dense_macs": cost.macs,
                    "params": small_cost.params,
                    "macs": small_cost.macs,
                    "training_images_before": training.accuracy(
                        small, prepare, dataset.train, 2000
                    ),
                    "pruning_seconds": time.time() - begin,
                },
            )
            print(self.name, facts.read_text(), flush=True)
        return json.loads(facts.read_text())

    def _begun(self, name):
        """The network before training, `"pruned"` or `"padded"`."""
        file = self.folder / f"{name}.keras"
        return keras.saving.load_model(file, compile=False)

    def _unpadded(self, model, facts):
        """A trained network without the channels that are zeros."""
        if not FLAGS.padded:
            return model
        model = tfprune.strip(model)
        cost = tfprune.cost(model)
        if (cost.params, cost.macs) != (facts["params"], facts["macs"]):
            raise RuntimeError(
                "Padded channels must stay zeros. Received: a network of "
                f"{cost.params:,} parameters and {cost.macs:,} multiply-adds, "
                f"from one of {facts['params']:,} and {facts['macs']:,}. "
                "Train without --padded."
            )
        return model

    def _views(self, dataset, prepare):
        def teachers():
            return [network(name, dataset) for name in self.entry.teachers]

        # One folder for all students of the same teachers.
        name = "-".join(map(entries.title, self.entry.teachers))
        folder = path(FLAGS.state) / f"views-{self.entry.dataset}-{name}"
        return training.Views(
            dataset, prepare, teachers, folder, FLAGS.views, dtype()
        )

    def _settings(self):
        chosen = {name: FLAGS[name].value for name in TRAINING}
        return chosen | {
            "epochs": self.epochs,
            "after": self.after,
            "rate": self.entry.rate,
        }

    def _tell(self, learner):
        record_files.tell(
            path(FLAGS.records),
            self.name,
            {"epochs": self.epochs, **learner.curve[-1]},
        )

    def _finish(self, model, dataset, prepare, facts):
        """Writes the network and its metrics; the metrics come last."""
        record_files.save_half(model, self.place / "model.keras")
        model = keras.saving.load_model(self.place / "model.keras")
        earlier = []
        if self.after:
            earlier = self.known.get("earlier", [])
            earlier = [*earlier, {k: self.known[k] for k in record_files.CYCLE}]
            facts = facts | {"curve": self.known["curve"] + facts["curve"]}
        else:
            # Not before: nothing may be chosen by it.
            begun = self._begun("pruned")
            before = training.accuracy(begun, prepare, dataset.test)
            facts = facts | {"test_accuracy_before": before}
        seconds = sum(line["seconds"] for line in facts["curve"])
        if self.entry.int8_goal:
            found = record_firmware.measure(model, prepare, dataset)
            facts = facts | {"int8": found, "int8_goal": self.entry.int8_goal}
        record_files.write_json(
            self.place / "metrics.json",
            {
                "entry": self.name,
                "title": self.entry.title,
                "network": self.entry.network,
                "dataset": self.entry.dataset,
                "teachers": self.entry.teachers,
                "pruning": {"budget": self.entry.budget, **self.entry.options},
                "seed": self.seed,
                "test_accuracy": training.accuracy(
                    model, prepare, dataset.test
                ),
                "goal": self.entry.goal,
                "published": self.entry.published,
                "preprocessing": {
                    "scale": prepare.scale,
                    "mean": prepare.mean,
                    "std": prepare.std,
                },
                "training": self._settings() | {"fused": FLAGS.fused},
                "epochs": self.epochs,
                "earlier": earlier,
                "hours": seconds / 3600,
                "environment": provenance.environment(),
                "onednn": os.environ["TF_ENABLE_ONEDNN_OPTS"],
                "threads": FLAGS.threads,
                "revision": common.revision(),
                **facts,
            },
        )


def dtype():
    return "mixed_bfloat16" if FLAGS.bfloat16 else None


def network(name, dataset):
    """The network of this name, of an entry or a teacher."""
    return entries.network(
        name, path(FLAGS.weights_dir), path(FLAGS.records), dataset
    )


def path(name):
    return pathlib.Path(name or ".").expanduser()


if __name__ == "__main__":
    app.run(main)
