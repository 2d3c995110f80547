"""Why outputs of int8 files differ between runtimes: how they round."""

import math
import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.core import packages
from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

CHANNELS = 24


def fixed_point(factor):
    """`(multiplier, shift)`: the factor is multiplier * 2**(shift - 31)."""
    fraction, shift = math.frexp(factor)
    multiplier = round(fraction * 2**31)
    if multiplier == 2**31:
        multiplier, shift = multiplier // 2, shift + 1
    return multiplier, shift


def once(sums, multiplier, shift):
    """Rounds the product and the shift together, halves up."""
    down = 31 - shift
    return (sums * multiplier + (1 << (down - 1))) >> down


def twice(sums, multiplier, shift):
    """Rounds the product to 32 bits, halves away from 0, then the shift."""
    product = sums * multiplier
    half = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = product + half
    high = np.where(high >= 0, high >> 31, -((-high) >> 31))
    mask = (1 << -shift) - 1
    return (high >> -shift) + ((high & mask) > (mask >> 1) + (high < 0))


class RoundingTest(parameterized.TestCase):
    def exact(self, path, x, rounding):
        """A 1x1 convolution or a dense layer, computed in integers."""
        litert = packages.load("ai_edge_litert.interpreter")
        file = model_file.read(path)
        (source,), (target,) = file.inputs, file.outputs
        details = litert.Interpreter(str(path))
        details.allocate_tensors()
        constants = [
            (t, details.get_tensor(t["index"]))
            for t in details.get_tensor_details()
            if t["quantization_parameters"]["scales"].size == CHANNELS
        ]
        (kernel, weights), (_, bias) = sorted(
            constants, key=lambda c: c[1].dtype.itemsize
        )
        scales = kernel["quantization_parameters"]["scales"].astype(float)
        stored = source.encode(x).astype(np.int64) - source.zero_point
        weights = weights.reshape(CHANNELS, -1).astype(np.int64)
        sums = stored @ weights.T + bias
        factors = scales * source.scale / target.scale
        columns = [
            rounding(sums[..., i], *fixed_point(factor))
            for i, factor in enumerate(factors)
        ]
        levels = np.stack(columns, -1) + target.zero_point
        return np.clip(levels, -128, 127)

    @parameterized.parameters(
        ("dense", {"micro": twice, "reference": once, "tflite": once}),
        ("conv", {"micro": twice, "reference": twice, "tflite": once}),
    )
    def test_each_runtime_is_met_to_the_last_bit(self, kind, roundings):
        inputs = keras.Input((16,) if kind == "dense" else (6, 6, 16))
        layer = (
            keras.layers.Dense(CHANNELS)
            if kind == "dense"
            else keras.layers.Conv2D(CHANNELS, 1)
        )
        model = keras.Model(inputs, layer(inputs))
        rng = np.random.default_rng(0)
        layer.bias.assign(rng.normal(size=CHANNELS))
        x = small_models.samples(model, 400 if kind == "dense" else 20)[0]
        path = pathlib.Path(self.create_tempdir().full_path, "a.tflite")
        file = small_models.export(model, path, "int8", x)
        differ = self.exact(path, x, once) != self.exact(path, x, twice)
        # Both roundings are really there.
        self.assertTrue(differ.any())
        for runtime, rounding in roundings.items():
            found = interpreter.run(path, x, runtime)
            np.testing.assert_array_equal(
                file.outputs[0].encode(found), self.exact(path, x, rounding)
            )
