"""Times of layers: what is measured, what is made of it."""

import pathlib
from unittest import mock

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.costs import counting
from tfprune.deploy import latency
from tfprune.deploy import targeting
from tfprune.export.convert import tflite
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.methods import masked_channels
from tfprune.selection import budget as budget_lib
from tfprune.selection import cut as cut_lib
from tfprune.sparsity import wrapping

layers = keras.layers


def net(width=64):
    """Most of the time goes into the second convolution."""
    inputs = keras.Input((24, 24, 3))
    x = layers.Conv2D(width, 1, activation="relu", name="first")(inputs)
    y = layers.Conv2D(width, 3, padding="same", name="second")(x)
    x = layers.Conv2D(width, 3, padding="same", name="twin")(x)
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


class TableTest(parameterized.TestCase):
    def table(self, graph, whole=1000.0):
        # 2 + 3 n + 5 m + 7 n m and nothing for what is not listed.
        return latency.LatencyTable(
            "float32", whole, {"first": (2, 0, 5, 0), "second": (0, 0, 0, 0.1)}
        )

    def test_times_are_bilinear_and_the_rest_goes_by_bytes(self):
        graph = read.channel_graph(net(10))
        table = self.table(graph)
        # 2 + 50 and 10 in the layers, 938 in the rest.
        self.assertAlmostEqual(table.predict(graph), 1000)
        keep = cut_lib.choose(graph, {"first": 0.5, "second": 0.2}).keep
        n, m = 5, 8
        written = table._written(graph, keep) / table._written(
            graph, np.ones(graph.size, bool)
        )
        self.assertLess(written, 1)
        self.assertAlmostEqual(
            table.predict(graph, keep),
            2 + 5 * n + 0.1 * n * m + 938 * written,
        )

    def test_a_model_that_is_pruned_already(self):
        graph = read.channel_graph(net(10))
        table = self.table(graph)
        keep = cut_lib.choose(graph, {"first": 0.5, "second": 0.2}).keep
        small = read.channel_graph(rebuild.shrink(graph, keep))
        pruned = table.of_pruned(graph, small)
        self.assertAlmostEqual(
            pruned.predict(small), table.predict(graph, keep)
        )
        further = cut_lib.choose(graph, {"first": 0.7, "second": 0.5}).keep
        self.assertFalse((further & ~keep).any())
        self.assertAlmostEqual(
            pruned.predict(small, further[keep]), table.predict(graph, further)
        )

    def test_a_budget_is_kept_to_as_predicted(self):
        graph = read.channel_graph(net(10))
        table = self.table(graph, whole=10.0)  # There is no rest.
        budget = budget_lib.Budget(latency=0.7, latency_table=table)
        keep = cut_lib.choose(graph, budget).keep
        dense = table.predict(graph)
        self.assertLessEqual(table.predict(graph, keep), 0.7 * dense)
        self.assertGreater(table.predict(graph, keep), 0.55 * dense)

    def test_a_table_is_read_as_it_was_written(self):
        path = pathlib.Path(self.create_tempdir().full_path) / "table.json"
        graph = read.channel_graph(net(10))
        table = self.table(graph)
        table.save(path)
        again = latency.LatencyTable.load(path)
        self.assertEqual(again.predict(graph), table.predict(graph))
        self.assertIn("second", again.table(graph).to_text())

    def test_errors(self):
        with self.assertRaisesRegex(ValueError, "latency_table=None"):
            budget_lib.Budget(latency=0.5)
        table = self.table(None)
        with self.assertRaisesRegex(ValueError, "quantize='float32'"):
            targeting.fit_target(
                net(10),
                budget_lib.Budget(latency=0.5, latency_table=table),
                None,
                "model.tflite",
            )
        with self.assertRaisesRegex(ValueError, "Received: runs=0"):
            latency.measure([], runs=0)


class LayersTest(parameterized.TestCase):
    """Files whose times are their multiply-adds."""

    def table(self, model):
        work = {}

        def export(model, path, *_):
            work[path] = counting.cost(model).macs

        with (
            mock.patch.object(latency.tflite, "export_tflite", export),
            mock.patch.object(
                latency, "measure", lambda paths, _: [work[p] for p in paths]
            ),
        ):
            return latency.latency_table(model, progress=False)

    def test_a_layer_takes_what_all_of_its_calls_take(self):
        inputs = keras.Input((8, 8, 4))
        shared = layers.Conv2D(4, 3, padding="same", name="shared")
        x = shared(layers.MaxPooling2D(4)(shared(inputs)))
        model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
        graph = read.channel_graph(model)
        times = list(self.table(model)._times(graph, np.ones(graph.size, bool)))
        self.assertLen(times, 3)
        self.assertAlmostEqual(sum(times), counting.cost(model).macs, places=3)

    def test_a_layer_is_measured_on_all_rows_of_a_sample(self):
        inputs = keras.Input((3, 8, 8, 4))
        x = keras.ops.reshape(inputs, (-1, 8, 8, 4))
        x = layers.Conv2D(5, 3, name="conv")(x)
        x = keras.ops.reshape(x, (-1, 3, 6 * 6 * 5))
        model = keras.Model(inputs, layers.Dense(2)(x))
        graph = read.channel_graph(model)
        times = list(self.table(model)._times(graph, np.ones(graph.size, bool)))
        self.assertAlmostEqual(times[0], 3 * 36 * 9 * 4 * 5, places=3)
        self.assertAlmostEqual(sum(times), counting.cost(model).macs, places=3)

    def test_layers_of_a_wrapped_model_are_measured(self):
        model = net(8)
        wrapped = wrapping.wrap(model, masked_channels.MaskedChannels())
        self.assertEqual(self.table(wrapped), self.table(model))


class MeasuredTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        if keras.backend.backend() != "tensorflow":
            self.skipTest("files are exported on TensorFlow")
        pytest.importorskip("ai_edge_litert", reason="the extra `export`")
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    @pytest.mark.slow  # Measures.
    def test_more_work_takes_longer(self):
        paths = [self.folder / f"{width}.tflite" for width in (8, 96)]
        for path, width in zip(paths, (8, 96), strict=True):
            tflite.export_tflite(net(width), path)
        small, large, again = latency.measure([*paths, paths[0]], runs=20)
        self.assertGreater(large, 2 * small)
        self.assertBetween(again / small, 0.3, 3)

    @pytest.mark.slow  # Every kind of layer is exported four times.
    def test_layers_add_up_to_the_model_and_a_file_is_as_fast_as_asked(self):
        model = net()
        table = latency.latency_table(model, runs=200, progress=False)
        graph = read.channel_graph(model)
        # Twins are measured once.
        self.assertEqual(table.layers["second"], table.layers["twin"])
        alone = sum(table._times(graph, np.ones(graph.size, bool)))
        self.assertBetween(alone / table.whole, 0.5, 1.5)
        budget = budget_lib.Budget(latency=0.5, latency_table=table)
        keep = cut_lib.choose(graph, budget, ranking="group").keep
        small, dense = self.folder / "s.tflite", self.folder / "d.tflite"
        tflite.export_tflite(model, dense)
        tflite.export_tflite(rebuild.shrink(graph, keep), small)
        fast, slow = latency.measure([small, dense], runs=200)
        self.assertBetween(fast / slow, 0.25, 0.8)

    @pytest.mark.slow
    def test_the_file_itself_is_brought_under_a_limit(self):
        model = net()
        x = np.random.default_rng(0).normal(size=(8, 24, 24, 3))
        x = x.astype("float32")
        table = latency.latency_table(model, "int8", x, progress=False)
        budget = budget_lib.Budget(latency=0.6, latency_table=table)
        path = self.folder / "fit.tflite"
        found = targeting.fit_target(model, budget, x, path)
        last = found.rounds[-1]
        graph = read.channel_graph(model)
        ceiling = 0.6 * table.predict(graph)
        self.assertLessEqual(last.measured["latency"], ceiling)
        self.assertIn("microseconds predicted", found.table().to_text())
