import pathlib

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.core import packages
from tfprune.export.file import model_file
from tfprune.export.micro import kernels
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

OPS = keras.ops


def take(x):
    x = OPS.take(x, np.array([2, 0, 2]), axis=-1)
    return OPS.take(x, np.array([2, 0, 2]), axis=-1) + OPS.take(
        x, np.array([1, 1, 0]), axis=-1
    )


def where(x):
    return OPS.where(x * x > 0.25, x, -x)


def where_one_for_all(x):
    return OPS.where(x[:, :1] * x[:, :1] > 0.25, x, -x)


def repeat_vector(x):
    x = keras.layers.GlobalMaxPooling1D()(x)
    return keras.layers.RepeatVector(12)(x)


def tile_two_axes_of_one(x):
    return OPS.tile(x[:, :1, :1], (1, 5, 3))


def tile_channels(x):
    return OPS.tile(x, (1, 1, 2))


def tile_two_axes(x):
    return OPS.tile(x, (1, 3, 2))


class PixelShuffle(keras.layers.Layer):
    def call(self, x):
        x = OPS.reshape(x, (-1, 2, 2, 12))
        # Keras has no op of its own for it.
        return packages.load("tensorflow").nn.depth_to_space(x, 2)

    def compute_output_shape(self, _):
        return None, 4, 4, 3


def pixel_shuffle(x):
    x = keras.layers.Dense(12)(x)
    return PixelShuffle()(x)


class OfItself(keras.layers.Layer):
    """A convolution of what is repeated, by itself."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        kernel = OPS.reshape(x + 0.7, (2, 2, 3, 1))
        if self.function is OPS.conv_transpose:
            kernel = OPS.transpose(kernel, (0, 1, 3, 2))
        image = OPS.reshape(OPS.tile(x, (1, 4, 1)), (-1, 4, 4, 3))
        return self.function(image, kernel, padding="valid")

    def compute_output_shape(self, _):
        return self.call(np.zeros((1, 4, 3), "float32")).shape


def patches(x):
    x = OPS.reshape(OPS.tile(x, (1, 1, 4)), (-1, 4, 4, 3))
    x = OPS.image.extract_patches(x, 2)
    return OPS.mean(x, (1, 2))


def slices_of_five_axes(x):
    x = OPS.reshape(OPS.tile(x, (1, 1, 4)), (-1, 4, 2, 2, 3))
    return x[:, 1:, :, ::2, 1:] - x[:, :0:-1, :, 1:, :2]


def one_of_several_parts(x):
    return OPS.split(keras.layers.Dense(6)(x), 3, axis=-1)[1]


def one_of_several_steps(x):
    return OPS.unstack(keras.layers.Dense(6)(x), axis=1)[2]


PARTS = one_of_several_parts, one_of_several_steps


def clipped_input(x):
    return OPS.clip(x, -1, 1) * 0.5


def clipped_parts(x):
    return OPS.clip(OPS.concatenate([x, x / 2], 1), -1, 1)


def clipped_choice(x):
    return keras.activations.hard_tanh(OPS.where(x > 0, x, 1.5 * x))


def masked(x):
    x = x * OPS.cast(OPS.abs(x[:, :, :1]) > 0.25, "float32")
    return keras.layers.GRU(2)(keras.layers.Masking()(x))


def masked_by_another_value(x):
    x = OPS.where(OPS.abs(x[:, :, :1]) > 0.25, x, -0.7123)
    return keras.layers.LSTM(2)(keras.layers.Masking(-0.7123)(x))


def built(function):
    inputs = keras.Input((4, 3))
    return keras.Model(inputs, function(inputs))


class SubstituteTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        rng = np.random.default_rng(0)
        x = rng.uniform(-1, 1, size=(30, 4, 3))
        # Far from where a step of int8 makes a difference.
        self.x = np.where(abs(abs(x) - 0.5) < 0.1, x / 2, x).astype("float32")

    @parameterized.product(
        function=(
            take,
            where,
            where_one_for_all,
            repeat_vector,
            tile_two_axes_of_one,
            tile_channels,
            tile_two_axes,
            pixel_shuffle,
            patches,
            slices_of_five_axes,
            one_of_several_parts,
            one_of_several_steps,
        ),
        mode=("float32", "int8"),
    )
    def test_tflite_micro_runs_it(self, function, mode):
        self.assert_runs(function, mode)

    @parameterized.product(
        function=(clipped_input, clipped_parts, clipped_choice),
        mode=("float32", "int8", "int16x8"),
    )
    def test_clips_at_one_are_no_op_of_their_own(self, function, mode):
        self.x *= 2
        self.assert_runs(function, mode)
        self.assertNotIn("RELU_N1_TO_1", model_file.read(self.path).ops)

    def assert_runs(self, function, mode):
        model = built(function)
        data = None if mode == "float32" else self.x
        small_models.export(model, self.path, mode, data)
        ops = model_file.read(self.path).ops
        kernels.resolver_methods(ops)
        if mode == "int8" and function in PARTS:
            self.assertNotIn("DEQUANTIZE", ops)
        wanted = small_models.predictions(model, [self.x])[0]
        for runtime in ("tflite", "reference", "micro"):
            found = interpreter.run(self.path, self.x, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.05)

    @parameterized.product(
        name=("conv", "depthwise_conv", "conv_transpose"),
        mode=("int8", "int16x8"),
    )
    def test_a_kernel_that_is_computed(self, name, mode):
        model = built(OfItself(getattr(OPS, name)))
        small_models.export(model, self.path, mode, self.x)
        wanted = np.concatenate([model(one[None]) for one in self.x])
        for runtime in ("reference", "micro"):
            found = interpreter.run(self.path, self.x, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.15)

    @parameterized.parameters(masked, masked_by_another_value)
    def test_masks(self, function):
        # In float32 recurrent layers are loops.
        self.assert_runs(function, "int8")

    @pytest.mark.slow  # Exports twice.
    def test_masked_words(self):
        inputs = keras.Input((4,), dtype="int32")
        x = keras.layers.Embedding(10, 3, mask_zero=True)(inputs)
        model = keras.Model(inputs, keras.layers.LSTM(2)(x))
        x = np.random.default_rng(0).integers(0, 4, (50, 4)).astype("int32")
        small_models.export(model, self.path, "int8", x)
        wanted = small_models.predictions(model, [x])[0]
        for runtime in ("tflite", "micro"):
            found = interpreter.run(self.path, x, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.05)

    def test_words(self):
        inputs = keras.Input((4,), dtype="int32")
        x = keras.layers.Embedding(10, 3)(inputs)
        model = keras.Model(inputs, keras.layers.LSTM(2)(x))
        x = np.random.default_rng(0).integers(0, 10, (50, 4)).astype("int32")
        small_models.export(model, self.path, "int8", x)
        wanted = small_models.predictions(model, [x])[0]
        for runtime in ("tflite", "micro"):
            found = interpreter.run(self.path, x, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.05)

    @parameterized.parameters("float32", "int8")
    def test_bytes_that_are_read_in_float(self, mode):
        inputs = keras.Input((4, 4, 3), dtype="uint8")
        x = keras.layers.Rescaling(1 / 255, name="scaled")(inputs)
        outputs = keras.layers.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, outputs)
        images = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3))
        images = images.astype("uint8")
        quantized = mode == "int8"
        file = small_models.export(
            *(model, self.path, mode, images if quantized else None),
            runtime="micro",
            keep_float=["scaled"] if quantized else (),
        )
        self.assertEqual(file.inputs[0].dtype, "uint8")
        wanted = small_models.predictions(model, [images])[0]
        for runtime in ("tflite", "micro"):
            found = interpreter.run(self.path, images, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.01)

    def test_many_copies_of_many_channels(self):
        model = built(lambda x: OPS.tile(x, (1, 1, 11)))
        small_models.export(model, self.path)
        self.assertNotIn("TILE", model_file.read(self.path).ops)
        np.testing.assert_array_equal(
            interpreter.run(self.path, self.x), np.tile(self.x, (1, 1, 11))
        )

    def test_positions_that_are_numbers_too_stay(self):
        inputs = keras.Input((3,), dtype="int64")
        order = OPS.convert_to_tensor([2, 0, 1], "int64")
        outputs = OPS.take(inputs, order, axis=-1) * order
        small_models.export(keras.Model(inputs, outputs), self.path)
        np.testing.assert_array_equal(
            interpreter.run(self.path, np.array([[5, 6, 7]])), [[14, 0, 6]]
        )
