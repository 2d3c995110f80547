"""Budgets of a board: predicted, cut at the peak, confirmed on the file."""

import pathlib

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune import zoo
from tfprune.costs import counting
from tfprune.costs import memory
from tfprune.deploy import latency
from tfprune.deploy import targeting
from tfprune.export.convert import tflite
from tfprune.export.micro import firmware_folder
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.methods import masked_channels
from tfprune.selection import budget as budget_lib
from tfprune.selection import cut as cut_lib
from tfprune.sparsity import wrapping

layers = keras.layers


def hourglass():
    """Large maps in the middle: `narrow` is not alive at the peak."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(16, 3, padding="same", name="wide")(inputs)
    x = layers.Conv2D(16, 3, padding="same", name="wide_too")(x)
    x = layers.Conv2D(16, 3, strides=4, name="after")(x)
    x = layers.Conv2D(16, 3, name="narrow")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


class OffsetsTest(absltest.TestCase):
    def test_the_largest_comes_first_and_gaps_are_filled(self):
        # c is alive with all; b and d are never alive together.
        sizes = [10, 40, 100, 30]
        lives = [(0, 3), (0, 1), (0, 3), (2, 3)]
        self.assertEqual(memory.offsets(sizes, lives), [140, 100, 0, 100])

    def test_a_gap_may_be_too_small(self):
        sizes = [50, 20, 30]
        lives = [(0, 0), (0, 1), (1, 1)]
        # The last one does not fit below the second, which lies at 50.
        self.assertEqual(memory.offsets(sizes, lives), [0, 50, 0])
        self.assertEqual(
            memory.offsets([50, 20, 60], [(0, 0), (1, 2), (0, 1)]), [60, 60, 0]
        )


class PeakTest(absltest.TestCase):
    def test_ram_is_cut_where_it_peaks_and_nowhere_else(self):
        graph = read.channel_graph(hourglass())
        meter = counting.Meter(graph)
        dense = meter.ram_bytes()
        keep = cut_lib.choose(graph, budget_lib.Budget(ram_bytes=0.7)).keep
        self.assertLessEqual(meter.ram_bytes(keep), 0.7 * dense)
        kept = {g.name: int(keep[g.labels].sum()) for g in graph.groups}
        self.assertLess(kept["wide"] + kept["wide_too"], 32)
        self.assertEqual((kept["after"], kept["narrow"]), (16, 16))

    def test_a_limit_on_flash_cuts_everywhere(self):
        graph = read.channel_graph(hourglass())
        meter = counting.Meter(graph)
        keep = cut_lib.choose(
            graph, budget_lib.Budget(flash_bytes=0.7), ranking="group"
        ).keep
        self.assertLessEqual(meter.flash_bytes(keep), 0.7 * meter.flash_bytes())
        kept = {g.name: int(keep[g.labels].sum()) for g in graph.groups}
        for name in ("wide", "wide_too", "after", "narrow"):
            self.assertLess(kept[name], 16)

    def test_what_fills_the_memory_is_named(self):
        graph = read.channel_graph(hourglass())
        with self.assertRaisesRegex(
            ValueError, r"within reach.*ram_bytes=1000.*while 'wide.*16x16x1"
        ):
            cut_lib.choose(graph, budget_lib.Budget(ram_bytes=1000))


class FitTest(parameterized.TestCase):
    @parameterized.parameters(
        (None, "microseconds"), ("cortex-m55", "instructions")
    )
    def test_the_table_says_what_latency_is_in(self, target, unit):
        one = targeting.Round({"latency": 50}, {"latency": 60})
        found = targeting.Fit(None, "model.tflite", (one,), target)
        self.assertIn(f"{unit} predicted", str(found))


class BoardTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        if keras.backend.backend() != "tensorflow":
            self.skipTest("files are exported on TensorFlow")
        pytest.importorskip("tflite_micro", reason="the extra `export`")
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    @parameterized.parameters(1.0, 0.4)
    @pytest.mark.slow  # Exports many files.
    def test_predictions_are_near_what_is_measured(self, macs):
        model = zoo.build("resnet8")
        rng = np.random.default_rng(0)
        for variable in model.weights:  # equal biases are written once
            noise = rng.uniform(0.01, 0.1, variable.shape)
            variable.assign(variable + noise)
        graph = read.channel_graph(model)
        keep = cut_lib.choose(
            graph, budget_lib.Budget(macs=macs), ranking="group"
        ).keep
        path = self.folder / "model.tflite"
        images = rng.uniform(0, 255, (8, 32, 32, 3))
        tflite.export_tflite(
            rebuild.shrink(graph, keep), path, "int8", images.astype("float32")
        )
        meter = counting.Meter(graph)
        self.assertAlmostEqual(
            meter.flash_bytes(keep) / firmware_folder.array_bytes(path),
            1,
            delta=0.03,
        )
        required = firmware_folder.arena_bytes(path)
        # Predicted with pointers of 64 bits, required with those of 32.
        self.assertAlmostEqual(meter.ram_bytes(keep) / required, 1, delta=0.04)

    def test_the_file_fits_both_limits(self):
        model = zoo.build("resnet8")
        images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3))
        path = self.folder / "fit.tflite"
        board = budget_lib.Budget(flash_bytes=51_200, ram_bytes=40_960)
        found = targeting.fit_target(
            model, board, images.astype("float32"), path
        )
        self.assertEqual(found.path, str(path))
        last = found.rounds[-1]
        array = firmware_folder.array_bytes(path)
        self.assertEqual(last.measured["flash_bytes"], array)
        self.assertLessEqual(last.measured["flash_bytes"], 51_200)
        self.assertGreater(last.measured["flash_bytes"], 0.9 * 51_200)
        self.assertLessEqual(firmware_folder.arena_bytes(path), 40_960)
        self.assertLess(
            counting.cost(found.model).macs, counting.cost(model).macs
        )
        self.assertIn("flash predicted", found.table().to_text())

    @pytest.mark.slow  # Exports several times.
    def test_wrong_predictions_are_corrected(self):
        model = hourglass()
        images = np.random.default_rng(0).normal(size=(8, 16, 16, 3))
        images = images.astype("float32")
        path = self.folder / "fit.tflite"
        board = budget_lib.Budget(flash_bytes=9_000)

        def too_low(meter, keep=None):
            return original(meter, keep) // 2

        original = counting.Meter.flash_bytes
        with absltest.mock.patch.object(counting.Meter, "flash_bytes", too_low):
            found = targeting.fit_target(model, board, images, path)
        self.assertGreater(len(found.rounds), 1)
        self.assertGreater(found.rounds[0].errors()["flash_bytes"], 0.5)
        self.assertLessEqual(firmware_folder.array_bytes(path), 9_000)

    def test_generators_last_for_all_rounds(self):
        model = hourglass()
        model.compile(loss="sparse_categorical_crossentropy")
        images = np.random.default_rng(0).normal(size=(8, 16, 16, 3))
        images, labels = images.astype("float32"), np.arange(8) % 4
        board = budget_lib.Budget(flash_bytes=9_000)
        sizes, read = iter([9_200, 9_100, 1]), []

        def export(model, path, quantize, calibration, **_):
            (samples,) = calibration
            read.append(samples)

        with (
            absltest.mock.patch.dict(
                targeting._MEASURES, flash_bytes=lambda *_: next(sizes)
            ),
            absltest.mock.patch.object(
                targeting.tflite, "export_tflite", export
            ),
            absltest.mock.patch.object(targeting.atomic, "write"),
            absltest.mock.patch.object(targeting.pathlib.Path, "read_bytes"),
        ):
            targeting.fit_target(
                *(model, board, iter(images), self.folder / "fit.tflite"),
                criterion="taylor",
                data=iter([(images, labels)]),
            )
        self.assertLen(read, 3)
        for samples in read:
            np.testing.assert_array_equal(samples, images)

    def test_latencies_of_less_than_a_microsecond(self):
        model = hourglass()
        table = latency.LatencyTable("int8", 1.0, {})
        board = budget_lib.Budget(latency=0.5, latency_table=table)
        measured = iter([0.6, 0.55, 0.5])
        with (
            absltest.mock.patch.dict(
                targeting._MEASURES, latency=lambda *_: next(measured)
            ),
            absltest.mock.patch.object(targeting.tflite, "export_tflite"),
            absltest.mock.patch.object(targeting.atomic, "write"),
            absltest.mock.patch.object(targeting.pathlib.Path, "read_bytes"),
        ):
            path = self.folder / "fit.tflite"
            found = targeting.fit_target(model, board, None, path)
        predicted = [made.predicted["latency"] for made in found.rounds]
        self.assertLen(predicted, 3)
        self.assertEqual(sorted(predicted, reverse=True), predicted)
        self.assertBetween(predicted[0], 0.3, 0.5)

    def test_a_wrapped_model_is_fitted_without_its_wrappers(self):
        model = hourglass()
        wrapped = wrapping.wrap(model, masked_channels.MaskedChannels())
        board = budget_lib.Budget(flash_bytes=0.5)
        with (
            absltest.mock.patch.dict(
                targeting._MEASURES, flash_bytes=lambda *_: 1
            ),
            absltest.mock.patch.object(targeting.tflite, "export_tflite"),
            absltest.mock.patch.object(targeting.atomic, "write"),
            absltest.mock.patch.object(targeting.pathlib.Path, "read_bytes"),
        ):
            path = self.folder / "fit.tflite"
            found = [
                targeting.fit_target(each, board, None, path)
                for each in (model, wrapped)
            ]
        configs = [each.model.get_config() for each in found]
        self.assertEqual(*configs)

    def test_a_budget_and_rounds_are_required(self):
        budget = budget_lib.Budget(flash_bytes=9000)
        for given, rounds in ((None, 8), (budget, 0), (budget, 1.5)):
            with self.assertRaisesRegex(ValueError, f"rounds={rounds}"):
                targeting.fit_target(
                    hourglass(), given, None, "a.tflite", rounds=rounds
                )
        with self.assertRaisesRegex(TypeError, "budget=0.5"):
            targeting.fit_target(hourglass(), 0.5, None, "a.tflite")

    def test_without_a_limit_of_a_board(self):
        with self.assertRaisesRegex(ValueError, "`image_bytes` or `latency`"):
            targeting.fit_target(
                hourglass(),
                budget_lib.Budget(macs=0.5),
                None,
                self.folder / "x",
            )


if __name__ == "__main__":
    absltest.main()
