import pathlib

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models

X = np.random.default_rng(0).normal(size=(40, 8, 4)).astype("float32")
LAYERS = keras.layers


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

    def test_layers_are_as_before(self):
        layer = LAYERS.LSTM(2)
        self.exported(layer)
        self.assertNotIn("inner_loop", vars(layer))
        self.assertFalse(layer.unroll)
