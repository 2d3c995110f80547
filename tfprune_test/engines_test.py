"""Training that outgrows one device: real devices and real processes."""

import importlib.util
import itertools
import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.sparsity import wrapper as wrapper_lib

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Script, backend, processes, replicas.
ENGINES = (
    ("mirrored", "tensorflow", 1, 2),
    ("multi_worker", "tensorflow", 2, 2),
    ("data_parallel", "jax", 1, 8),
    ("processes", "jax", 2, 2),
)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [str(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def reports(script, backend, *commands):
    """Runs a script once for each command, at once; what they report."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", f"tfprune_test.engines.{script}", *command],
            cwd=ROOT,
            env=dict(os.environ, KERAS_BACKEND=backend),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    found = []
    for process in running:
        output, _ = process.communicate(timeout=600)
        lines = [x for x in output.splitlines() if x.startswith("REPORT ")]
        if process.returncode or not lines:
            raise AssertionError(f"{script}: {process.returncode}\n{output}")
        found.append(json.loads(lines[0].removeprefix("REPORT ")))
    return found


METHODS = ("masked", "masked_channels", "soft_threshold")
# They need `fit`, and both their turns on one process.
IN_TURN = ("autoprune", "autoprune_channels")


@pytest.mark.slow  # Processes that import a backend each.
class EnginesTest(parameterized.TestCase):
    @parameterized.parameters(
        *itertools.product(ENGINES, METHODS),
        *itertools.product((ENGINES[0], ENGINES[2]), IN_TURN),
    )
    def test_masks_are_those_of_one_device(self, engine, method):
        script, backend, processes, replicas = engine
        if not importlib.util.find_spec(backend):
            self.skipTest(f"{backend} is not installed")
        path = os.path.join(self.create_tempdir(), "model.keras")
        ports = free_ports(processes) if processes > 1 else []
        commands = [
            [method, path, str(rank), *ports] for rank in range(processes)
        ]
        found = reports(script, backend, *commands)
        (single,) = reports("one_device", backend, [method])
        for report in found:
            self.assertEqual(report["replicas"], replicas)
            self.assertTrue(report["equal"])
            self.assertEqual(report["weights"], found[0]["weights"])
            self.assertEqual(report["masks"], single["masks"])
            self.assertEqual(report["sparsity"], single["sparsity"])
        loaded = keras.saving.load_model(path)
        self.assertEqual(wrapper_lib.sparsity(loaded), single["sparsity"])

    def test_weights_learn_from_training_samples_alone_on_two_devices(self):
        if not importlib.util.find_spec("tensorflow"):
            self.skipTest("tensorflow is not installed")
        (report,) = reports("mirrored_turns", "tensorflow", [])
        self.assertEqual(report["replicas"], 2)
        # Batches of 8 samples are cut after pairs, those of 10 in the midst.
        for move in report["moves"].values():
            self.assertAlmostEqual(move, 1e-3 * 2 * 4, places=4)

    def test_a_step_of_distillation_is_the_same_on_two_devices(self):
        if not importlib.util.find_spec("tensorflow"):
            self.skipTest("tensorflow is not installed")
        (report,) = reports("mirrored_tutor", "tensorflow", [])
        one, two = report
        np.testing.assert_allclose(two["weights"], one["weights"], atol=1e-5)
        for name, values in one["logs"].items():
            np.testing.assert_allclose(two["logs"][name], values, atol=1e-5)

    def test_bit_lengths_and_ranges_are_the_same_on_two_devices(self):
        if not importlib.util.find_spec("tensorflow"):
            self.skipTest("tensorflow is not installed")
        (report,) = reports("mirrored_bits", "tensorflow", [])
        self.assertEqual(report["replicas"], 2)
        self.assertTrue(report["equal"])
        self.assertLess(max(report["bits"]), 8)
        self.assertAlmostEqual(report["sparsity"], 0.75, places=2)
        low, high, weight = report["ranges"][0]
        # The averages of both devices, over 30 steps.
        self.assertAlmostEqual(weight, 1 - 0.99**30, places=5)
        least, greatest = report["input"]
        self.assertTrue(least < low / weight < -1 < 1 < high / weight)
        self.assertLess(high / weight, greatest)
