import pathlib
from unittest import mock

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.convert import tflite
from tfprune.export.run import output_check
from tfprune_test.export import small_models


class CheckTest(parameterized.TestCase):
    def warnings(self, model, mode="int8"):
        folder = self.create_tempdir().full_path
        path = pathlib.Path(folder, "model.tflite")
        data = small_models.samples(model, 30)
        with self.assertLogs("absl", "WARNING") as logs:
            # There is always a log to look at.
            output_check.logging.warning("end")
            small_models.export(model, path, mode, data)
        return [text for text in logs.output if "standard deviation" in text]

    @parameterized.product(
        build=(
            small_models.residual,
            small_models.two_in_two_out,
            lambda: small_models.lstm(unroll=True),
        ),
        mode=("int8", "int16x8"),
    )
    def test_files_that_compute_what_the_model_does(self, build, mode):
        self.assertEmpty(self.warnings(build(), mode))

    def test_a_model_of_one_sample(self):
        inputs = keras.Input((4, 3))
        x = keras.ops.reshape(inputs, (1, 12))
        model = keras.Model(inputs, keras.layers.Dense(2)(x))
        self.assertEmpty(self.warnings(model))

    def test_a_batch_that_becomes_channels(self):
        inputs = keras.Input((4, 3))
        x = inputs[..., :1]
        x = x * keras.ops.transpose(x, (2, 1, 0))
        x = keras.ops.concatenate([x, inputs[..., :2]], -1)
        self.assertEmpty(self.warnings(keras.Model(inputs, x)))

    def test_a_range_that_is_too_wide(self):
        inputs = keras.Input((4, 3))
        large = 100.0 * inputs[..., :1]
        x = keras.layers.Subtract(name="gap")([inputs + large, large])
        (text,) = self.warnings(keras.Model(inputs, x))
        self.assertRegex(text, r"'gap' have an error \(RMS\) of \d*\.?[1-9]")

    def test_masks_do_not_count(self):
        """A step of the file is millions, so that all others are lost."""
        inputs = keras.Input((4, 3))
        x = keras.ops.where(inputs[..., :1] > 0, inputs, -1e9)
        (text,) = self.warnings(keras.Model(inputs, x))
        self.assertRegex(text, r"their standard deviation is 0?\.\d+\.")

    def test_a_state_stays_as_it_is(self):
        inputs = keras.Input((4, 3), batch_size=1)
        layer = keras.layers.GRU(2, stateful=True, unroll=True)
        model = keras.Model(inputs, layer(inputs))
        model.predict(np.ones((1, 4, 3)), batch_size=1, verbose=0)
        before = keras.ops.convert_to_numpy(layer.states[0])
        self.assertTrue(before.any())
        self.warnings(model)
        np.testing.assert_array_equal(layer.states[0].numpy(), before)

    def test_what_is_huge_counts_too(self):
        masked = np.array([[[0.2, -1e9]], [[0.8, -1e9]], [[0.4, -1e9]]])
        exact = np.array([[[0.2, 1e6]], [[0.8, 3e6]], [[0.4, 2e6]]])
        tensor = mock.Mock(scale=None, decode=np.asarray)
        file, stored = mock.Mock(outputs=[tensor]), exact[:, 0].copy()
        with mock.patch.object(output_check, "predicted") as predicted:
            for rows, huge, count in (
                (exact, exact[:, 0, 1], 0),
                (exact, 0.0, 1),
                (masked, -16.0, 0),
            ):
                predicted.return_value = [[row] for row in rows]
                stored[:, 1] = huge
                with mock.patch.object(output_check, "_warn") as warn:
                    output_check._compare(None, None, None, file, [stored])
                self.assertEqual(warn.call_count, count)

    def test_outputs_that_hardly_move(self):
        inputs = keras.Input((4, 3))
        x = keras.layers.Dense(2)(inputs)
        model = keras.Model(inputs, 1e-3 * x + 7.0)
        self.assertEmpty(self.warnings(model))

    def test_what_the_runtime_cannot_run_is_refused(self):
        inputs = keras.Input((4, 4, 4, 2))
        x = keras.layers.Conv3D(2, 2, name="cubes")(inputs)
        model = keras.Model(inputs, x)
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        data = small_models.samples(model)
        with self.assertRaisesRegex(ValueError, "CONV_3D at 'cubes'.*runtime"):
            tflite.export_tflite(model, path, "int8", data)
        self.assertFalse(path.exists())
        small_models.export(model, path, "int8", data, runtime="tflite")
        self.assertTrue(path.exists())
