import types

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.scoring import least_squares

GROUPS, CHANNELS, TAPS, OUTPUTS = 2, 3, 2, 4
COLUMNS = CHANNELS * TAPS
KEPT = np.array([True, False, True])


class Reader:
    """A layer with two taps and two groups; its kernel is its matrix."""

    def __init__(self, rng, biased):
        self.path = "conv"
        self.labels = np.tile(np.arange(CHANNELS), TAPS)
        weights = rng.normal(size=(GROUPS, COLUMNS, OUTPUTS))
        self.binding = types.SimpleNamespace(variable=weights)
        bias = rng.normal(size=GROUPS * OUTPUTS).astype("float32")
        self.layer = types.SimpleNamespace(bias=bias if biased else None)

    def matrix(self):
        return np.array(self.binding.variable)

    def kernel(self, matrix, kept=None):
        return matrix


def design(patches, reader):
    """The columns that stay of one group, and one for the bias."""
    columns = patches[:, np.tile(KEPT, TAPS)]
    if reader.layer.bias is not None:
        columns = np.concatenate([columns, np.ones((len(columns), 1))], 1)
    return columns


def fitted(reader, dense, pruned, ridge):
    """The fit of each group by itself, with numpy's own solvers.

    Returns:
        The weights, the bias, and the relative errors before and after.
    """
    kept = np.tile(KEPT, TAPS)
    weights = np.where(kept[:, None], reader.matrix(), 0)
    shifts, before, after, scale = [], 0.0, 0.0, 0.0
    for group in range(GROUPS):
        target = dense[:, group] @ reader.matrix()[group]
        old = target - pruned[:, group] @ weights[group]
        inputs = design(pruned[:, group], reader)
        if ridge:
            pull = ridge * np.square(inputs).sum() / inputs.shape[1]
            square = inputs.T @ inputs + pull * np.eye(inputs.shape[1])
            change = np.linalg.solve(square, inputs.T @ old)
        else:
            change = np.linalg.lstsq(inputs, old, rcond=None)[0]
        weights[group, kept] += change[: kept.sum()]
        shifts.append(change[kept.sum() :])
        before += np.square(old).sum()
        after += np.square(old - inputs @ change).sum()
        scale += np.square(target).sum()
    bias = reader.layer.bias
    if bias is not None:
        bias = bias + np.concatenate([s[0] for s in shifts])
    return weights, bias, before / scale, after / scale


class LeastSquaresTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.rng = np.random.default_rng(0)
        self.dense = self.rng.normal(size=(60, GROUPS, COLUMNS)) + 0.5
        self.pruned = self.dense + 0.3 * self.rng.normal(size=self.dense.shape)

    def check(self, reader, solution, expected):
        changes, fit = solution
        weights, bias, before, after = expected
        np.testing.assert_allclose(
            changes[id(reader.binding.variable)], weights, atol=1e-4
        )
        self.assertLen(changes, 1 if bias is None else 2)
        if bias is not None:
            found = changes[id(reader.layer.bias)]
            self.assertEqual(found.dtype, np.float32)
            np.testing.assert_allclose(found, bias, atol=1e-4)
        self.assertEqual(fit.layer, "conv")
        self.assertEqual(fit.rows, 60)
        self.assertEqual(fit.unknowns, 2 * TAPS + (bias is not None))
        self.assertAlmostEqual(fit.before, before, places=5)
        self.assertAlmostEqual(fit.after, after, places=5)

    @parameterized.product(biased=(True, False), ridge=(0, 0.1))
    def test_on_what_the_pruned_model_hands_on(self, biased, ridge):
        reader = Reader(self.rng, biased)
        sums = least_squares.PrunedSums(reader, KEPT)
        for rows in (slice(20), slice(20, 60)):
            sums.add(self.dense[rows], self.pruned[rows])
        self.check(
            reader,
            sums.solve(ridge),
            fitted(reader, self.dense, self.pruned, ridge),
        )

    @parameterized.product(biased=(True, False), ridge=(0, 0.1))
    def test_on_what_the_full_model_hands_on(self, biased, ridge):
        reader = Reader(self.rng, biased)
        sums = least_squares.DenseSums(reader)
        for rows in (slice(20), slice(20, 60)):
            sums.add(self.dense[rows])
        self.check(
            reader,
            sums.solve(KEPT, ridge),
            fitted(reader, self.dense, self.dense, ridge),
        )

    def test_where_nothing_goes_nothing_changes(self):
        reader = Reader(self.rng, biased=True)
        sums = least_squares.DenseSums(reader)
        sums.add(self.dense)
        changes, fit = sums.solve(np.ones(CHANNELS, bool), 0)
        np.testing.assert_array_equal(
            changes[id(reader.binding.variable)], reader.matrix()
        )
        np.testing.assert_array_equal(
            changes[id(reader.layer.bias)], reader.layer.bias
        )
        self.assertEqual((fit.before, fit.after), (0, 0))

    def test_a_group_of_zeros_takes_the_ridge_from_no_other(self):
        reader = Reader(self.rng, biased=False)
        whole, _, _, _ = fitted(reader, self.dense, self.dense, 10.0)
        self.dense[:, 1] = 0
        sums = least_squares.DenseSums(reader)
        sums.add(self.dense)
        changes, _ = sums.solve(KEPT, 10.0)
        found = changes[id(reader.binding.variable)]
        np.testing.assert_allclose(found[0], whole[0], atol=1e-4)
        kept = np.where(np.tile(KEPT, TAPS)[:, None], reader.matrix()[1], 0)
        np.testing.assert_allclose(found[1], kept, atol=1e-6)

    @parameterized.parameters(0, 0.1)
    def test_a_channel_that_is_always_zero_gets_no_wild_weight(self, ridge):
        reader = Reader(self.rng, biased=False)
        self.dense[..., [2, 5]] = 0
        sums = least_squares.DenseSums(reader)
        sums.add(self.dense)
        changes, _ = sums.solve(KEPT, ridge)
        found = changes[id(reader.binding.variable)]
        np.testing.assert_allclose(
            found[:, [2, 5]], reader.matrix()[:, [2, 5]], atol=1e-6
        )

    def test_inputs_of_nothing_but_zeros(self):
        reader = Reader(self.rng, biased=False)
        sums = least_squares.PrunedSums(reader, KEPT)
        sums.add(0 * self.dense, 0 * self.pruned)
        changes, fit = sums.solve(0.1)
        self.assertTrue(np.isfinite(changes[id(reader.binding.variable)]).all())
        self.assertEqual((fit.before, fit.after), (0, 0))


if __name__ == "__main__":
    absltest.main()
