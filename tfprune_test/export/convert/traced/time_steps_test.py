import pathlib

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.convert import signature as signatures
from tfprune.export.convert.traced import time_steps
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

LAYERS = keras.layers
STEPS = 5


class Twice(LAYERS.Layer):
    """A user's own layer, which may do anything with the batch."""

    def call(self, inputs):
        return 2.0 * inputs

    def compute_output_shape(self, input_shape):
        return input_shape


def net():
    inputs = keras.Input((4, 4, 2))
    return keras.Model(inputs, LAYERS.Flatten()(LAYERS.Conv2D(3, 2)(inputs)))


def residual():
    inputs = keras.Input((3,))
    x = LAYERS.Dense(3)(inputs)
    return keras.Model(inputs, keras.ops.relu(x + 2.0 * inputs))


def centred():
    """All samples at once, of which a file has one."""
    inputs = keras.Input((3,))
    mean = keras.ops.mean(inputs, 0, keepdims=True)
    return keras.Model(inputs, inputs - mean)


def turned():
    inputs = keras.Input((3,))
    return keras.Model(inputs, inputs + keras.ops.flip(inputs, 0))


def attention():
    inputs = keras.Input((3, 4))
    layer = LAYERS.MultiHeadAttention(1, 4)
    return keras.Model(inputs, layer(inputs, inputs))


def sequential(fixed=None):
    return keras.Sequential(
        [keras.Input(batch_shape=(fixed, 3)), LAYERS.Dense(2, "relu")]
    )


# Each with the shape of a step.
TOGETHER = {
    "dense": (lambda: LAYERS.Dense(2), (3,)),
    "pooling": (LAYERS.MaxPooling2D, (4, 4, 2)),
    "normalization": (LAYERS.BatchNormalization, (4, 4, 2)),
    "attention": (attention, (3, 4)),
    "net": (net, (4, 4, 2)),
    "residual": (residual, (3,)),
    "sequential": (sequential, (3,)),
    "steps of steps": (
        lambda: LAYERS.TimeDistributed(LAYERS.Dense(2)),
        (3, 4),
    ),
}
ONE_BY_ONE = {
    "own": (Twice, (3,)),
    "centred": (centred, (3,)),
    "turned": (turned, (3,)),
    "recurrent": (lambda: LAYERS.LSTM(2), (3, 2)),
    "for a batch": (lambda: sequential(1), (3,)),
    "lambda": (lambda: LAYERS.Lambda(lambda x: 2.0 * x, (3,)), (3,)),
}


def over_steps(layer, shape):
    inputs = keras.Input((STEPS, *shape))
    return keras.Model(inputs, LAYERS.TimeDistributed(layer)(inputs))


class TogetherTest(parameterized.TestCase):
    @parameterized.parameters(*TOGETHER)
    def test_all_steps_are_one_call(self, kind):
        build, shape = TOGETHER[kind]
        model = over_steps(build(), shape)
        self.assertNotIn("Pack", self.ops(model))

    @parameterized.parameters(*ONE_BY_ONE)
    def test_a_layer_that_may_mix_samples_takes_step_by_step(self, kind):
        build, shape = ONE_BY_ONE[kind]
        model = over_steps(build(), shape)
        self.assertIn("Pack", self.ops(model))

    def test_a_layer_that_takes_a_mask_goes_step_by_step(self):
        inputs = keras.Input((STEPS, 3, 2))
        ids = keras.Input((STEPS, 3))
        mask = keras.ops.not_equal(ids, 0.0)
        layer = LAYERS.TimeDistributed(LAYERS.GlobalAveragePooling1D())
        model = keras.Model([inputs, ids], layer(inputs, mask=mask))
        self.assertIn("Pack", self.ops(model))

    def ops(self, model):
        """The ops of a trace, which computes what the model does."""
        import tensorflow as tf

        signature = signatures.of(model, None)
        specs = [tf.TensorSpec(x.shape, x.dtype) for x in signature.inputs]
        layers = {layer: vars(layer).copy() for layer in model.layers}
        with time_steps.together(model):
            function = tf.function(
                lambda *x: model(x if len(x) > 1 else x[0], training=False),
                autograph=False,
            ).get_concrete_function(*specs)
        for layer, before in layers.items():
            self.assertEqual(vars(layer).keys(), before.keys())
        rng = np.random.default_rng(0)
        arrays = [
            rng.normal(size=x.shape).astype("float32").round() for x in specs
        ]
        wanted = model(arrays if len(arrays) > 1 else arrays[0])
        found = function(*map(tf.constant, arrays))
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        return {op.type for op in function.graph.get_operations()}


class ExportTest(parameterized.TestCase):
    @parameterized.parameters("float32", "int8")
    def test_a_dense_layer_of_many_steps_is_one_op(self, quantize):
        model = over_steps(LAYERS.Dense(2), (3,))
        file, path, arrays = self.export(model, quantize)
        self.assertEqual(file.ops["FULLY_CONNECTED"], 1)
        self.assertNotIn("PACK", file.ops)
        wanted = small_models.predictions(model, arrays)[0]
        found = interpreter.run(path, arrays)
        np.testing.assert_allclose(found, wanted, atol=0.05)

    @pytest.mark.slow
    def test_images_of_many_steps_run_on_tflite_micro(self):
        model = over_steps(net(), (4, 4, 2))
        file, path, arrays = self.export(model, "int8")
        self.assertEqual(file.ops["CONV_2D"], 1)
        wanted = small_models.predictions(model, arrays)[0]
        found = interpreter.run(path, arrays, "micro")
        error = np.sqrt(np.mean((found - wanted) ** 2))
        self.assertLess(error, 0.03 * wanted.std())

    def export(self, model, quantize):
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        arrays = small_models.samples(model, 50)
        given = arrays if quantize == "int8" else None
        file = small_models.export(model, path, quantize, given)
        return file, path, arrays


if __name__ == "__main__":
    absltest.main()
