import pathlib

import keras
import numpy as np
from absl import logging
from absl.testing import parameterized

from tfprune.export.file import packing
from tfprune.export.run import interpreter
from tfprune.export.run import litert
from tfprune_test.export import small_models

LAYERS = keras.layers
MODES = ("int8", "int16x8")
RUNTIMES = ("tflite", "reference", "micro")


def constant(value):
    return keras.initializers.Constant(value)


def shut_gate():
    """A gate that no input opens, with a bias behind it."""
    inputs = keras.Input((4, 4, 2))
    x = LAYERS.Conv2D(4, 3, padding="same")(inputs)
    gate = LAYERS.GlobalAveragePooling2D(keepdims=True)(x)
    gate = LAYERS.Conv2D(
        4, 1, activation="relu", bias_initializer=constant(-50.0), name="shut"
    )(gate)
    gate = LAYERS.Conv2D(
        4, 1, activation="sigmoid", bias_initializer=constant(-1.5)
    )(gate)
    return keras.Model(inputs, LAYERS.GlobalAveragePooling2D()(x * gate))


def dead_branch_of_a_sum():
    """Runtimes without the repair end the process on it."""
    inputs = keras.Input((4, 4, 2))
    x = LAYERS.Conv2D(2, 1, activation="tanh", kernel_initializer="zeros")(
        inputs
    )
    y = LAYERS.Conv2D(2, 1, kernel_initializer="zeros")(x)
    x = LAYERS.Dense(3, bias_initializer=constant(0.7))(x + y)
    return keras.Model(inputs, [x, inputs * 2.0])


def dead_term_of_a_small_sum():
    """int16 kernels of sums stop where one scale is far above the others."""
    inputs = keras.Input((4, 8))
    dead = LAYERS.ReLU()(-keras.ops.abs(inputs))
    x = (inputs * 1e-5 - dead) * 3e4
    return keras.Model(inputs, LAYERS.Dense(3)(x))


def masked_both_ways(seed):
    """Its first backward step adds zeros, which the converter has folded."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 4))
    x = LAYERS.Bidirectional(LAYERS.GRU(4))(LAYERS.Masking()(inputs))
    return keras.Model(inputs, LAYERS.Dense(3)(x))


def small_signal():
    rng = np.random.default_rng(0)
    return 5e-4 * rng.normal(size=(64, 16)).astype("float32")


def power_of_a_small_signal():
    """Its squares and their mean are about a millionth."""
    inputs = keras.Input((16,))
    x = keras.ops.mean(keras.ops.square(inputs), axis=1, keepdims=True)
    return keras.Model(inputs, x * 1e6), small_signal()


def small_vectors():
    inputs = keras.Input((16,))
    x = keras.ops.normalize(inputs * 1e-3, axis=1)
    return keras.Model(inputs, x), 2000 * small_signal()


def noise():
    """What rounding leaves of a difference of equal numbers."""
    inputs = keras.Input((4, 8))
    rest = (inputs * 1.1 + 1.0) - (inputs * 1.1 + 0.3) - 0.7
    return keras.Model(inputs, inputs + rest)


def hardly_a_score():
    """Too small for kernels of a softmax."""
    inputs = keras.Input((4, 8))
    return keras.Model(inputs, keras.ops.softmax(inputs * 1e-7) + inputs)


class RescaleTest(parameterized.TestCase):
    def exported(self, model, mode="int8"):
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        data = small_models.samples(model, 30)
        with self.assertLogs("absl", "WARNING") as logs:
            small_models.export(model, path, mode, data)
        return path, data, "\n".join(logs.output)

    @parameterized.parameters(shut_gate, dead_branch_of_a_sum)
    def test_all_runtimes_compute_what_the_model_does(self, build):
        model = build()
        path, data, _ = self.exported(model)
        self.assertEqual(litert.kernels(path), "xnnpack")
        wanted = small_models.predictions(model, data)
        for runtime in RUNTIMES:
            found = interpreter.run(path, data, runtime)
            found = found if isinstance(found, tuple) else (found,)
            for a, b in zip(found, wanted, strict=True):
                np.testing.assert_allclose(a, b, atol=0.03)

    @parameterized.parameters(*MODES)
    def test_a_sum_keeps_its_other_term(self, mode):
        model = dead_term_of_a_small_sum()
        path, data, _ = self.exported(model, mode)
        (wanted,) = small_models.predictions(model, data)
        for runtime in RUNTIMES:
            found = interpreter.run(path, data, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.05)

    @parameterized.parameters(1, 2)
    def test_constants_of_zeros_have_a_scale(self, seed):
        model = masked_both_ways(seed)
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        rng = np.random.default_rng(seed)
        data = rng.normal(size=(64, 8, 4)).astype("float32")
        for sample in data:
            sample[rng.integers(1, 9) :] = 0
        small_models.export(model, path, "int16x8", data)
        wanted = model.predict(data, verbose=0)
        for runtime in ("tflite", "micro"):
            found = interpreter.run(path, data, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.02)

    @parameterized.product(
        build=[power_of_a_small_signal, small_vectors], mode=MODES
    )
    def test_what_is_small_is_not_dead(self, build, mode):
        model, data = build()
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        with self.assertLogs("absl", "WARNING") as logs:
            logging.warning("one, at least")
            small_models.export(model, path, mode, data)
        self.assertNotIn("Zero on all", "\n".join(logs.output))
        wanted = model.predict(data, verbose=0)
        slack = {"int8": 0.06, "int16x8": 0.002}[mode] * np.abs(wanted).max()
        for runtime in RUNTIMES:
            found = interpreter.run(path, data, runtime)
            np.testing.assert_allclose(found, wanted, atol=slack)

    @parameterized.product(build=[noise, hardly_a_score], mode=MODES)
    def test_what_is_small_and_tells_nothing(self, build, mode):
        """Kernels would abort, or XNNPACK refuse the file."""
        model = build()
        path, data, _ = self.exported(model, mode)
        wanted = small_models.predictions(model, data)
        for runtime in RUNTIMES:
            found = interpreter.run(path, data, runtime)
            np.testing.assert_allclose(found, wanted[0], atol=0.05)

    def test_what_is_dead_is_named(self):
        _, _, text = self.exported(shut_gate())
        self.assertRegex(text, "Zero on all calibration samples.*: [^,]*shut")
        self.assertNotIn("standard deviation", text)

    @parameterized.product(name=["isfinite", "logsumexp"], mode=MODES)
    def test_what_tells_finite_numbers_is_not_named(self, name, mode):
        inputs = keras.Input((6,))
        x = LAYERS.Dense(6)(inputs)
        if name == "isfinite":
            x = keras.ops.where(keras.ops.isfinite(x), x, 1.0)
        else:
            x = keras.ops.logsumexp(x, -1)
        model = keras.Model(inputs, x)
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        data = small_models.samples(model, 30)
        with self.assertLogs("absl", "WARNING") as logs:
            logging.warning("one, at least")
            small_models.export(model, path, mode, data)
        self.assertNotIn("Zero on all", "\n".join(logs.output))

    def test_others_stay(self):
        model = small_models.residual()
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        data = small_models.samples(model, 30)
        small_models.export(model, path, "int8", data)
        (graph,) = packing.unpacked(path.read_bytes()).subgraphs
        scales = [
            float(tensor.quantization.scale[0])
            for tensor in graph.tensors
            if tensor.quantization is not None
            and tensor.quantization.scale is not None
        ]
        self.assertNotEmpty(scales)
        # Softmax and the like have 2 ** -8; nothing here has 2 ** -7.
        self.assertNotIn(2.0**-7, scales)
