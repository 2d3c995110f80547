"""Slices of weights equal numpy's, in memory that tensors take."""

from unittest import mock

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.core import slices


class TakenTest(parameterized.TestCase):
    def test_nothing_is_copied_if_all_stays(self):
        array = np.zeros((2, 3))
        self.assertIs(slices.taken(array, {1: np.ones(3, bool)}), array)

    @parameterized.product(
        axes=((0,), (3,), (2, 3), (0, 1, 3)),
        part=(1, 64, 4 << 20),
        dtype=("float32", "float64", "float16", "int8"),
    )
    def test_what_is_kept_along_some_axes(self, axes, part, dtype):
        rng = np.random.default_rng(0)
        array = rng.normal(0, 9, (3, 4, 5, 6)).astype(dtype)
        kept = {axis: rng.random(array.shape[axis]) < 0.6 for axis in axes}
        for mask in kept.values():
            mask[0], mask[-1] = True, False
        expected = array
        for axis, mask in kept.items():
            expected = np.compress(mask, expected, axis)
        with mock.patch.object(slices, "_PART_BYTES", part):
            found = slices.taken(array, kept)
        np.testing.assert_array_equal(found, expected)
        self.assertEqual(found.dtype, array.dtype)
        self.assertFalse(np.shares_memory(found, array))
        self.assertEqual(found.ctypes.data % 64, 0)

    def test_no_channel_at_all(self):
        found = slices.taken(np.zeros((2, 3)), {1: np.zeros(3, bool)})
        self.assertEqual(found.shape, (2, 0))


if __name__ == "__main__":
    absltest.main()
