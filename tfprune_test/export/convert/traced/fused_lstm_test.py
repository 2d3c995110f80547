import pathlib

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models

X = np.random.default_rng(0).normal(size=(40, 8, 4)).astype("float32")
LAYERS = keras.layers


def counting(steps):
    """`(model, x)`: cells that add up their inputs, and forget at the end."""
    layer = LAYERS.LSTM(2, return_sequences=True)
    model = keras.Sequential([keras.Input((steps, 2)), layer])
    kernel, recurrent, bias = map(np.zeros_like, layer.get_weights())
    kernel[0, 4:] = [2, -2, 1, 1]
    kernel[1, 2:4] = -8
    bias[:4] = 4
    layer.set_weights([kernel, recurrent, bias])
    x = np.random.default_rng(0).uniform(size=(64, steps, 2))
    x[..., 1] = 0
    x[:, -1] = [0.02, 1]
    return model, x.astype("float32")


class FusedLSTMTest(parameterized.TestCase):
    def exported(self, *layers, **settings):
        model = keras.Sequential([keras.Input((8, 4)), *layers])
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        file = small_models.export(model, path, "int8", X, **settings)
        wanted = np.asarray(model(X))
        for runtime in ("micro", "reference"):
            found = interpreter.run(path, X, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.03)
        return file

    @pytest.mark.slow  # Exports twice.
    def test_two_layers_are_two_ops(self):
        file = self.exported(
            LAYERS.LSTM(8, return_sequences=True), LAYERS.LSTM(8)
        )
        self.assertEqual(file.ops["UNIDIRECTIONAL_SEQUENCE_LSTM"], 2)
        # Unrolled they take 67 kB.
        self.assertLess(file.file_bytes, 8000)

    @pytest.mark.slow  # Exports.
    def test_both_ways(self):
        file = self.exported(LAYERS.Bidirectional(LAYERS.LSTM(3)))
        self.assertEqual(file.ops["UNIDIRECTIONAL_SEQUENCE_LSTM"], 2)

    @parameterized.parameters({"recurrent": "unrolled"}, {"runtime": "tflite"})
    @pytest.mark.slow  # Exports each.
    def test_unrolled_where_that_is_asked_for(self, **settings):
        file = self.exported(LAYERS.LSTM(2), **settings)
        self.assertNotIn("UNIDIRECTIONAL_SEQUENCE_LSTM", file.ops)

    @pytest.mark.slow  # Exports twice.
    def test_other_activations_and_masks_are_unrolled(self):
        file = self.exported(
            LAYERS.LSTM(2, activation="relu", return_sequences=True),
            LAYERS.Masking(),
            LAYERS.LSTM(2),
        )
        self.assertNotIn("UNIDIRECTIONAL_SEQUENCE_LSTM", file.ops)

    def test_each_sample_is_calibrated_from_zero_states(self):
        # The last outputs vary less the longer the network has run.
        keras.utils.set_random_seed(33)
        rng = np.random.default_rng(33)
        model = keras.Sequential(
            [keras.Input((4, 3)), LAYERS.LSTM(5), LAYERS.Dense(2)]
        )
        for layer in model.layers:
            *kernels, bias = layer.get_weights()
            layer.set_weights([*kernels, rng.normal(size=bias.shape)])
        x = rng.normal(size=(30, 4, 3)).astype("float32")
        self.assert_close(model, x, 0.02)

    @parameterized.parameters(12, 50)
    def test_cells_that_forget_are_not_clipped(self, steps):
        model, x = counting(steps)
        self.assert_close(model, x, 0.02)

    def test_two_calls_of_a_layer_share_its_cells_range(self):
        model, x = counting(12)
        inputs = keras.Input(x.shape[1:])
        (layer,) = model.layers
        twice = keras.Model(inputs, [layer(0.01 * inputs), layer(inputs)])
        self.assert_close(twice, x, 0.02)

    def assert_close(self, model, x, most):
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        file = small_models.export(model, path, "int8", x)
        self.assertIn("UNIDIRECTIONAL_SEQUENCE_LSTM", file.ops)
        found = interpreter.run(path, x, "micro")
        wanted = small_models.predictions(model, x)
        found = found if isinstance(found, tuple) else (found,)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, atol=most)

    def test_layers_are_as_before(self):
        layer = LAYERS.LSTM(2)
        self.exported(layer)
        self.assertNotIn("inner_loop", vars(layer))
        self.assertFalse(layer.unroll)
