"""Two real workers of Ray Tune, on loopback, share one search."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from absl.testing import absltest

from tfprune.costs import counting
from tools import source_tree

layers = keras.layers
FAILING = """
import types

import search_ray

good = {"accuracy": 0.5, "macs": 3, "kept": (1.0,), "worker": 7}
results = [
    types.SimpleNamespace(error=None, metrics={**good, "more": 1}),
    types.SimpleNamespace(error=MemoryError("full"), metrics={}),
]
assert search_ray.measured(results) == [good]
try:
    search_ray.measured(results[1:])
except RuntimeError as error:
    assert "1 that failed" in str(error) and "full" in str(error)
else:
    raise AssertionError("nothing was measured")
"""


@pytest.mark.slow  # It starts a cluster.
@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="the extra `distributed`"
)
class SearchRayTest(absltest.TestCase):
    def test_trials_that_fail_are_left_out(self):
        # In a process with flags of its own.
        done = subprocess.run(
            [sys.executable, "-c", FAILING],
            cwd=source_tree.ROOT / "examples",
            env=os.environ | {"PYTHONPATH": str(source_tree.ROOT)},
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])

    def test_two_workers_share_the_trials(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((16, 16, 3)),
                layers.Conv2D(32, 3, activation="relu", name="first"),
                layers.Conv2D(32, 3, activation="relu", name="second"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(5),
            ]
        )
        # Many, so that the second worker starts before all is done.
        x = np.random.default_rng(0).normal(size=(12_000, 16, 16, 3))
        x = x.astype("float32")
        model.save(folder / "model.keras")
        y = model.predict(x, verbose=0).argmax(-1)
        np.savez(folder / "val.npz", x=x, y=y)
        script = source_tree.ROOT / "examples" / "search_ray.py"
        done = subprocess.run(
            [
                sys.executable,
                str(script),
                f"--model={folder / 'model.keras'}",
                f"--data={folder / 'val.npz'}",
                "--macs=0.5",
                "--evaluations=32",
                "--workers=2",
                f"--out={folder / 'out'}",
            ],
            env=os.environ | {"PYTHONPATH": str(source_tree.ROOT)},
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        trials = json.loads((folder / "out" / "trials.json").read_text())
        self.assertLen(trials, 32)
        self.assertLen({trial["worker"] for trial in trials}, 2)
        dense = counting.cost(model).macs
        for trial in trials:
            self.assertLessEqual(trial["macs"], 0.5 * dense)
        best = max(trials, key=lambda trial: trial["accuracy"])
        small = keras.saving.load_model(folder / "out" / "small.keras")
        self.assertEqual(counting.cost(small).macs, best["macs"])
        scores = small.predict(x, verbose=0)
        self.assertAlmostEqual(
            float((scores.argmax(-1) == y).mean()), best["accuracy"], places=3
        )
