import pathlib

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.export.convert.traced import unrolling
from tfprune.export.file import model_file
from tfprune.export.micro import kernels
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

LAYERS = keras.layers


def nested(x):
    inputs = keras.Input(x.shape[1:])
    return keras.Model(inputs, LAYERS.LSTM(4)(inputs))(x)


def images(x):
    x = LAYERS.Reshape((4, 1, 1, 3))(x)
    return LAYERS.Flatten()(LAYERS.ConvLSTM2D(2, 1)(x))


def encoder_and_decoder(x):
    x = LAYERS.RepeatVector(4)(LAYERS.LSTM(3)(x))
    return LAYERS.TimeDistributed(LAYERS.Dense(2))(
        LAYERS.LSTM(3, return_sequences=True)(x)
    )


KINDS = {
    "lstm": lambda x: LAYERS.LSTM(4)(x),
    "gru": lambda x: LAYERS.GRU(4, return_sequences=True)(x),
    "simple": lambda x: LAYERS.SimpleRNN(4)(x),
    "stacked": lambda x: LAYERS.RNN([LAYERS.GRUCell(3), LAYERS.GRUCell(2)])(x),
    "both_ways": lambda x: LAYERS.Bidirectional(LAYERS.GRU(2))(x),
    "images": images,
    "nested": nested,
    "encoder_and_decoder": encoder_and_decoder,
}


# Not many seconds each.
QUICK = ("lstm", "simple")


class UnrolledTest(parameterized.TestCase):
    @parameterized.parameters(*QUICK)
    def test_recurrent_layers_run_as_int8_on_tflite_micro(self, kind):
        self.check(KINDS[kind])

    @parameterized.parameters(*sorted({*KINDS} - {*QUICK}))
    @pytest.mark.slow
    def test_larger_ones_run_as_int8_on_tflite_micro(self, kind):
        self.check(KINDS[kind])

    def check(self, build):
        inputs = keras.Input((4, 3))
        model = keras.Model(inputs, build(inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        arrays = small_models.samples(model, 100)
        file = small_models.export(model, path, "int8", arrays)
        kernels.resolver_methods(file.ops)
        self.assertNotIn("WHILE", file.ops)
        wanted = small_models.predictions(model, arrays)[0]
        for runtime in ("reference", "micro"):
            found = interpreter.run(path, arrays, runtime)
            error = np.sqrt(np.mean((found - wanted) ** 2))
            # An LSTM that is one op has one scale for all of its steps.
            self.assertLess(error, 0.08 * wanted.std())

    def test_files_in_float_keep_their_loop(self):
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        small_models.export(small_models.lstm(unroll=False), path)
        self.assertIn("WHILE", model_file.read(path).ops)

    def test_files_in_float_for_tflite_micro_have_none(self):
        inputs = keras.Input((4, 3))
        x = LAYERS.LSTM(5, return_sequences=True)(inputs)
        model = keras.Model(inputs, LAYERS.GRU(2, return_sequences=True)(x))
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        file = small_models.export(model, path, runtime="micro")
        self.assertNotIn("WHILE", file.ops)
        arrays = small_models.samples(model, 4)
        wanted = small_models.predictions(model, arrays)[0]
        found = interpreter.run(path, arrays, "micro")
        np.testing.assert_allclose(found, wanted, atol=1e-5)

    @parameterized.product(
        kind=(LAYERS.GRU, LAYERS.LSTM), mode=("float32", "int8")
    )
    def test_masked_steps_in_both_ways(self, kind, mode):
        inputs = keras.Input((4, 3))
        layer = LAYERS.Bidirectional(kind(2, return_sequences=True))
        model = keras.Model(inputs, layer(LAYERS.Masking()(inputs)))
        (x,) = small_models.samples(model, 30)
        x[:20, 3:], x[:10, :1] = 0, 0
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        data = x if mode == "int8" else None
        small_models.export(model, path, mode, data, runtime="micro")
        found = interpreter.run(path, x, "micro")
        atol = 0.1 if mode == "int8" else 1e-5
        np.testing.assert_allclose(found, model(x), atol=atol)
        self.assertTrue(layer.backward_layer.zero_output_for_mask)

    def test_layers_are_as_before(self):
        inputs = keras.Input((4, 3))
        loop, steps = LAYERS.LSTM(2, return_sequences=True), LAYERS.GRU(2)
        steps.unroll = True
        model = keras.Model(inputs, steps(loop(inputs)))
        with self.assertRaisesRegex(OSError, "mine"):
            with unrolling.unrolled(model):
                self.assertTrue(loop.unroll)
                raise OSError("mine")
        self.assertFalse(loop.unroll)
        self.assertTrue(steps.unroll)
