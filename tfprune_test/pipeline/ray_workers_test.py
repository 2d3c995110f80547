"""Trials by two real workers give what they give one after another."""

import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
from unittest import mock

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.pipeline import ray_workers
from tfprune_test.pipeline import small_tasks
from tools import source_tree

has_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="the extra `distributed`"
)

# What a user runs: layer and loss are its own.
SCRIPT = """
import sys
import keras
import tfprune
from tfprune_test.pipeline import small_tasks

class Scale(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(1,), initializer="ones")
    def call(self, x):
        return x * self.factor
    def compute_output_shape(self, shape):
        return shape

def loss(y, outputs):
    return keras.losses.sparse_categorical_crossentropy(y, outputs)

def own_accuracy(y, outputs):
    return keras.metrics.sparse_categorical_accuracy(y, outputs)

def main(out, workers):
    train = small_tasks.blobs(240, 0)
    model = small_tasks.classifier(train, epochs=2)
    model = keras.Model(model.input, Scale()(model.output))
    model.compile("adam", loss, metrics=[own_accuracy])
    tfprune.compress(
        model, train, small_tasks.blobs(120, 1), macs=0.4, out=out, epochs=6,
        export=False, trials=3, workers=int(workers), progress=False,
        recipe=tfprune.pipeline.Recipe(
            evaluations=3, selection=96, reconstruction=96))

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


class TeamTest(parameterized.TestCase):
    def test_without_ray_it_says_what_to_install(self):
        with (
            mock.patch.object(importlib.util, "find_spec", lambda name: None),
            self.assertRaisesRegex(ImportError, r"tfprune\[distributed\]"),
        ):
            ray_workers.Team(small_tasks.request(), 2)

    @parameterized.parameters("127.0.0.1:1", "ray://127.0.0.1:1")
    def test_an_address_where_none_answers(self, address):
        ray = mock.MagicMock()
        ray.is_initialized.return_value = False
        with (
            mock.patch.object(ray_workers.packages, "load", lambda *_: ray),
            mock.patch.object(ray_workers.parcel_lib, "packed"),
            mock.patch.dict(os.environ, {"RAY_ADDRESS": address}),
            self.assertRaisesRegex(ConnectionError, f"RAY_ADDRESS='{address}'"),
            ray_workers.Team(None, 2),
        ):
            pass
        ray.init.assert_not_called()

    @parameterized.parameters({"workers": 0}, {"trials": 0}, {"workers": 1.5})
    def test_numbers_that_mean_nothing(self, **numbers):
        asked = small_tasks.request()
        folder = pathlib.Path(self.create_tempdir().full_path)
        with self.assertRaisesRegex(ValueError, "must be a positive int"):
            tfprune.compress(
                asked.model,
                asked.train,
                asked.validation,
                macs=0.5,
                out=folder / "out",
                **numbers,
            )


@pytest.mark.slow  # It starts a cluster.
@has_ray
class ClusterTest(absltest.TestCase):
    def compress(self, train=None):
        asked = small_tasks.request()
        return tfprune.compress(
            *(asked.model, train or asked.train, asked.validation),
            macs=0.5,
            out=pathlib.Path(self.create_tempdir().full_path) / "out",
            epochs=2,
            export=False,
            workers=2,
            progress=False,
        )

    def test_a_worker_that_does_not_see_the_data(self):
        """As on another machine, which has other files."""
        path = pathlib.Path(self.create_tempdir().full_path, "train.npz")
        x, y = small_tasks.blobs(48, 0)
        np.savez(path, x=x, y=y)
        make = ray_workers.Team.side_by_side

        def without(team, *args):
            path.unlink()
            return make(team, *args)

        with (
            mock.patch.object(ray_workers.Team, "side_by_side", without),
            self.assertRaisesRegex(
                FileNotFoundError, "Each machine .*train.npz.*pass arrays"
            ) as caught,
        ):
            self.compress(str(path))
        self.assertIs(type(caught.exception), FileNotFoundError)


@pytest.mark.slow  # They start a cluster each.
@has_ray
class TwoWorkersTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.script = self.folder / "script.py"
        self.script.write_text(textwrap.dedent(SCRIPT))
        self.env = os.environ | {"PYTHONPATH": str(source_tree.ROOT)}

    def start(self, name, workers):
        return subprocess.Popen(
            [sys.executable, self.script, self.folder / name, f"{workers}"],
            env=self.env,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process):
        _, errors = process.communicate(timeout=400)
        self.assertEqual(process.returncode, 0, errors[-3000:])

    def result(self, name):
        """Weights, and the facts that do not depend on time."""
        facts = json.loads((self.folder / name / "result.json").read_text())
        with custom_layer():
            model = keras.saving.load_model(
                self.folder / name / "model.keras", compile=False
            )
        facts["settings"].pop("workers")
        same = ("kept", "key", "settings", "limits")
        return [w.numpy() for w in model.weights], {k: facts[k] for k in same}

    def test_workers_and_kills_change_nothing(self):
        self.finish(self.start("alone", 1))
        weights, facts = self.result("alone")
        run = self.start("two", 2)
        part = self.folder / "two.part"
        until = time.monotonic() + 200
        while not list(part.glob("workers/*/*/*.search.json")):
            self.assertLess(time.monotonic(), until)
            time.sleep(0.05)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        self.assertFalse((self.folder / "two").exists())
        self.finish(self.start("two", 2))
        found, others = self.result("two")
        self.assertEqual(others, facts)
        for one, other in zip(weights, found, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
        self.assertFalse(part.exists())


def custom_layer():
    """Knows the script's layer, whose class is not in this process."""

    class Scale(keras.layers.Layer):
        def build(self, shape):
            self.factor = self.add_weight(shape=(1,), initializer="ones")

        def call(self, x):
            return x * self.factor

    return keras.saving.custom_object_scope({"Scale": Scale})


if __name__ == "__main__":
    absltest.main()
