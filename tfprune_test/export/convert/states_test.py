import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.export.convert import signature
from tfprune.export.convert import states
from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

LAYERS = keras.layers


class Smoothed(LAYERS.Layer):
    """Half of what it was, and half of what comes."""

    def build(self, shape):
        self.mean = self.add_weight(
            shape=(1, *shape[1:]), initializer="zeros", trainable=False
        )

    def call(self, x):
        self.mean.assign((self.mean + x) / 2)
        return self.mean + 0.0


class Remembering(keras.Model):
    """A model that assigns to a variable of its own."""

    def __init__(self):
        super().__init__(name="remembering")
        self.smoothed = Smoothed(name="smoothed")
        self.dense = LAYERS.Dense(2)
        self.last = self.add_weight(
            shape=(1, 4, 3), initializer="zeros", trainable=False
        )

    def call(self, x):
        last = self.last + 0.0
        self.last.assign(x)
        return self.dense(self.smoothed(x) - last)


def nested(x):
    inputs = keras.Input(batch_shape=x.shape)
    return keras.Model(inputs, LAYERS.LSTM(3, stateful=True)(inputs))(x)


def images(x):
    x = LAYERS.Reshape((4, 1, 1, 3))(x)
    return LAYERS.Flatten()(LAYERS.ConvLSTM2D(2, 1, stateful=True)(x))


def cells(x):
    cells = [LAYERS.LSTMCell(2), LAYERS.GRUCell(2)]
    return LAYERS.RNN(cells, stateful=True)(x)


KINDS = {
    "lstm": (lambda x: LAYERS.LSTM(3, stateful=True)(x), 2),
    "gru": (lambda x: LAYERS.GRU(3, stateful=True)(x), 1),
    "simple": (lambda x: LAYERS.SimpleRNN(3, stateful=True)(x), 1),
    "cells": (cells, 3),
    "images": (images, 2),
    "both_ways": (
        lambda x: LAYERS.Bidirectional(LAYERS.LSTM(2, stateful=True))(x),
        4,
    ),
    "nested": (nested, 2),
    "of_ones_own": (lambda x: LAYERS.Flatten()(Smoothed()(x)), 1),
}


def model_of(build, batch=1):
    inputs = keras.Input(batch_shape=(batch, 4, 3))
    return keras.Model(inputs, LAYERS.Dense(2)(build(inputs)))


def calls(model, x):
    """The outputs of a model, sample by sample."""
    return np.concatenate([model.predict_on_batch(s[None]) for s in x])


def stream(path, x):
    """The outputs of a file, each call in the state that the last one left."""
    outputs, states = [], None
    for sample in x:
        if states is None:
            file = model_file.read(path)
            states = [np.zeros(t.shape, "float32") for t in file.inputs[1:]]
        found = interpreter.run(path, [sample[None], *states], "reference")
        outputs.append(found[0])
        states = found[1:]
    return np.concatenate(outputs)


class StatesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.create_tempdir().full_path
        self.path = pathlib.Path(folder, "model.tflite")
        self.x = np.random.default_rng(0).normal(size=(30, 4, 3))
        self.x = self.x.astype("float32")

    @parameterized.named_parameters((k, *v) for k, v in KINDS.items())
    def test_a_file_remembers_as_the_model_does(self, build, count):
        model = model_of(build)
        wanted = calls(model, self.x)
        file = small_models.export(model, self.path)
        self.assertLen(file.inputs, 1 + count)
        after = [t.name.removesuffix("_next") for t in file.outputs[1:]]
        self.assertEqual([t.name for t in file.inputs[1:]], after)
        found = stream(self.path, self.x)
        np.testing.assert_allclose(found, wanted, atol=1e-5)

    def test_a_model_has_states_of_its_own(self):
        model = Remembering()
        model(self.x[:1])
        for variable in (model.last, model.smoothed.mean):
            variable.assign(np.zeros(variable.shape))
        file = small_models.export(model, self.path)
        names = ["remembering_state_0", "smoothed_state_0"]
        self.assertEqual([t.name for t in file.inputs[1:]], names)
        wanted = calls(model, self.x)
        found = stream(self.path, self.x)
        np.testing.assert_allclose(found, wanted, atol=1e-5)

    @parameterized.parameters("lstm", "both_ways")
    def test_int8_remembers(self, kind):
        model = model_of(KINDS[kind][0])
        wanted = calls(model, self.x)
        file = small_models.export(model, self.path, "int8", self.x)
        self.assertEqual({t.dtype for t in file.inputs}, {"int8"})
        for before, after in zip(
            file.inputs[1:], file.outputs[1:], strict=True
        ):
            # What comes out is handed on byte for byte.
            self.assertEqual(before.scale, after.scale)
            self.assertEqual(before.zero_point, after.zero_point)
        error = np.abs(stream(self.path, self.x) - wanted)
        self.assertLess(error.max(), 0.25 * wanted.std())

    @parameterized.product(mode=("int8", "int16x8"), kind=("lstm", "gru"))
    def test_a_state_that_is_the_output_has_a_name(self, mode, kind):
        build, count = KINDS[kind]
        inputs = keras.Input(batch_shape=(1, 4, 3))
        model = keras.Model(inputs, build(inputs))
        wanted = calls(model, self.x)
        file = small_models.export(model, self.path, mode, self.x)
        before = [tensor.name for tensor in file.inputs[1:]]
        found = [tensor.name for tensor in file.outputs]
        self.assertEqual(found[1:], [f"{name}_next" for name in before])
        self.assertEqual(found[0], model.output_names[0])
        error = np.abs(stream(self.path, self.x) - wanted)
        self.assertLess(error.max(), 0.25 * wanted.std())

    def test_each_sample_of_a_batch_is_a_stream(self):
        model = model_of(KINDS["lstm"][0], batch=2)
        steps = zip(self.x, self.x[::-1], strict=True)
        wanted = [model.predict_on_batch(np.stack(pair)) for pair in steps]
        small_models.export(model, self.path)
        np.testing.assert_allclose(
            stream(self.path, self.x), np.stack(wanted)[:, 0], atol=1e-5
        )

    def test_a_model_without_states_is_not_called(self):
        inputs = keras.Input((2,), batch_size=1)
        of_model = signature.of(keras.Model(inputs, inputs))
        uncalled = None  # it would be an error to call it
        samples = [np.ones((3, 2))]
        self.assertEqual(states.met(uncalled, of_model, samples), [])

    def test_the_model_stays_in_its_state(self):
        model = model_of(KINDS["lstm"][0])
        model.predict_on_batch(self.x[:1])
        before = list(map(keras.ops.convert_to_numpy, model.layers[1].states))
        small_models.export(model, self.path, "int8", self.x)
        for a, b in zip(before, model.layers[1].states, strict=True):
            np.testing.assert_array_equal(a, b)


class StrippedTest(parameterized.TestCase):
    @parameterized.parameters("lstm", "gru", "images", "both_ways", "nested")
    def test_a_smaller_model_goes_on_where_the_other_stood(self, kind):
        model = model_of(KINDS[kind][0])
        x = np.random.default_rng(0).normal(size=(2, 1, 4, 3))
        model.predict_on_batch(x[0])
        for small in (
            tfprune.strip(model),
            tfprune.wrap(model, tfprune.methods.Masked()),
        ):
            with keras.StatelessScope():
                wanted, found = model(x[1]), small(x[1])
            np.testing.assert_allclose(found, wanted, atol=1e-6)


if __name__ == "__main__":
    absltest.main()
