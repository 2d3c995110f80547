"""The whole way, on points in a plane."""

import dataclasses
import errno
import functools
import json
import os
import pathlib
import signal
import tempfile
import unittest
from unittest import mock

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.pipeline import attempts
from tfprune.pipeline import compressing
from tfprune.pipeline import job as job_lib
from tfprune.pipeline.result import compressed
from tfprune.pipeline.result import progress
from tfprune.pipeline.result import run_page
from tfprune_test.pipeline import small_tasks

RECIPE = tfprune.pipeline.Recipe(
    evaluations=2, selection=96, reconstruction=96, learning_rate=0.01
)


@functools.cache
def data():
    return small_tasks.blobs(240, 0), small_tasks.blobs(120, 1)


@functools.cache
def model():
    return small_tasks.classifier(data()[0])


def compress(out, *args, **kwargs):
    train, validation = data()
    kwargs = {
        "epochs": 4,
        "export": False,
        "recipe": RECIPE,
        "progress": False,
        **kwargs,
    }
    return tfprune.compress(
        model(), train, validation, *args, out=out, **kwargs
    )


class CompressTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.out = pathlib.Path(self.create_tempdir().full_path) / "out"

    @pytest.mark.slow  # A second run.
    def test_the_budget_holds_and_the_metric_stays(self):
        weights = [w.numpy() for w in model().weights]
        found = compress(self.out, tfprune.Budget(macs=0.4, params=0.5))
        before, after = map(tfprune.cost, (model(), found.model))
        self.assertLessEqual(after.macs, 0.4 * before.macs)
        self.assertLessEqual(after.params, 0.5 * before.params)
        self.assertTrue(found.fits)
        self.assertEqual(found.before["MACs"], before.macs)
        self.assertEqual(found.after["MACs"], after.macs)
        _, accuracy = found.model.evaluate(*data()[1], verbose=0)
        self.assertAlmostEqual(found.after["accuracy, float32"], accuracy, 5)
        self.assertGreater(accuracy, 0.9)
        for old, now in zip(weights, model().weights):
            np.testing.assert_array_equal(old, now)

    def test_the_folder_is_complete_and_loads_and_is_not_made_again(self):
        found = compress(self.out, macs=0.5)
        self.assertFalse(self.out.with_name("out.part").exists())
        self.assertCountEqual(
            os.listdir(self.out), ["model.keras", "report.html", "result.json"]
        )
        again = compressed.load(os.path.relpath(self.out))
        self.assertEqual(again.after, found.after)
        self.assertEqual(again.to_dict(), found.to_dict())
        x = data()[1][0]
        np.testing.assert_allclose(again.model(x), found.model(x), rtol=1e-6)
        self.assertIn("MACs", found.table().to_text())
        stamp = (self.out / "model.keras").stat().st_mtime_ns
        again = compress(self.out, macs=0.5)
        self.assertEqual(again.after, found.after)
        self.assertEqual((self.out / "model.keras").stat().st_mtime_ns, stamp)
        top = keras.metrics.SparseTopKCategoricalAccuracy(2, name="accuracy")
        for name, changes in {
            "macs": {"macs": 0.6},
            "loss": {"loss": keras.losses.SparseCategoricalCrossentropy()},
            "metrics": {"metrics": [top]},
            "labels": {"labels": ["a", "b", "c"]},
        }.items():
            with self.assertRaisesRegex(ValueError, f"differs in {name}"):
                compress(self.out, **{"macs": 0.5, **changes})

    def test_a_page_without_room_is_written_by_the_same_call(self):
        full = OSError(errno.ENOSPC, "No space left on device")
        with mock.patch.object(run_page, "write", side_effect=full):
            with self.assertRaisesRegex(OSError, "No space left"):
                compress(self.out, macs=0.5, epochs=1)
        self.assertFalse(self.out.exists())
        found = compress(self.out, macs=0.5, epochs=1)
        self.assertTrue(pathlib.Path(found.report).exists())

    def test_a_page_that_fails_does_not_cost_the_result(self):
        with mock.patch.object(
            run_page, "write", side_effect=TypeError("no such panel.")
        ):
            with self.assertRaisesRegex(
                RuntimeError, "no such panel. The result is complete"
            ):
                compress(self.out, macs=0.5, epochs=1)
        self.assertFalse(self.out.with_name("out.part").exists())
        found = compress(self.out, macs=0.5, epochs=1)
        self.assertIsNone(found.report)
        self.assertLess(found.after["MACs"], found.before["MACs"])

    def test_the_network_learns_from_another_teacher(self):
        inputs = keras.Input((2,))
        turned = keras.ops.roll(model()(inputs), 1, axis=-1)
        teacher = keras.Model(inputs, turned, name="turned")
        # The labels count nothing, and the last epoch must be the best one.
        recipe = dataclasses.replace(RECIPE, label_weight=0.0, rounds=1)

        def agrees(x, y, outputs):
            return (outputs.argmax(1) == teacher(x).numpy().argmax(1)).mean()

        options = {"macs": 0.5, "recipe": recipe, "epochs": 30}
        options |= {"monitor": agrees, "mode": "max"}
        # The dense network does not do what its teacher does.
        with self.assertWarnsRegex(UserWarning, "trained model is needed"):
            found = compress(self.out, teacher=teacher, **options)
        self.assertLess(found.before["agrees, float32"], 0.1)
        facts = json.loads((self.out / "result.json").read_text())
        self.assertEqual(facts["settings"]["teacher"], "turned")
        self.assertIn("teacher=teacher", facts["command"])
        self.assertGreater(found.after["agrees, float32"], 0.8)
        with self.assertRaisesRegex(ValueError, "differs in teacher"):
            compress(self.out, **options)

    @pytest.mark.slow  # Several networks.
    def test_the_smallest_network_that_loses_no_more(self):
        found = compress(self.out, max_loss=0.02, epochs=1)
        monitor = "accuracy, float32"
        self.assertLessEqual(found.before[monitor] - found.after[monitor], 0.02)
        self.assertLess(found.after["MACs"], 0.65 * found.before["MACs"])
        losses = [
            found.before[monitor] - p.values["accuracy"] for p in found.points
        ]
        small_enough = [
            p.numbers["MACs"]
            for p, loss in zip(found.points, losses)
            if loss <= 0.02
        ]
        self.assertEqual(min(small_enough), found.after["MACs"])

    def test_a_loss_is_searched_among_the_networks_that_options_leave(self):
        recipe = dataclasses.replace(RECIPE, evaluations=1, rounds=1)
        options = {"skip": {"first"}, "channel_multiple": 4}
        found = compress(
            self.out, max_loss=9.0, epochs=1, recipe=recipe, **options
        )
        kept = {name: left for name, (left, _) in found.kept.items()}
        self.assertEqual(kept, {"first": 16, "second": 4})

    @pytest.mark.slow  # Several networks.
    def test_points_are_models_of_falling_cost(self):
        found = compress(self.out, macs=0.3, points=3, epochs=2)
        costs = [point.numbers["MACs"] for point in found.points]
        self.assertLen(costs, 3)
        self.assertEqual(costs, sorted(costs, reverse=True))
        for point in found.points:
            self.assertEqual(
                tfprune.cost(point.model).macs, point.numbers["MACs"]
            )
        self.assertEqual(found.after["MACs"], costs[-1])
        self.assertLen(found.frontier().rows, 3)

    def test_a_quick_answer_that_is_the_best_ends_the_frontier(self):
        def answer(name, accuracy, over=()):
            return job_lib.Answer(
                name, {}, {"accuracy": accuracy}, {}, dict(over), [], {}
            )

        job = mock.Mock(max_loss=None, points=3)
        job.task.gain = lambda values: values["accuracy"]
        quick = [answer("early/1", 0.9)]
        whole = [answer(f"1/{n}", 0.8) for n in range(1, 4)]
        for ways, names in (
            ([quick, whole], ["1/1", "1/2", "early/1"]),
            ([quick, whole[:2] + [answer("1/3", 0.95)]], ["1/1", "1/2", "1/3"]),
        ):
            with (
                mock.patch.object(job_lib, "dense_answer"),
                mock.patch.object(attempts, "in_turn", return_value=ways),
            ):
                best, frontier = compressing._found(job, None, None)
            self.assertEqual([a.name for a in frontier], names)
            self.assertIs(best, frontier[-1])

    def test_a_budget_that_is_met_has_a_frontier_of_one(self):
        found = compress(self.out, macs=1.0, points=3)
        (point,) = found.points
        self.assertEqual(point.numbers["MACs"], found.before["MACs"])
        x = data()[1][0]
        np.testing.assert_allclose(point.model(x), model()(x), rtol=1e-6)
        self.assertLen(found.frontier().rows, 1)

    def test_the_target_of_a_budget_sets_the_multiple(self):
        recipe = dataclasses.replace(RECIPE, evaluations=1, rounds=1)
        found = compress(
            *(self.out, tfprune.Budget(macs=0.8, target="cortex-m55")),
            **{"epochs": 1, "recipe": recipe},
            labels=np.array(["a", "b", "c"]),
            metrics=[keras.metrics.SparseCategoricalAccuracy("right")],
            **{"monitor": "right", "mode": "max", "skip": ["first"]},
        )
        kept = {name: left for name, (left, _) in found.kept.items()}
        self.assertEqual(kept, {"first": 16, "second": 8})
        # The call that does it again says all of it.
        for part in (
            "skip=['first']",
            "target='cortex-m55'",
            "export=False",
            "recipe=recipe",
            "metrics=metrics",
            "monitor='right'",
            "mode='max'",
            "labels=['a', 'b', 'c']",
        ):
            self.assertIn(f", {part},", found.command)

    def test_layers_and_losses_of_a_users_own_load_again(self):
        class Shift(keras.layers.Layer):
            def build(self, shape):
                self.by = self.add_weight(shape=shape[-1:])

            def call(self, x):
                return x + self.by

        def own_loss(y, outputs):
            return keras.losses.sparse_categorical_crossentropy(y, outputs)

        hidden = keras.layers.Dense(12, activation="relu")
        last = keras.layers.Dense(3, activation="softmax")
        net = keras.Sequential([keras.Input((2,)), hidden, Shift(), last])
        net.compile(keras.optimizers.Adam(0.01), own_loss, metrics=["accuracy"])
        net.fit(*data()[0], epochs=4, verbose=0)

        def compressed_net():
            return tfprune.compress(
                net,
                *data(),
                macs=0.5,
                out=self.out,
                epochs=1,
                points=2,
                export=False,
                recipe=RECIPE,
                progress=False,
            )

        found = compressed_net()
        again = compressed_net()
        self.assertEqual(found.to_dict(), again.to_dict())
        self.assertIs(again.model.loss, own_loss)
        for one in (found, again):
            self.assertIsInstance(one.points[0].model.layers[1], Shift)

    @pytest.mark.slow  # Waits for the clock.
    def test_a_limit_on_time(self):
        found = compress(self.out, macs=0.5, epochs=None, minutes=0.05)
        self.assertTrue(found.fits)
        self.assertFalse(found.interrupted)
        with self.assertRaisesRegex(ValueError, "minutes=0.05.*minutes=0.1"):
            compress(self.out, macs=0.5, epochs=None, minutes=0.1)

    @pytest.mark.slow  # A whole run.
    def test_a_network_that_fits_already_stays_as_it_is(self):
        found = compress(self.out, tfprune.Budget(macs=1_000_000))
        self.assertEqual(found.after, found.before)
        self.assertIsNot(found.model, model())

    def test_ctrl_c_ends_with_the_best_so_far(self):
        sent = []

        def tell(self, stage, **facts):
            # A second one would end the process of the tests.
            if stage.startswith("training") and not sent:
                sent.append(stage)
                os.kill(os.getpid(), signal.SIGINT)

        before = signal.getsignal(signal.SIGINT)
        with mock.patch.object(progress.Progress, "tell", tell):
            found = compress(self.out, macs=0.5, epochs=100_000)
        self.assertEqual(signal.getsignal(signal.SIGINT), before)
        self.assertTrue(found.interrupted)
        self.assertTrue(found.fits)
        self.assertTrue((self.out / "model.keras").exists())


class ExportTest(parameterized.TestCase):
    """The int8 file, as measured; one run for all of it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        pytest.importorskip("tflite_micro", reason="Linux on x86-64 only")
        if keras.backend.backend() != "tensorflow":
            raise unittest.SkipTest("files are made on TensorFlow")
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.out = pathlib.Path(folder, "out")
        budget = tfprune.Budget(
            macs=0.6, flash_bytes=0.95, image_bytes=0.999, ram_bytes=8_192
        )
        cls.found = compress(
            cls.out, budget, export=True, labels=("a", "b", "c"), epochs=2
        )

    def test_flash_and_arena_are_those_of_the_file(self):
        after, path = self.found.after, pathlib.Path(self.found.path)
        self.assertEqual(after["int8 file bytes"], path.stat().st_size)
        header = (self.out / "firmware" / "model.h").read_text()
        size = after["int8 flash, measured"]
        self.assertIn(f"DATA_BYTES {size}\n", header)
        self.assertLess(size, path.stat().st_size)
        dense = self.found.before["int8 flash, measured"]
        self.assertEqual(self.found.limits["flash_bytes"], int(0.95 * dense))
        self.assertEqual(
            after["arena, needed on the core"],
            tfprune.export.arena_bytes(path),
        )
        self.assertLessEqual(size, self.found.limits["flash_bytes"])
        image = tfprune.export.image_bytes(path)
        self.assertEqual(after["int8 flash and code"], image)
        self.assertLessEqual(image, self.found.limits["image_bytes"])
        self.assertTrue(self.found.fits)
        self.assertLess(
            after["float32 file bytes"],
            self.found.before["float32 file bytes"],
        )

    def test_the_metric_of_the_file_is_measured_where_it_runs(self):
        accuracy = tfprune.evaluate_tflite(
            self.found.path, data()[1], "micro", progress=False
        )
        name = "accuracy, int8 on TFLite Micro"
        self.assertAlmostEqual(self.found.after[name], accuracy, 6)

    def test_firmware_has_the_classes(self):
        text = (self.out / "firmware" / "model.cc").read_text()
        self.assertIn('"a"', text)

    def test_the_report_uses_a_name_for_each_number(self):
        text = pathlib.Path(self.found.report).read_text()
        for name in self.found.before:
            self.assertIn(name, text)
        self.assertNotIn(".part", self.found.report)


class _Subclassed(keras.Model):
    """A model that says nothing of its outputs."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.hidden = keras.layers.Dense(16, activation="relu")
        self.body = keras.layers.Dense(16, activation="relu")
        self.classes = keras.layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.classes(self.body(self.hidden(x)))


class OtherTasksTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.out = pathlib.Path(self.create_tempdir().full_path) / "out"

    @pytest.mark.slow  # A second task.
    def test_several_inputs_and_outputs_and_weights(self):
        train = small_tasks.two_heads_data(200, 0)
        validation = small_tasks.two_heads_data(80, 1)
        net = small_tasks.two_heads()
        net.fit(*train[:2], sample_weight=train[2], epochs=12, verbose=0)
        found = tfprune.compress(
            net,
            train,
            validation,
            macs=0.6,
            monitor="size_mae",
            out=self.out,
            epochs=2,
            export=False,
            recipe=RECIPE,
            progress=False,
        )
        self.assertFalse(found.larger)
        self.assertLessEqual(tfprune.cost(found.model).macs, 64)
        values = net.evaluate(
            *validation[:2],
            sample_weight=validation[2],
            verbose=0,
            return_dict=True,
        )
        self.assertAlmostEqual(
            found.before["size_mae, float32"], values["size_mae"], 4
        )

    def test_a_subclassed_model_and_teacher_come_out_functional(self):
        train, validation = data()
        net = _Subclassed()
        net.compile(
            keras.optimizers.Adam(0.01),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        net.fit(*train, epochs=4, verbose=0)
        found = tfprune.compress(
            net,
            train,
            validation,
            macs=0.5,
            teacher=net,
            out=self.out,
            epochs=1,
            export=False,
            recipe=RECIPE,
            progress=False,
        )
        self.assertLen(found.model.outputs, 1)
        self.assertLess(found.model.count_params(), net.count_params())
        values = net.evaluate(*validation, verbose=0, return_dict=True)
        self.assertAlmostEqual(
            found.before["accuracy, float32"], values["accuracy"], 5
        )

    def test_texts_whose_words_the_model_looks_up(self):
        if keras.backend.backend() != "tensorflow":
            self.skipTest("texts are tensors of TensorFlow")
        words = np.array(["red", "blue", "cat", "dog"])
        x = words[np.random.default_rng(0).integers(0, 4, (120, 1))][:, 0]
        y = np.isin(x, words[:2]).astype("int64")
        look_up = keras.layers.TextVectorization(output_sequence_length=1)
        look_up.adapt(x)
        net = keras.Sequential(
            [
                keras.Input((), dtype="string"),
                look_up,
                keras.layers.Embedding(8, 4),
                keras.layers.Flatten(),
                keras.layers.Dense(12, activation="relu"),
                keras.layers.Dense(2, activation="softmax"),
            ]
        )
        net.compile(
            keras.optimizers.Adam(0.05),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        text = keras.ops.convert_to_tensor(x, "string")
        net.fit(text, y, epochs=6, verbose=0)
        found = tfprune.compress(
            net,
            (x, y),
            (x, y),
            macs=0.6,
            out=self.out,
            epochs=2,
            export=False,
            recipe=RECIPE,
            progress=False,
        )
        self.assertGreater(found.after["accuracy, float32"], 0.9)

    @pytest.mark.slow  # Exports loops.
    @pytest.mark.filterwarnings("ignore:These layers do not read patches")
    def test_recurrent_networks_within_flash(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(120, 8, 4)).astype("float32")
        y = (x[..., 0].sum(1) > 0).astype("int64")
        for layer in (keras.layers.LSTM(12), keras.layers.GRU(12)):
            keras.utils.set_random_seed(0)
            inputs = keras.Input((8, 4))
            net = keras.Model(inputs, keras.layers.Dense(2)(layer(inputs)))
            net.compile(
                keras.optimizers.Adam(0.02),
                keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                metrics=["accuracy"],
            )
            net.fit(x, y, epochs=12, verbose=0)
            out = self.out.parent / layer.name
            small = tfprune.compress(
                net,
                (x, y),
                (x[:60], y[:60]),
                macs=0.6,
                out=out,
                epochs=2,
                recipe=RECIPE,
                progress=False,
            )
            self.assertIn(
                "Quantization error", (out / "report.html").read_text()
            )
            limit = small.before["int8 flash, measured"] - 200
            small = tfprune.compress(
                net,
                (x, y),
                (x[:60], y[:60]),
                tfprune.Budget(flash_bytes=limit),
                out=out.with_name(f"{layer.name}_flash"),
                epochs=2,
                recipe=RECIPE,
                progress=False,
            )
            self.assertLessEqual(small.after["int8 flash, measured"], limit)

    @pytest.mark.slow  # A whole run.
    def test_an_autoencoder_by_a_function_of_inputs_and_outputs(self):
        x = small_tasks.blobs(200, 0)[0]
        far = np.random.default_rng(0).uniform(-6, 6, (60, 2))
        normal = small_tasks.blobs(60, 1)[0]
        mixed = np.concatenate([normal, far]).astype("float32")
        labels = np.repeat([0, 1], 60)
        inputs = keras.Input((2,))
        hidden = keras.layers.Dense(12, activation="relu")(inputs)
        code = keras.layers.Dense(1)(hidden)
        hidden = keras.layers.Dense(12, activation="relu")(code)
        net = keras.Model(inputs, keras.layers.Dense(2)(hidden))
        net.compile(keras.optimizers.Adam(0.01), "mse")
        net.fit(x, x, epochs=10, verbose=0)

        def auc(x, y, outputs):
            metric = keras.metrics.AUC(200)
            error = np.square(x - outputs).sum(1)
            metric.update_state(y, error / error.max())
            return metric.result()

        found = tfprune.compress(
            net,
            x,
            (mixed, labels),
            macs=0.5,
            monitor=auc,
            mode="max",
            out=self.out,
            epochs=2,
            export=False,
            recipe=RECIPE,
            progress=False,
        )
        self.assertGreater(found.before["auc, float32"], 0.6)
        self.assertGreaterEqual(found.after["auc, float32"], 0.6)


if __name__ == "__main__":
    absltest.main()
