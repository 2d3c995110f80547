"""A run that is killed goes on, and ends as if it had not been."""

import functools
import json
import pathlib
import random
import subprocess
import sys
import textwrap
import time
from unittest import mock

import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.pipeline import tuning
from tfprune.pipeline.result import progress
from tfprune.pipeline.result import result_folder
from tfprune_test.pipeline import small_tasks

RECIPE = tfprune.pipeline.Recipe(
    evaluations=3, selection=96, reconstruction=96, learning_rate=0.01
)


class Killed(BaseException):
    """What nothing catches."""


@functools.cache
def task():
    train = small_tasks.blobs(240, 0)
    model = small_tasks.classifier(train, epochs=2)
    return model, train, small_tasks.blobs(120, 1)


def compress(out):
    return tfprune.compress(
        *task(),
        macs=0.4,
        out=out,
        epochs=6,
        export=False,
        recipe=RECIPE,
        progress=False,
    )


@functools.cache
def unbroken(folder):
    """Weights, curve and how often it told where it was."""
    told = []

    def tell(self, **facts):
        told.append(facts["stage"])

    with mock.patch.object(progress.Progress, "tell", tell):
        found = compress(folder)
    return [w.numpy() for w in found.model.weights], found.curve, told


def plain(curve):
    return [{k: v for k, v in c.items() if k != "seconds"} for c in curve]


class ResumingTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.enterClassContext(mock.patch.object(tuning, "_EVERY", 0.0))

    @pytest.mark.slow
    def test_a_run_that_is_killed_again_and_again_ends_the_same(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        weights, curve, told = unbroken(folder / "whole")
        self.assertGreater(len(told), 8)
        out, calls = folder / "out", [0]

        def tell(self, **facts):
            calls[0] += 1
            if calls[0] % 5 == 0:
                raise Killed

        kills = 0
        with mock.patch.object(progress.Progress, "tell", tell):
            while True:
                try:
                    found = compress(out)
                    break
                except Killed:
                    kills += 1
                    self.assertFalse(out.exists())
                    json.loads((folder / "out.part/journal.json").read_text())
        self.assertGreater(kills, 1)
        self.assertEqual(plain(found.curve), plain(curve))
        for one, other in zip(weights, found.model.weights):
            np.testing.assert_allclose(one, other.numpy(), rtol=1e-5)
        self.assertFalse((folder / "out.part").exists())

    @pytest.mark.slow  # Two runs.
    def test_a_run_of_other_settings_is_not_gone_on_with(self):
        folder = pathlib.Path(self.create_tempdir().full_path)

        def tell(self, **facts):
            raise Killed

        with mock.patch.object(progress.Progress, "tell", tell):
            with self.assertRaises(Killed):
                compress(folder / "out")
        with self.assertRaisesRegex(ValueError, "out.part.*differs in seed"):
            tfprune.compress(
                *task(),
                macs=0.4,
                out=folder / "out",
                epochs=6,
                export=False,
                recipe=RECIPE,
                seed=1,
            )

    def test_a_kill_after_ctrl_c_costs_no_training(self):
        folder = pathlib.Path(self.create_tempdir().full_path)

        def tell(self, **facts):
            if facts.get("epoch") == 2 and facts["stage"] == "training 1/2":
                self._clock.stopped = True

        with (
            mock.patch.object(progress.Progress, "tell", tell),
            mock.patch.object(result_folder, "write", side_effect=Killed),
            self.assertRaises(Killed),
        ):
            compress(folder / "out")
        facts = json.loads((folder / "out.part/journal.json").read_text())
        self.assertIn("1/2/keep", facts["steps"])
        self.assertNotIn("1/2/trained", facts["steps"])
        self.assertNotIn("1/2/answer", facts["steps"])
        found = compress(folder / "out")
        self.assertFalse(found.interrupted)
        epochs = [line["epoch"] for line in found.curve]
        self.assertEqual(epochs, [1, 2, 3, 4, 5, 6])  # Two rounds.


SCRIPT = textwrap.dedent(
    """
    import sys
    import tfprune
    from tfprune.pipeline import tuning
    from tfprune_test.pipeline import resuming_test
    tuning._EVERY = 0.0
    resuming_test.compress(sys.argv[1])
    """
)


@pytest.mark.slow
class KillTest(absltest.TestCase):
    def test_twenty_kills_at_random_moments(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        weights, curve, _ = unbroken(folder / "whole")
        rng, out = random.Random(0), folder / "out"
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(folder / "timed")], check=True
        )
        seconds = time.monotonic() - began
        for _ in range(20):
            process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(out)])
            try:
                process.wait(rng.uniform(0.3, 1.0) * seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if out.exists():
                json.loads((out / "result.json").read_text())
        found = compress(out)
        self.assertEqual(plain(found.curve), plain(curve))
        for one, other in zip(weights, found.model.weights):
            np.testing.assert_allclose(one, other.numpy(), rtol=1e-5)


if __name__ == "__main__":
    absltest.main()
