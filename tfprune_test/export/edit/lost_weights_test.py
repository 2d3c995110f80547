import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.edit import lost_weights
from tfprune.export.file import packing
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

LAYERS = keras.layers
BIAS = {"bias_initializer": keras.initializers.RandomNormal(stddev=1.0)}


def shut(inputs, units):
    """A layer that no input opens."""
    low = keras.initializers.Constant(-100.0)
    return LAYERS.Dense(units, activation="relu", bias_initializer=low)(inputs)


def convolutions():
    inputs = keras.Input((8, 8, 2))
    x = shut(inputs, 4)
    return keras.Model(
        inputs,
        [
            LAYERS.DepthwiseConv2D(3, depth_multiplier=2, **BIAS)(x),
            LAYERS.Conv2DTranspose(3, 3, strides=2, **BIAS)(x),
            LAYERS.Conv2D(4, 3, groups=2, **BIAS)(x),
            LAYERS.Conv2D(4, 3, **BIAS)(x) + LAYERS.Conv2D(4, 3)(inputs),
        ],
    )


def shared_dense():
    """One layer of a tensor that was zero and of one that was not."""
    inputs = keras.Input((6,))
    layer = LAYERS.Dense(4, **BIAS)
    return keras.Model(inputs, [layer(shut(inputs, 6)), layer(inputs)])


class Outer(LAYERS.Layer):
    """A dense layer whose weights are computed."""

    def call(self, x):
        made = keras.ops.matmul(x[0, :, :2], keras.ops.transpose(x[0, :, 2:]))
        return made[None]

    def compute_output_shape(self, _):
        return 1, 4, 4


def computed_weights():
    inputs = keras.Input((4, 4))
    return keras.Model(
        inputs, [LAYERS.Dense(2, **BIAS)(shut(inputs, 6)), Outer()(inputs)]
    )


def unrolled():
    """The steps share weights; but for the first they have no bias."""
    inputs = keras.Input((4, 3))
    return keras.Model(inputs, LAYERS.LSTM(3, **BIAS)(shut(inputs, 4)))


def fused():
    """Each layer behind a tensor that was zero."""
    inputs = keras.Input((4, 3))
    outputs = [
        LAYERS.LSTM(units, return_sequences=True, **BIAS)(shut(inputs, 5))
        for units in (4, 3)
    ]
    return keras.Model(inputs, outputs)


def hardly_alive():
    """A tensor of numbers that are almost zero, and a bias behind it."""
    inputs = keras.Input((6, 6, 2))
    tiny = keras.initializers.RandomNormal(stddev=1e-9)
    layer = LAYERS.SeparableConv2D(4, 3, depthwise_initializer=tiny, **BIAS)
    return keras.Model(inputs, LAYERS.Conv2D(3, 3)(layer(inputs)))


def gates_without_weights():
    """Gates that only their biases open and shut."""
    inputs = keras.Input((4, 3))
    layer = LAYERS.LSTM(3, return_sequences=True)
    model = keras.Model(inputs, layer(inputs))
    kernel, recurrent, _ = layer.get_weights()
    kernel[:, :6] = 0
    bias = np.repeat([4.0, -4.0, 0.0, 0.0], 3)
    layer.set_weights([kernel, recurrent, bias])
    return model


class RestoreTest(parameterized.TestCase):
    def exported(self, model, mode="int16x8"):
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        data = small_models.samples(model, 30)
        small_models.export(model, path, mode, data)
        return path, data

    @parameterized.parameters(
        (convolutions, "int16x8"),
        (shared_dense, "int16x8"),
        (unrolled, "int16x8"),
        (computed_weights, "int16x8"),
        (fused, "int8"),
        (hardly_alive, "int16x8"),
        (gates_without_weights, "int8"),
    )
    def test_outputs_are_those_of_the_model(self, build, mode):
        keras.utils.set_random_seed(0)
        model = build()
        path, data = self.exported(model, mode)
        self.assertFalse(lost_weights.are_lost(path.read_bytes()))
        each = [small_models.predictions(model, [one[None]]) for one in data[0]]
        wanted = map(np.concatenate, zip(*each, strict=True))
        found = interpreter.run(path, data, "micro")
        found = found if isinstance(found, tuple) else (found,)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, atol=0.02)

    def test_a_float_file_of_other_ops_is_of_no_use(self):
        paths = []
        for name, build in (("a", convolutions), ("b", small_models.residual)):
            paths.append(pathlib.Path(self.create_tempdir().full_path, name))
            small_models.export(build(), paths[-1], None, None)
        model = packing.unpacked(paths[0].read_bytes())
        with self.assertRaisesRegex(ValueError, "Calibrate on other samples"):
            lost_weights.restore(model, paths[1].read_bytes())

    def test_what_has_a_range_has_its_weights(self):
        path, _ = self.exported(small_models.residual())
        self.assertFalse(lost_weights.are_lost(path.read_bytes()))

    @parameterized.parameters((7e4, False), (7e4, True), (6e4, False))
    def test_weights_too_large_for_float16(self, largest, masks):
        """Cut ones are told of, but not such as only mask."""
        inputs = keras.Input((64,))
        layer = LAYERS.Dense(64)
        model = keras.Model(inputs, layer(inputs))
        kernel = np.full((64, 64), 0.0 if masks else 0.1)
        kernel[0, 0] = largest
        layer.kernel.assign(kernel)
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        with self.assertLogs("absl") as logs:
            small_models.export(model, path, "float16")
        told = any("beyond 65,504" in line for line in logs.output)
        self.assertEqual(told, largest > 65504 and not masks)
