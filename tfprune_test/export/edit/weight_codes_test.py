"""Codes of single weights; `compression_test` runs whole files."""

import types

import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

pytest.importorskip(
    "tflite_micro.tensorflow.lite.micro.compression",
    reason="needs the extra `export`",
)

from tfprune.export.edit import weight_codes
from tfprune_test.export import hand_made


def tensor(values, scales=1, axis=0):
    steps = types.SimpleNamespace(scales=np.ones(scales), axis=axis)
    values = np.array(values, np.int8)
    return types.SimpleNamespace(
        array=values, shape=values.shape, quantization=steps
    )


class PruningTest(absltest.TestCase):
    def test_a_bit_for_each_weight_and_the_others_in_order(self):
        code = weight_codes._pruning(tensor([[0, 5, 0, -3, 7]]))
        self.assertEqual(code.encoded_data, bytes([0b01011000]))
        values = np.frombuffer(code.ancillary_data[-3:], np.int8)
        self.assertEqual(values.tolist(), [5, -3, 7])


class LutTest(parameterized.TestCase):
    @parameterized.parameters(
        # Distinct values, and the bits that tell them apart.
        (1, 1),
        (2, 1),
        (3, 2),
        (16, 4),
        (17, 5),
        (128, 7),
    )
    def test_bits_of_an_index(self, distinct, bits):
        values = np.arange(256) % distinct - 64
        code = weight_codes._lut(tensor(values))
        self.assertLen(code.encoded_data, 256 * bits // 8)

    def test_more_values_than_a_table_holds(self):
        self.assertIsNone(weight_codes._lut(tensor(np.arange(129) - 64)))

    def test_channels_with_scales_of_their_own_have_tables_of_their_own(self):
        # Four values in all, but two in each row.
        rows = [[1, 2] * 8, [3, 4] * 8]
        whole = weight_codes._lut(tensor(rows))
        apart = weight_codes._lut(tensor(rows, scales=2))
        self.assertLen(whole.encoded_data, 8)
        self.assertLen(apart.encoded_data, 4)

    def test_only_quantized_int8_has_tables(self):
        wide = tensor([1, 2])
        wide.array = wide.array.astype("int16")
        self.assertIsNone(weight_codes._lut(wide))
        plain = tensor([1, 2])
        plain.quantization = None
        self.assertIsNone(weight_codes._lut(plain))


class ShorterTest(absltest.TestCase):
    def test_weights_that_gain_and_that_do_not(self):
        rng = np.random.default_rng(0)
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", (1, 64), "int8", ([0.5], [0]))
        # All 256 values but 0, more than a table holds.
        full = rng.integers(-128, 128, (64, 64)).astype("int8")
        full[full == 0] = 1
        sparse = np.where(rng.random((64, 64)) < 0.9, 0, full).astype("int8")
        made = x
        for name, values in (("sparse", sparse), ("full", full)):
            w = sketch.constant(name, values, ([0.1], [0]))
            y = sketch.tensor(f"{name}/y", (1, 64), "int8", ([0.5], [0]))
            sketch.op("FULLY_CONNECTED", [made, w, -1], [y])
            made = y
        (row,) = weight_codes.shorter(sketch.data([x], [made]))
        self.assertEqual((row.name, row.method), ("sparse", "pruning"))
        self.assertEqual(row.before, 4096)
        # A bit for each, a byte for those that are left, and a header.
        kept = np.count_nonzero(sparse)
        self.assertBetween(row.after, 512 + kept, 512 + kept + 32)
        self.assertAlmostEqual(row.zeros, np.mean(sparse == 0))


if __name__ == "__main__":
    absltest.main()
