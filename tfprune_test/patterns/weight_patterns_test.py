import itertools

import numpy as np
from absl.testing import parameterized

from tfprune.core import records
from tfprune.patterns import allocation
from tfprune.patterns import weight_patterns

SCORES = np.array(
    [
        [16.0, 2.0, 3.0, 13.0],
        [5.0, 11.0, 10.0, 8.0],
        [9.0, 7.0, 6.0, 12.0],
        [4.0, 14.0, 15.0, 1.0],
    ]
)  # (inputs, outputs)
QUARTER = np.array(
    [
        [1, 0, 0, 1],
        [1, 1, 1, 1],
        [1, 1, 1, 1],
        [0, 1, 1, 0],
    ]
)
TWO_OF_FOUR = np.array(
    [
        [1, 0, 0, 1],
        [0, 1, 1, 0],
        [1, 0, 0, 1],
        [0, 1, 1, 0],
    ]
)
BLOCKS = (
    weight_patterns.Block((1, 4)),
    weight_patterns.Block((4, 4), "global"),
    weight_patterns.Block((1, 16), "erk"),
)
ALL = BLOCKS + (
    weight_patterns.Unstructured(),
    weight_patterns.Unstructured("global"),
    weight_patterns.Unstructured("erk"),
    weight_patterns.NM(2, 4),
    weight_patterns.NM(1, 4),
    weight_patterns.NM(4, 8),
)


def kernels(*shapes):
    random = np.random.default_rng(0)
    return [np.abs(random.normal(size=shape)) for shape in shapes]


class UnstructuredTest(parameterized.TestCase):
    def test_the_lowest_quarter_goes(self):
        mask = weight_patterns.Unstructured().mask(SCORES, 0.25)
        self.assertEqual(mask.dtype, bool)
        np.testing.assert_array_equal(mask, QUARTER)

    @parameterized.parameters(0.0, 0.1, 0.25, 0.5, 0.77, 0.99, 1.0)
    def test_equal_scores_lose_exactly_the_ratio_lowest_index_first(self, s):
        mask = weight_patterns.Unstructured().mask(np.ones((10, 10)), s)
        removed = round(100 * s)
        np.testing.assert_array_equal(
            mask.reshape(-1), np.arange(100) >= removed
        )

    def test_masks_are_nested_as_sparsity_grows(self):
        (scores,) = kernels((3, 3, 8, 8))
        masks = [
            weight_patterns.Unstructured().mask(scores, s)
            for s in np.linspace(0, 1, 11)
        ]
        for sparse, dense in itertools.pairwise(masks[::-1]):
            self.assertTrue(np.all(dense | ~sparse))

    def test_global_ranks_over_all_kernels(self):
        weak, strong = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 0.5])
        masks = weight_patterns.Unstructured("global").masks(
            [weak, strong], 0.5, [None, None]
        )
        np.testing.assert_array_equal(masks[0], [0, 0, 1])
        np.testing.assert_array_equal(masks[1], [1, 1, 0])

    def test_global_leaves_every_kernel_its_best_weight(self):
        masks = weight_patterns.Unstructured("global").masks(
            [np.full(4, 1.0), np.full(4, 9.0)], 0.5, [None, None]
        )
        np.testing.assert_array_equal(masks[0], [0, 0, 0, 1])
        np.testing.assert_array_equal(masks[1], [0, 1, 1, 1])

    @parameterized.product(
        how=("layer", "global", "erk"), sparsity=(0.0, 0.33, 0.8, 0.97)
    )
    def test_the_count_over_all_kernels_is_exact(self, how, sparsity):
        scores = kernels((3, 3, 4, 8), (3, 3, 8, 8), (8, 10))
        masks = weight_patterns.Unstructured(how).masks(
            scores, sparsity, [None] * 3
        )
        removed = [np.count_nonzero(~mask) for mask in masks]
        total = sum(s.size for s in scores)
        if how == "layer":
            for count, s in zip(removed, scores):
                self.assertEqual(
                    count, allocation.removed_count(s.size, sparsity)
                )
        else:
            expected = allocation.removed_count(total, sparsity)
            self.assertEqual(sum(removed), expected)

    def test_an_unknown_allocation_lists_the_known(self):
        with self.assertRaisesRegex(ValueError, "layer, global, erk.*'wide'"):
            weight_patterns.Unstructured("wide")


class NMTest(parameterized.TestCase):
    def test_two_of_four_along_the_inputs(self):
        mask = weight_patterns.NM(2, 4).mask(SCORES, 0.5)
        np.testing.assert_array_equal(mask, TWO_OF_FOUR)

    def test_the_published_group(self):
        scores = np.abs([0.1, -0.5, 0.3, 0.2])[:, None]
        mask = weight_patterns.NM(2, 4).mask(scores, 0.5)
        np.testing.assert_array_equal(mask[:, 0], [0, 1, 1, 0])

    def test_ties_lose_the_lowest_index(self):
        mask = weight_patterns.NM(1, 4).mask(np.ones((8, 1)), 0.75)
        np.testing.assert_array_equal(mask[:, 0], [0, 0, 0, 1, 0, 0, 0, 1])

    @parameterized.parameters((2, 4), (1, 4), (4, 8), (1, 2))
    def test_every_group_of_a_convolution_keeps_n(self, n, m):
        (scores,) = kernels((3, 3, 16, 5))
        mask = weight_patterns.NM(n, m).mask(scores, 1 - n / m)
        groups = mask.reshape(3, 3, 16 // m, m, 5)
        np.testing.assert_array_equal(groups.sum(3), n)

    def test_a_schedule_tightens_the_groups(self):
        pattern = weight_patterns.NM(2, 8)
        (scores,) = kernels((8, 3))
        for sparsity, kept in ((0, 8), (0.1, 8), (0.25, 6), (0.74, 3)):
            counts = pattern.mask(scores, sparsity).sum(0)
            np.testing.assert_array_equal(counts, kept)
        np.testing.assert_array_equal(pattern.mask(scores, 0.75).sum(0), 2)

    @parameterized.parameters((5, 3), (6, 3), (7, 4), (3, 2), (1, 1))
    def test_a_short_last_group_keeps_its_share_rounded_up(self, size, kept):
        scores = np.arange(size, 0.0, -1)[:, None]
        mask = weight_patterns.NM(2, 4).mask(scores, 0.5)[:, 0]
        self.assertEqual(mask.sum(), kept)
        rest = size % 4
        np.testing.assert_array_equal(
            mask[size - rest :], np.arange(rest) < -(-rest // 2)
        )

    def test_axes_say_where_the_inputs_are(self):
        axes = weight_patterns.Axes(reads=(1,), writes=(0,))
        mask = weight_patterns.NM(2, 4).mask(SCORES.T, 0.5, axes)
        np.testing.assert_array_equal(mask, TWO_OF_FOUR.T)

    def test_several_input_axes_are_read_as_one(self):
        axes = weight_patterns.Axes(reads=(0, 1), writes=(2,))
        mask = weight_patterns.NM(2, 4).mask(SCORES.reshape(2, 2, 4), 0.5, axes)
        np.testing.assert_array_equal(mask, TWO_OF_FOUR.reshape(2, 2, 4))

    def test_more_than_the_pattern_gives_is_refused(self):
        with self.assertRaisesRegex(ValueError, "2:4 can be 0.5.*0.8"):
            weight_patterns.NM(2, 4).mask(SCORES, 0.8)

    @parameterized.parameters((0, 4), (2, 0), (5, 4), (2.0, 4))
    def test_n_and_m_are_checked(self, n, m):
        with self.assertRaisesRegex(ValueError, f"Received: n={n}, m={m}"):
            weight_patterns.NM(n, m)


class BlockTest(parameterized.TestCase):
    def test_one_by_four_takes_four_inputs_of_one_output(self):
        mask = weight_patterns.Block((1, 4)).mask(SCORES * [1, 2, 3, 4], 0.5)
        np.testing.assert_array_equal(mask, [[0, 0, 1, 1]] * 4)

    def test_two_by_two_blocks(self):
        mask = weight_patterns.Block((2, 2)).mask(SCORES + np.eye(4), 0.5)
        # Means: 9, 8.5 / 8.5, 9 without the added diagonal.
        np.testing.assert_array_equal(
            mask,
            [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]],
        )

    def test_blocks_at_the_edge_are_smaller_and_compared_by_their_mean(self):
        scores = np.array([[1.0], [1.0], [1.0], [1.0], [3.0]])
        mask = weight_patterns.Block((1, 4)).mask(scores, 0.5)
        np.testing.assert_array_equal(mask[:, 0], [0, 0, 0, 0, 1])
        mask = weight_patterns.Block((1, 4)).mask(1 / scores, 0.5)
        np.testing.assert_array_equal(mask[:, 0], [1, 1, 1, 1, 0])

    @parameterized.product(
        shape=((1, 4), (4, 4), (1, 16), (3, 5)), sparsity=(0.0, 0.5, 0.7)
    )
    def test_the_count_of_blocks_is_exact(self, shape, sparsity):
        (scores,) = kernels((3, 3, 18, 10))
        mask = weight_patterns.Block(shape).mask(scores, sparsity)
        matrices = np.moveaxis(mask, 2, 3)  # (3, 3, outputs, inputs)
        seen = []
        for i, j in itertools.product(range(3), range(3)):
            for o in range(0, 10, shape[0]):
                for k in range(0, 18, shape[1]):
                    block = matrices[i, j, o : o + shape[0], k : k + shape[1]]
                    self.assertEqual(block.min(), block.max())
                    seen.append(block[0, 0])
        self.assertEqual(
            seen.count(False), allocation.removed_count(len(seen), sparsity)
        )

    @parameterized.parameters((4,), ((4,),), ((0, 4),), ((1, 2, 3),))
    def test_the_shape_is_checked(self, shape):
        with self.assertRaises((ValueError, TypeError)):
            weight_patterns.Block(shape)


class PatternTest(parameterized.TestCase):
    @parameterized.parameters(*ALL)
    def test_config_round_trip(self, pattern):
        spec = records.serialize(pattern, weight_patterns.PATTERNS)
        spec["config"] = {
            k: list(v) if isinstance(v, tuple) else v
            for k, v in spec["config"].items()
        }
        self.assertEqual(
            records.deserialize(spec, weight_patterns.PATTERNS), pattern
        )

    @parameterized.parameters(*ALL)
    def test_no_sparsity_keeps_everything(self, pattern):
        (scores,) = kernels((3, 3, 5, 7))
        self.assertTrue(pattern.mask(scores, 0.0).all())

    def test_a_name_or_nonsense_instead_of_a_record(self):
        found = records.deserialize("unstructured", weight_patterns.PATTERNS)
        self.assertEqual(found, weight_patterns.Unstructured())
        with self.assertRaisesRegex(ValueError, "Received: 4. Names: block"):
            records.deserialize(4, weight_patterns.PATTERNS)
        with self.assertRaisesRegex(ValueError, "must be registered"):
            records.serialize(
                weight_patterns.Pattern(), weight_patterns.PATTERNS
            )

    def test_axes_restore_what_they_took_apart(self):
        (kernel,) = kernels((2, 3, 4, 5))
        axes = weight_patterns.Axes(reads=(1, 3), writes=(0,))
        matrices = axes.matrices(kernel)
        self.assertEqual(matrices.shape, (4, 2, 15))
        self.assertEqual(matrices[1, 1, 7], kernel[1, 1, 1, 2])
        np.testing.assert_array_equal(
            axes.restored(matrices, kernel.shape), kernel
        )
