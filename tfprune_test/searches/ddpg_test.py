"""The agent, on games with an answer."""

import dataclasses

import numpy as np
import pytest
from absl.testing import absltest

from tfprune.searches import amc
from tfprune.searches import ddpg


class ExplorationTest(absltest.TestCase):
    def test_draws_stay_in_range_and_have_the_mean_of_their_distribution(self):
        rng = np.random.default_rng(0)
        drawn = [ddpg.truncated_normal(0.0, 0.5, rng) for _ in range(4000)]
        self.assertBetween(min(drawn), 0, 0.01)
        self.assertLessEqual(max(drawn), 1)
        # sigma (phi(0) - phi(2)) / (Phi(2) - Phi(0)), cut at 0 and 1.
        self.assertAlmostEqual(np.mean(drawn), 0.3614, delta=0.02)
        self.assertEqual(ddpg.truncated_normal(0.3, 0.0, rng), 0.3)

    def test_an_agent_that_has_diverged_is_an_error(self):
        rng = np.random.default_rng(0)
        with self.assertRaisesRegex(ValueError, "Scale the metric"):
            ddpg.truncated_normal(np.nan, 0.5, rng)


QUICK = amc.Settings(
    hidden=32, actor_rate=3e-3, critic_rate=1e-2, tau=0.1, warmup=10
)


def play(agent, episodes, value):
    """Games of two steps; the reward depends on both actions."""
    states = np.eye(2, dtype="float32")
    actions = []
    for episode in range(episodes):
        first = agent.act(states[0], episode)
        second = agent.act(states[1], episode)
        actions.append((first, second))
        steps = [
            (states[0], first, states[1], 0.0),
            (states[1], second, states[1], 1.0),
        ]
        agent.learn(episode, steps, value(first, second))
    return actions


def game(first, second):
    return -((first - 0.2) ** 2) - (second - 0.8) ** 2


class AgentTest(absltest.TestCase):
    @pytest.mark.slow  # Trains an agent.
    def test_it_learns_a_different_action_for_each_state(self):
        agent = ddpg.Agent(2, QUICK)
        self.assertAlmostEqual(agent.policy([1, 0]), 0.5, delta=0.05)
        self.assertAlmostEqual(agent.policy([0, 1]), 0.5, delta=0.05)
        play(agent, 80, game)
        self.assertLess(agent.policy([1, 0]), 0.48)
        self.assertGreater(agent.policy([0, 1]), 0.65)

    @pytest.mark.slow  # Three agents.
    def test_the_same_seed_gives_the_same_actions(self):
        runs = [play(ddpg.Agent(2, QUICK), 14, game) for _ in range(2)]
        np.testing.assert_array_equal(runs[0], runs[1])
        other = dataclasses.replace(QUICK, seed=1)
        self.assertNotEqual(play(ddpg.Agent(2, other), 14, game), runs[0])

    def test_nothing_is_learned_before_the_warm_up_is_over(self):
        agent = ddpg.Agent(2, QUICK)
        before = agent.policy([1, 0])
        play(agent, QUICK.warmup, game)
        self.assertEqual(agent.policy([1, 0]), before)
        play(agent, QUICK.warmup + 1, game)
        self.assertNotEqual(agent.policy([1, 0]), before)

    def test_a_reward_that_is_not_finite_is_not_learned(self):
        agent = ddpg.Agent(2, dataclasses.replace(QUICK, warmup=0))
        rewards = iter([-np.inf, -0.5, np.nan, -0.5])
        play(agent, 4, lambda first, second: next(rewards))
        self.assertBetween(agent.policy([1, 0]), 0, 1)


if __name__ == "__main__":
    absltest.main()
