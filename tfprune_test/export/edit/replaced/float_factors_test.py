import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

LAYERS = keras.layers
OPS = keras.ops


def by_root_mean_square(x):
    return LAYERS.RMSNormalization()(x)


def by_length(x):
    return LAYERS.UnitNormalization()(x)


def by_a_group(x):
    return LAYERS.GroupNormalization(2)(x)


def by_spread(x):
    return LAYERS.LayerNormalization(epsilon=1e-6)(x)


def by_sum(x):
    share = 1 / (OPS.sum(OPS.abs(x), -1, keepdims=True) + 1e-3)
    return OPS.abs(x) * share


def by_a_factor_that_is_an_output(x):
    factor = OPS.rsqrt(OPS.mean(OPS.square(x), -1, keepdims=True) + 1e-2)
    return [x * factor, OPS.minimum(factor, 2.0)]


def with_a_mean_that_others_read(x):
    mean = OPS.mean(x, -1, keepdims=True)
    variance = OPS.mean(OPS.square(x - mean), -1, keepdims=True)
    normal = (x - mean) * OPS.rsqrt(variance + 1e-6)
    return OPS.concatenate([normal, x - mean, x + mean], -1)


def samples(quiet):
    rng = np.random.default_rng(0)
    found = rng.normal(size=(40, 6, 8)).astype("float32")
    found[:quiet] *= np.float32(1e-3)
    found[: quiet // 2] = 0
    return found


class FloatFactorsTest(parameterized.TestCase):
    def errors(self, function, mode, data):
        """By how much samples that are not quiet are off, and the ops."""
        inputs = keras.Input((6, 8))
        model = keras.Model(inputs, function(inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        small_models.export(model, path, mode, data)
        loud = data[6:]
        wanted = small_models.predictions(model, [loud])
        for runtime in ("tflite", "micro"):
            found = interpreter.run(path, loud, runtime)
            found = found if isinstance(found, tuple) else (found,)
            for a, b in zip(found, wanted, strict=True):
                yield np.abs(a - b).mean() / b.std(), model_file.read(path).ops

    @parameterized.product(
        function=[
            by_root_mean_square,
            by_length,
            by_a_group,
            by_spread,
            by_sum,
            by_a_factor_that_is_an_output,
            with_a_mean_that_others_read,
        ],
        mode=["int8", "int16x8"],
    )
    def test_quiet_samples_leave_steps_to_the_others(self, function, mode):
        for error, _ in self.errors(function, mode, samples(6)):
            self.assertLess(error, 0.03 if mode == "int8" else 0.001)

    @parameterized.parameters(by_root_mean_square, by_spread, by_a_group)
    def test_factors_of_a_narrow_range_stay_integers(self, function):
        for error, ops in self.errors(function, "int8", samples(0)):
            self.assertNotIn("DEQUANTIZE", ops)
            self.assertLess(error, 0.03)
