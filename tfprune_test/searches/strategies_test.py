import types

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.searches import strategies


class Environment:
    """Groups of four channels, each of which costs one.

    Args:
        worth: what a channel of each group is worth; the accuracy is 0 minus
            what is gone.
        most: channels that may stay; `None` for no budget.
    """

    def __init__(self, worth, most=None):
        self.groups = [types.SimpleNamespace(name=str(w)) for w in worth]
        self.worth, self.most = np.array(worth, float), most
        self.has_budget = most is not None
        self.played = []

    def play(self, shares):
        self.played.append(list(shares))
        return self.accuracy(shares), {"shares": list(shares)}

    def accuracy(self, shares):
        return float(-self.worth @ (4 - 4 * np.asarray(shares)))

    def fits(self, shares, part=1.0):
        most = 4 * len(self.worth)
        if self.most is not None:
            most -= part * (most - self.most)
        return 4 * sum(shares) <= most + 1e-9

    def shortened(self, shares, number, part):
        shares = list(shares)
        while shares[number] > 0.25 and not self.fits(shares, part):
            shares[number] -= 0.25
        return shares

    def scaled(self, shares):
        factor = 1.0
        if self.has_budget:
            factor = min(1.0, self.most / 4 / sum(shares))
        return [share * factor for share in shares]

    def ranked(self):
        return self.scaled([1.0] * len(self.worth))

    def reset(self):
        self.actions = []
        return 0, {}

    def step(self, action):
        self.actions.append(action)
        done = len(self.actions) == len(self.worth)
        value = self.accuracy(self.actions) if done else 0.0
        info = {"kept": action, "shares": list(self.actions)}
        return len(self.actions), value, done, False, info


def run(name, env, evaluations, seed=0):
    """The shares of each episode."""
    settings = types.SimpleNamespace(seed=seed)
    found = list(strategies.STRATEGIES.get(name)(env, evaluations, settings))
    for value, info in found:
        assert value == env.accuracy(info["shares"])
    return [info["shares"] for _, info in found]


class RandomTest(absltest.TestCase):
    def test_each_share_is_drawn(self):
        found = run("random", Environment([1, 2, 3]), 4, seed=7)
        rng = np.random.default_rng(7)
        self.assertEqual(found, rng.uniform(size=(4, 3)).tolist())


class GreedyTest(absltest.TestCase):
    def test_it_needs_a_budget(self):
        with self.assertRaisesRegex(ValueError, "budget=None. Give a tfprune"):
            run("greedy", Environment([1, 10]), 5)

    def test_it_takes_from_the_group_that_costs_least(self):
        env = Environment([10, 1], most=5)
        # Each group alone, then the better one.
        self.assertEqual(
            run("greedy", env, 2), [[0.25, 1], [1, 0.25], [1, 0.25]]
        )

    def test_one_that_is_at_its_least_gives_nothing_more(self):
        env = Environment([10, 1], most=4)
        # The second group goes to its least, which is not enough.
        self.assertEqual(run("greedy", env, 2), [[0.75, 0.25], [0.75, 0.25]])

    def test_stretches_of_the_way(self):
        # Four of 12 channels go, in two stretches: two of the group that is
        # worth least; of that one alone two more cannot go, so two of the
        # next.
        env = Environment([10, 1, 2], most=8)
        self.assertEqual(
            run("greedy", env, 6), [[0.5, 0.5, 1], [1, 0.5, 0.5], [1, 0.5, 0.5]]
        )

    def test_a_budget_that_holds_already(self):
        env = Environment([10, 1], most=8)
        self.assertEqual(run("greedy", env, 4), [[1, 1]])


class SingleTest(parameterized.TestCase):
    @parameterized.parameters(
        ("uniform", 6, [0.5, 0.5, 0.5]),
        ("deep", 6, [1, 0.5, 0]),
        ("shallow", 6, [0, 0.5, 1]),
        ("deep", 9, [1, 0.75, 0.5]),
        ("uniform", 12, [1, 1, 1]),
    )
    def test_the_share_is_linear_in_the_depth(self, name, most, expected):
        env = Environment([1, 1, 1], most)
        (found,) = run(name, env, 99)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        self.assertTrue(env.fits(found))

    def test_of_one_group(self):
        (found,) = run("uniform", Environment([1], most=1), 9)
        np.testing.assert_allclose(found, [0.25], atol=1e-5)


class OnePlusOneTest(parameterized.TestCase):
    @parameterized.product(evaluations=(1, 2, 3, 20), most=(None, 6))
    def test_as_many_are_played_as_asked_for(self, evaluations, most):
        env = Environment([1, 2, 3], most)
        found = run("one_plus_one", env, evaluations)
        self.assertLen(found, evaluations)
        self.assertEqual(env.played, found)
        if most:
            self.assertTrue(all(env.fits(shares) for shares in found))

    def test_it_begins_with_equal_shares_and_those_of_the_ranking(self):
        env = Environment([1, 3], most=4)
        env.ranked = lambda: [0.25, 0.75]
        found = run("one_plus_one", env, 3)
        self.assertEqual(found[:2], [[0.5, 0.5], [0.25, 0.75]])

    def test_it_finds_what_matters(self):
        env = Environment([0, 5, 0, 5], most=8)
        found = run("one_plus_one", env, 150)
        best = max(found, key=env.accuracy)
        self.assertGreater(env.accuracy(best), 0.2 * env.accuracy(found[0]))
        self.assertLess(sum(best[::2]), 0.2)

    def test_the_seed_decides(self):
        env = Environment([1, 2, 3], most=6)
        first, same, other = (
            run("one_plus_one", env, 9, seed) for seed in (1, 1, 2)
        )
        self.assertEqual(first, same)
        self.assertNotEqual(first, other)


if __name__ == "__main__":
    absltest.main()
