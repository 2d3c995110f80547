"""Searches with several workers, on one machine or many, by Ray Tune.

Every worker reads the model and the data once, then measures one network after
another; Optuna proposes the shares of the groups. tfprune scores a network
(`tfprune.searches.Objective`); Ray does queues, failures and placement.

  python examples/search_ray.py --model=model.keras --data=val.npz --macs=0.5 \\
      --workers=2 --evaluations=100 --out=build/search_ray

On a cluster (`ray start --head`, then `ray start --address=HEAD:6379` on the
other machines) pass --address=auto, and put the files where every machine can
read them. Writes small.keras, not fine-tuned, and trials.json to --out. Trials
that fail are left out; Ray shows their errors.
"""

import json
import os
import pathlib

import keras
import numpy as np
import ray
from absl import app
from absl import flags
from ray import tune
from ray.tune.search import optuna

import tfprune
from tfprune.core.files import atomic

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "a .keras file", required=True)
flags.DEFINE_string("data", None, ".npz with x and y", required=True)
flags.DEFINE_integer("fitted", 512, "samples to fit weights by in each trial")
flags.DEFINE_float("macs", 0.5, "share of the MACs that may remain")
flags.DEFINE_integer("evaluations", 100, "networks to measure")
flags.DEFINE_integer("workers", 2, "processes, each on one core")
flags.DEFINE_string("address", None, "of a Ray cluster; none starts one here")
flags.DEFINE_integer("seed", 0, "of the proposals")
flags.DEFINE_string("out", "build/search_ray", "folder of the results")


def objective(settings):
    """Returns the objective, from files that every worker can read."""
    model = keras.saving.load_model(settings["model"], compile=False)
    with np.load(settings["data"]) as arrays:
        x, y = arrays["x"], arrays["y"]
    fitted = x[: settings["fitted"]]
    return tfprune.searches.Objective(
        model,
        (x, y),
        tfprune.Budget(macs=settings["macs"]),
        recalibrate=fitted,
        reconstruct=fitted,
    )


class Worker(tune.Trainable):
    """A process that measures the networks that Ray sends it."""

    def setup(self, config, settings):
        self._objective = objective(settings)
        self.reset_config(config)

    def reset_config(self, new_config):
        self._shares = {
            name: new_config[name] for name in self._objective.groups
        }
        return True

    def step(self):
        trial = self._objective(self._shares)
        return {
            "accuracy": trial.accuracy,
            "macs": trial.macs,
            "kept": trial.kept,
            "worker": os.getpid(),
            "done": True,
        }

    def save_checkpoint(self, checkpoint_dir):
        """Saves nothing, as a trial is one step."""

    def load_checkpoint(self, checkpoint):
        """Loads nothing, as nothing is saved."""


def measured(results):
    """What the trials found that did not fail, a list of `dict`s."""
    names = ("accuracy", "macs", "kept", "worker")
    found = [
        {name: result.metrics[name] for name in names}
        for result in results
        if result.error is None
    ]
    if not found:
        raise RuntimeError(
            "Some trial must succeed. Received: "
            f"{len(results)} that failed, the first one with "
            f"{results[0].error}."
        )
    return found


def main(argv):
    del argv
    settings = {
        "model": str(pathlib.Path(FLAGS.model).resolve()),
        "data": str(pathlib.Path(FLAGS.data).resolve()),
        "fitted": FLAGS.fitted,
        "macs": FLAGS.macs,
    }
    own = objective(settings)
    out = pathlib.Path(FLAGS.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    small, written = (
        atomic.writable(out / name) for name in ("small.keras", "trials.json")
    )
    here = {} if FLAGS.address else {"num_cpus": FLAGS.workers}
    ray.init(address=FLAGS.address, include_dashboard=False, **here)
    found = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(Worker, settings=settings), {"cpu": 1}
        ),
        param_space={name: tune.uniform(0.0, 1.0) for name in own.groups},
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            search_alg=optuna.OptunaSearch(seed=FLAGS.seed),
            num_samples=FLAGS.evaluations,
            max_concurrent_trials=FLAGS.workers,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(out),
            name="ray",
            verbose=1,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    ).fit()
    ray.shutdown()
    trials = measured(found)
    best = max(trials, key=lambda trial: trial["accuracy"])
    own.model(best["kept"]).save(small)
    atomic.write({written: (json.dumps(trials, indent=2) + "\n").encode()})
    workers = len({trial["worker"] for trial in trials})
    print(
        f"{len(trials)} of {len(found)} networks by {workers} workers; "
        f"the best keeps {best['accuracy']:.2%}, dense "
        f"{own.dense:.2%}. Written: {small}, {written}"
    )


if __name__ == "__main__":
    app.run(main)
