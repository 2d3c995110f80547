"""What TensorBoard gets to see of pruning."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.callbacks import prune_on_schedule
from tfprune.callbacks import pruning_summaries
from tfprune.methods import bitpruning
from tfprune.methods import masked
from tfprune.methods import masked_channels
from tfprune.patterns import weight_patterns
from tfprune.schedules import schedule as schedule_lib
from tfprune.selection import budget as budget_lib
from tfprune.sparsity import chain
from tfprune.sparsity import wrapping


class PictureTest(absltest.TestCase):
    def test_rows_are_outputs_and_zeros_are_black(self):
        kernel = np.array([[1.0, 0.0], [0.0, -2.0], [0.5, 3.0]])
        picture = pruning_summaries.as_picture(
            kernel, weight_patterns.Axes((0,), (1,))
        )
        np.testing.assert_array_equal(picture, [[255, 0, 255], [0, 255, 255]])

    def test_positions_stand_side_by_side(self):
        kernel = np.ones((2, 2, 3, 4))
        kernel[0, 1] = 0
        axes = weight_patterns.Axes((2,), (3,))
        picture = pruning_summaries.as_picture(kernel, axes)
        self.assertEqual(picture.shape, (4, 12))
        np.testing.assert_array_equal(
            picture[0], [255] * 3 + [0] * 3 + [255] * 6
        )


def trained(method, folder, schedule=None, **options):
    """A small net that was trained for four epochs, with summaries."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(4, name="hidden"),
            keras.layers.Dense(2, name="logits"),
        ]
    )
    model = wrapping.wrap(model, method)
    model.compile("sgd", "mse")
    summaries = pruning_summaries.PruningSummaries(folder, **options)
    callbacks = [summaries]
    if schedule is not None:
        pruning = prune_on_schedule.PruneOnSchedule(
            schedule, options.get("budget")
        )
        callbacks.insert(0, pruning)
    x, y = np.ones((8, 6)), np.zeros((8, 2))
    model.fit(x, y, epochs=4, verbose=0, callbacks=callbacks)
    return model


def read(folder):
    """What was written, as TensorBoard's own reader sees it."""
    from tensorboard.backend.event_processing import event_accumulator

    found = event_accumulator.EventAccumulator(f"{folder}/pruning")
    return found.Reload()


class SummariesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        pytest.importorskip("tensorboard")
        self.folder = self.create_tempdir().full_path

    def test_zeros_are_counted_and_drawn(self):
        half = schedule_lib.OneShot(0.5, 1)
        trained(masked.Masked(), self.folder, half, every=2)
        events = read(self.folder)
        for name in ("all", "hidden/kernel", "logits/kernel"):
            found = events.Scalars(f"sparsity/{name}")
            self.assertEqual([e.step for e in found], [1, 3])
            self.assertEqual(found[-1].value, 0.5)
        found = events.Images("masks/hidden/kernel")
        self.assertEqual([image.step for image in found], [1, 3])
        self.assertEqual((found[0].height, found[0].width), (4, 6))
        (*_, last) = events.Histograms("scores/hidden/kernel")
        self.assertEqual(last.histogram_value.num, 24)

    def test_layers_of_nested_models_are_told_apart(self):
        inputs = x = keras.Input((4,))
        for name in ("left", "right"):
            part = [keras.Input((4,)), keras.layers.Dense(4, name="hidden")]
            x = keras.Sequential(part, name=name)(x)
        model = wrapping.wrap(keras.Model(inputs, x), masked.Masked())
        model.compile("sgd", "mse")
        summaries = pruning_summaries.PruningSummaries(self.folder)
        ones = np.ones((2, 4))
        model.fit(ones, ones, verbose=0, callbacks=[summaries])
        events = read(self.folder)
        for path in ("left/hidden/kernel", "right/hidden/kernel"):
            self.assertLen(events.Scalars(f"sparsity/{path}"), 1)
            self.assertLen(events.Images(f"masks/{path}"), 1)
            self.assertLen(events.Histograms(f"scores/{path}"), 1)

    def test_methods_of_a_chain_are_told_apart(self):
        bits = bitpruning.BitPruning()
        methods = masked.Masked(), bits, masked.Masked(criterion="lamp")
        trained(chain.Chain(methods), self.folder)
        events = read(self.folder)
        self.assertEqual(
            [t for t in events.Tags()["histograms"] if "hidden/kernel" in t],
            [
                f"scores/hidden/kernel/{name}"
                for name in ("Masked", "BitPruning", "Masked#2")
            ],
        )
        self.assertLen(events.Scalars("bits/hidden/kernel"), 4)

    def test_the_budget_is_told_beside_what_is_left(self):
        budget = budget_lib.Budget(macs=0.5)
        ramp = schedule_lib.OneShot(1.0, 1)
        method = masked_channels.MaskedChannels()
        trained(method, self.folder, ramp, budget=budget)
        events = read(self.folder)
        # 6 * 4 + 4 * 2 at first; half of it leaves two of four channels.
        (*_, limit) = events.Scalars("budget/macs_limit")
        self.assertEqual(limit.value, 16)
        (*_, left) = events.Scalars("budget/macs")
        self.assertEqual(left.value, 6 * 2 + 2 * 2)
        (*_, ratio) = events.Scalars("method/macs_ratio")
        self.assertEqual(ratio.value, 0.5)

    def test_learned_bit_lengths_are_told(self):
        trained(bitpruning.BitPruning(), self.folder)
        events = read(self.folder)
        tags = events.Tags()["scalars"]
        for path in ("hidden/kernel", "hidden/inputs", "logits/kernel"):
            self.assertIn(f"bits/{path}", tags)
            for event in events.Scalars(f"bits/{path}"):
                self.assertBetween(event.value, 1.0, 8.0)

    @parameterized.parameters(
        (dict(every=0), ValueError, "every=0"),
        (dict(budget=0.5), TypeError, "tfprune.Budget"),
    )
    def test_arguments_are_checked(self, given, error, text):
        with self.assertRaisesRegex(error, text):
            pruning_summaries.PruningSummaries("logs", **given)

    def test_a_model_without_methods_is_refused_before_it_trains(self):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        summaries = pruning_summaries.PruningSummaries(self.folder)
        with self.assertRaisesRegex(ValueError, "with wrapped layers"):
            model.fit(np.ones((2, 2)), np.ones((2, 1)), callbacks=[summaries])


@pytest.mark.slow
class TensorBoardTest(absltest.TestCase):
    """A real TensorBoard is started and asked for what it shows."""

    def setUp(self):
        super().setUp()
        pytest.importorskip("tensorboard")
        self.folder = self.create_tempdir().full_path
        budget = budget_lib.Budget(macs=0.5)
        trained(
            masked_channels.MaskedChannels(),
            self.folder,
            schedule_lib.OneShot(1.0, 1),
            budget=budget,
        )
        with socket.socket() as free:
            free.bind(("localhost", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "tensorboard.main"]
        command += ["--logdir", self.folder, "--port", str(self.port)]
        self.server = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.addCleanup(self.server.wait, 30)
        self.addCleanup(self.server.terminate)

    def asked(self, path):
        """What the server answers, as soon as it has something to tell."""
        address = f"http://localhost:{self.port}/data/plugin/{path}"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            self.assertIsNone(self.server.poll(), "TensorBoard has ended")
            try:
                with urllib.request.urlopen(address, timeout=10) as answer:
                    found = json.load(answer)
            except (urllib.error.URLError, TimeoutError):
                found = None  # It is still starting.
            if found:
                return found
            time.sleep(0.5)
        self.fail(f"TensorBoard does not answer at {address}")

    def test_it_shows_every_kind(self):
        scalars = set(self.asked("scalars/tags")["pruning"])
        self.assertContainsSubset(
            {
                "sparsity/all",
                "sparsity/hidden/kernel",
                "sparsity/logits/kernel",
                "method/macs_ratio",
                "budget/macs",
                "budget/macs_limit",
            },
            scalars,
        )
        images = self.asked("images/tags")["pruning"]
        self.assertIn("masks/logits/kernel", images)
        histograms = self.asked("histograms/tags")["pruning"]
        self.assertIn("scores/hidden/kernel", histograms)
        found = self.asked("scalars/scalars?run=pruning&tag=budget/macs_limit")
        self.assertEqual([value for _, _, value in found], [16.0] * 4)
        (*_, last) = self.asked(
            "histograms/histograms?run=pruning&tag=scores/hidden/kernel"
        )
        self.assertEqual(sum(count for *_, count in last[2]), 24)


if __name__ == "__main__":
    absltest.main()
