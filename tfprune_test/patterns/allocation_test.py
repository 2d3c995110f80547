import numpy as np
from absl.testing import parameterized

from tfprune.patterns import allocation


class AllocationTest(parameterized.TestCase):
    def test_ties_at_the_threshold_are_broken_by_index(self):
        mask = allocation.keep_highest(np.array([2, 1, 2, 1, 2, 3]), 3)
        np.testing.assert_array_equal(mask, [0, 0, 1, 0, 1, 1])

    @parameterized.parameters((9, 0.95, 8), (9, 1.0, 9), (1, 0.9, 0), (0, 0, 0))
    def test_one_weight_stays_below_sparsity_one(self, total, sparsity, count):
        self.assertEqual(allocation.removed_count(total, sparsity), count)

    def test_erk_scales_sum_over_product(self):
        shapes = [(3, 3, 16, 32), (3, 3, 32, 64)]
        densities = allocation.erk_densities(shapes, 0.9)
        raw = np.array([54 / 4608, 102 / 18432])
        np.testing.assert_allclose(
            densities / densities[0], raw / raw[0], rtol=1e-12
        )
        self.assertAlmostEqual(
            densities @ np.array([4608, 18432]), 0.1 * (4608 + 18432)
        )

    def test_erk_keeps_small_kernels_dense_and_meets_the_total(self):
        shapes = [(2, 2), (64, 64), (128, 128)]
        densities = allocation.erk_densities(shapes, 0.5)
        self.assertEqual(densities[0], 1.0)
        self.assertAlmostEqual(
            densities @ np.array([4, 64**2, 128**2]),
            0.5 * (4 + 64**2 + 128**2),
        )
        np.testing.assert_array_equal(
            allocation.erk_densities(shapes, 0.0), [1, 1, 1]
        )

    @parameterized.parameters((0.997, 13), (0.9999, 4), (1.0, 0))
    def test_erk_leaves_no_kernel_without_weights_below_one(self, sparsity, n):
        shapes = [(2, 2, 8, 8), (1, 3, 1, 1), (3, 1, 3, 2), (64, 64)]
        scores = [np.ones(shape) for shape in shapes]
        kept = allocation.by_erk(scores, shapes, sparsity)
        counts = [np.count_nonzero(mask) for mask in kept]
        self.assertEqual(sum(counts), n)
        self.assertEqual(min(counts), min(n, 1))
