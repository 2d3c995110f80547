"""The game of pruning: budgets, states, what an episode gives."""

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs import counting
from tfprune.graph import read
from tfprune.scoring import score
from tfprune.searches import amc
from tfprune.searches import environment
from tfprune.selection import budget as budget_lib
from tfprune_test import small_nets

layers = keras.layers


def three_layers():
    """100, 200 and 300 multiply-adds; two groups, of 20 and 10 channels."""
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(20, "relu", name="first"),
            layers.Dense(10, "relu", name="second"),
            layers.Dense(30, name="third"),
        ]
    )


def environment_of(model, budget=None, evaluate=lambda keep: 0.75, **options):
    graph = read.channel_graph(model)
    scores = score.channel_scores(graph, "l1")
    return environment.PruningEnvironment(
        graph, scores, evaluate, budget, **options
    )


class BudgetTest(parameterized.TestCase):
    def test_the_published_clipping(self):
        env = environment_of(three_layers(), budget_lib.Budget(macs=0.5))
        self.assertEqual([len(g) for g in env.groups], [20, 10])
        env.reset()
        # 10 p + 20 p * 0.2 + 30 * 0.2 <= 30 holds up to p = 1.714.
        _, reward, done, truncated, info = env.step(1.0)
        self.assertEqual((reward, done, truncated), (0.0, False, False))
        self.assertEqual(info["kept"], 1.0)
        # 10 + 20 q + 30 q <= 30 holds up to q = 0.4.
        _, reward, done, _, info = env.step(np.array([0.9]))
        self.assertTrue(done)
        self.assertEqual(info["kept"], 0.4)
        self.assertEqual(info["cost"].macs, 300)
        self.assertEqual(info["keep"].sum(), 5 + 20 + 4 + 30)
        self.assertEqual(reward, -0.25)

    @parameterized.parameters((1, 25), (8, 24))
    def test_rounding_does_not_exceed_it(self, multiple, kept):
        model = keras.Sequential(
            [
                keras.Input((32,)),
                layers.Dense(20, "relu"),
                layers.Dense(64, "relu"),
                layers.Dense(30),
            ]
        )
        # 640, 1280 and 1920 multiply-adds. 0.4 * 64 is 25.6; the published
        # code goes up to 32 from there, and to 2240 multiply-adds.
        env = environment_of(
            model, budget_lib.Budget(macs=0.5), channel_multiple=multiple
        )
        value, info = env.play([1.0, 0.9])
        self.assertEqual(info["kept"], kept / 64)
        self.assertEqual(info["cost"].macs, 640 + 20 * kept + 30 * kept)
        self.assertLessEqual(info["cost"].macs, 1920)
        self.assertEqual(value, -0.25)

    @parameterized.product(
        multiple=(1, 2), budget=({"macs": 0.4}, {"params": 0.4, "macs": 0.6})
    )
    def test_no_episode_exceeds_it(self, multiple, budget):
        env = environment_of(
            small_nets.mixed(),
            budget_lib.Budget(**budget),
            channel_multiple=multiple,
        )
        dense = counting.Meter(env.graph).cost()
        rng = np.random.default_rng(0)
        for _ in range(20):
            env.reset()
            done = False
            while not done:
                _, _, done, _, info = env.step(rng.uniform())
            for name, share in budget.items():
                self.assertLessEqual(
                    getattr(info["cost"], name), share * getattr(dense, name)
                )

    def test_the_share_that_stays_is_the_rounded_one(self):
        env = environment_of(
            three_layers(), budget_lib.Budget(macs=0.9), channel_multiple=8
        )
        env.reset()
        # 0.3 * 20 is 6, and 8 is the next multiple.
        state, *_, info = env.step(0.3)
        self.assertEqual(info["kept"], 0.4)
        self.assertAlmostEqual(float(state[-1]), 0.4, places=6)

    def test_groups_keep_multiples_for_its_target(self):
        budget = budget_lib.Budget(macs=0.5, target="cortex-m4")
        env = environment_of(three_layers(), budget)
        _, info = env.play([0.5, 0.3])
        self.assertEqual(info["keep"].sum(), 5 + 12 + 4 + 30)
        env = environment_of(three_layers(), budget, channel_multiple=1)
        _, info = env.play([0.5, 0.3])
        self.assertEqual(info["keep"].sum(), 5 + 10 + 3 + 30)

    def test_without_one_actions_are_taken_as_they_are(self):
        env = environment_of(three_layers(), reward="params")
        env.reset()
        self.assertEqual(env.step(0.5)[-1]["kept"], 0.5)
        _, reward, _, _, info = env.step(0.05)
        self.assertEqual(info["kept"], 0.2)  # the least
        self.assertEqual(reward, -0.25 * float(np.log(info["cost"].params)))


class SharesTest(parameterized.TestCase):
    def test_scaling_keeps_proportions_and_just_the_budget(self):
        env = environment_of(three_layers(), budget_lib.Budget(macs=0.5))
        for shares in ([0.5, 0.5], [0.9, 0.9], [0.2, 0.2]):
            _, info = env.play(env.scaled(shares))
            # 11 and 6 channels would take 301 multiply-adds.
            self.assertEqual(env.shares(info["keep"]), (0.55, 0.5))
            self.assertEqual(info["cost"].macs, 55 + 55 + 150)
        lopsided = env.scaled([0.8, 0.4])
        self.assertAlmostEqual(lopsided[0] / lopsided[1], 2)
        # A share does not get above 1.
        self.assertEqual(env.scaled([1.0, 0.01])[0], 1.0)
        free = environment_of(three_layers(), reward="flops")
        self.assertEqual(free.scaled([0.3, 0.9]), [0.3, 0.9])

    def test_an_accuracy_that_is_not_a_number_is_the_worst(self):
        env = environment_of(
            three_layers(), reward="flops", evaluate=lambda keep: np.nan
        )
        value, info = env.play([1.0, 1.0])
        self.assertEqual(value, -np.inf)
        self.assertTrue(np.isnan(info["accuracy"]))
        self.assertEqual(env.accuracy([1.0, 1.0]), -np.inf)

    def test_a_part_of_the_way_paid_by_one_group(self):
        env = environment_of(three_layers(), budget_lib.Budget(macs=0.5))
        # 15 multiply-adds less for each channel of the first, half of 300.
        self.assertEqual(env.shortened([1.0, 1.0], 0, 0.5), [0.5, 1.0])
        # 50 less for each of the second.
        self.assertEqual(env.shortened([1.0, 1.0], 1, 0.5), [1.0, 0.7])
        # The first alone cannot do it: 4 channels are its least.
        self.assertEqual(env.shortened([1.0, 1.0], 0, 1.0), [0.2, 1.0])
        self.assertTrue(env.fits([1.0, 0.7], 0.5))
        self.assertFalse(env.fits([1.0, 0.7]))
        self.assertFalse(env.fits([1.0, 0.8], 0.5))

    def test_a_group_that_the_criterion_does_not_score_pays_nothing(self):
        graph = read.channel_graph(three_layers())
        scores = score.channel_scores(graph, "l1")
        scores[graph.groups[2].labels] = np.inf
        env = environment.PruningEnvironment(
            graph, scores, lambda keep: 0.75, budget_lib.Budget(macs=0.75)
        )
        self.assertEqual(env.shortened([1.0, 1.0], 0, 1.0), [0.5, 1.0])
        self.assertEqual(env.shortened([1.0, 1.0], 1, 1.0), [1.0, 1.0])


class GymnasiumTest(absltest.TestCase):
    def test_the_package_itself_accepts_the_game(self):
        gymnasium = pytest.importorskip("gymnasium", reason="extra `search`")
        from gymnasium.utils import env_checker

        own = environment_of(three_layers(), budget_lib.Budget(macs=0.5))
        game = own.gymnasium()
        self.assertIsInstance(game, gymnasium.Env)
        env_checker.check_env(game, skip_render_check=True)
        game.reset(seed=0)
        game.action_space.seed(0)
        done = False
        while not done:
            _, reward, done, _, info = game.step(game.action_space.sample())
        self.assertEqual(reward, -0.25)
        self.assertLessEqual(info["cost"].macs, 300)


class StateTest(parameterized.TestCase):
    def test_the_numbers_of_the_paper(self):
        env = environment_of(three_layers(), budget_lib.Budget(macs=0.5))
        state, _ = env.reset()
        names = amc.STATES["paper"]
        self.assertLen(names, 11)
        first = dict(zip(names, state.tolist(), strict=True))
        self.assertEqual((first["t"], first["n"], first["c"]), (0, 1, 0))
        self.assertEqual((first["reduced"], first["previous"]), (0, 1))
        self.assertAlmostEqual(first["rest"], 200 / 600, places=6)
        state, *_ = env.step(0.5)
        second = dict(zip(names, state.tolist(), strict=True))
        # Half of the first layer and half of the second one are gone.
        self.assertAlmostEqual(second["reduced"], 150 / 600, places=6)
        self.assertEqual((second["t"], second["previous"]), (1, 0.5))
        self.assertEqual((second["n"], second["c"], second["rest"]), (0, 1, 0))

    def test_the_work_of_a_layer_of_several_groups_counts_once(self):
        x = inputs = keras.Input((6, 8))
        x = layers.Dense(8, name="first")(x)
        x = layers.MultiHeadAttention(4, 3, name="heads")(x, x)
        x = layers.Dense(5)(layers.GlobalAveragePooling1D()(x))
        env = environment_of(keras.Model(inputs, x))
        names = [group.writers[0] for group in env.groups]
        self.assertGreater(names.count("heads"), 2)
        meter = counting.Meter(env.graph)
        rows = {row.layer: row.macs for row in meter.by_layer()}
        state, _ = env.reset()
        rest = state[amc.STATES["paper"].index("rest")]
        self.assertEqual(names[0], "first")
        part = rows["heads"] / sum(rows.values())
        self.assertAlmostEqual(rest, part, places=6)

    def test_sizes_are_those_of_the_layer_within(self):
        def conv(*args, **options):
            return layers.Conv2D(*args, strides=2, padding="same", **options)

        def states(shape, first, second, axis=-1):
            inputs = keras.Input(shape)
            x = layers.BatchNormalization(axis=axis)(first(inputs))
            x = layers.Flatten()(second(x))
            env = environment_of(keras.Model(inputs, layers.Dense(2)(x)))
            return [env.reset()[0], env.step(1.0)[0]]

        plain = states((8, 4, 3), conv(6, 3), conv(4, 2))
        for shape, within in (
            ((1, 8, 4, 3), layers.TimeDistributed),
            ((8, 4, 3), layers.SpectralNormalization),
        ):
            found = states(shape, within(conv(6, 3)), within(conv(4, 2)))
            np.testing.assert_allclose(found, plain, atol=1e-6)
        first = dict(data_format="channels_first")
        found = states((3, 8, 4), conv(6, 3, **first), conv(4, 2, **first), 1)
        np.testing.assert_allclose(found, plain, atol=1e-6)

    @parameterized.parameters(("paper", 11), ("code", 10))
    def test_states_lie_in_their_space(self, name, size):
        env = environment_of(
            small_nets.mixed(), budget_lib.Budget(macs=0.5), state=name
        )
        state, info = env.reset(seed=0)
        self.assertEqual((state.shape, info), ((size,), {}))
        done = False
        while not done:
            self.assertTrue(env.observation_space.contains(state))
            state, _, done, _, _ = env.step(0.6)
        self.assertTrue(env.observation_space.contains(state))
        self.assertTrue(env.action_space.contains([0.5]))
        self.assertFalse(env.action_space.contains([1.5]))


class ErrorTest(parameterized.TestCase):
    @parameterized.parameters(
        ({"state": "short"}, "Received: state='short'"),
        ({"reward": "speed"}, "Received: reward='speed'"),
        ({"lowest": 0.0}, "Received: lowest=0.0"),
        ({"budget": budget_lib.Budget(macs=0.01)}, "within reach.*macs=0.01"),
        ({"skip": "*"}, "Received: model="),
    )
    def test_bad_arguments(self, options, message):
        with self.assertRaisesRegex(ValueError, message):
            environment_of(three_layers(), **options)

    def test_blocks_are_not_removed(self):
        for limits in ({"depth": 1}, {"depth": 0.5, "macs": 0.5}):
            with self.assertRaisesRegex(ValueError, "not channels.*tfprune.pr"):
                environment_of(three_layers(), budget_lib.Budget(**limits))

    def test_an_action_after_the_end(self):
        env = environment_of(three_layers())
        env.step(0.5)
        env.step(0.5)
        with self.assertRaisesRegex(ValueError, "Call `reset`"):
            env.step(0.5)


if __name__ == "__main__":
    absltest.main()
