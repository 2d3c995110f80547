import pathlib
import types

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.deploy import latency
from tfprune.graph import read
from tfprune.pipeline import channel_choice
from tfprune.selection import budget as budget_lib

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")


def model():
    """Channels 0 to 3 of the first layer weigh 1, 2, 3 and 4."""
    inputs = keras.Input((3,))
    x = keras.layers.Dense(4, use_bias=False, name="a")(inputs)
    outputs = keras.layers.Dense(2, name="b")(x)
    made = keras.Model(inputs, outputs)
    made.get_layer("a").kernel.assign(np.ones((3, 1)) * [1, 2, 3, 4])
    return made


def job(over=False, strategy="one_plus_one", told=None):
    recipe = types.SimpleNamespace(criterion="l1", strategy=strategy)
    task = types.SimpleNamespace(scores=lambda y, outputs: -np.abs(outputs - y))
    return types.SimpleNamespace(
        **{"recipe": recipe, "task": task, "inputs": None},
        clock=types.SimpleNamespace(over=over),
        selection=(X, X[:, :2]),
        tell=lambda **facts: told.append(facts),
    )


class ChooseTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.model = model()
        self.graph = read.channel_graph(self.model)
        (self.group,) = (g for g in self.graph.groups if not g.frozen)
        self.half = budget_lib.Budget(channels=2)

    def stay(self, choice):
        return choice.keep[self.group.labels].tolist()

    def test_without_trials_or_time_it_is_the_ranking(self):
        for evaluations, over in ((0, False), (9, True)):
            choice = channel_choice.choose(
                self.model, self.half, job(over), {}, evaluations
            )
            self.assertEqual(self.stay(choice), [False, False, True, True])
            self.assertEqual(choice.tried, 0)

    def test_the_options_reach_the_ranking(self):
        choice = channel_choice.choose(
            *(self.model, budget_lib.Budget(channels=3), job()),
            *({"channel_multiple": 2}, 0),
        )
        self.assertEqual(self.stay(choice), [False, False, True, True])

    def test_it_tries_and_tells(self):
        told = []
        choice = channel_choice.choose(
            self.model, self.half, job(told=told), {}, 3
        )
        self.assertEqual(choice.tried, 3)
        self.assertEqual([facts["epoch"] for facts in told], [1, 2, 3])
        self.assertEqual(sum(self.stay(choice)), 2)

    def test_a_checkpoint_of_other_samples_is_begun_anew(self):
        path = pathlib.Path(self.create_tempdir().full_path, "search.json")
        first, again = job(told=[]), job(told=[])
        again.selection = tuple(part[::-1] for part in first.selection)
        for each in (first, again, again):
            choice = channel_choice.choose(
                self.model, self.half, each, {}, 3, checkpoint=path
            )
            self.assertEqual(choice.tried, 3)
        self.assertTrue(path.exists())

    def test_a_budget_of_the_smallest_network(self):
        inputs = keras.Input((3,))
        x = keras.layers.Dense(120)(inputs)
        wide = keras.Model(inputs, keras.layers.Dense(2)(x))
        # Searches leave more of a group, unless a budget needs it.
        choice = channel_choice.choose(
            wide, budget_lib.Budget(channels=1), job(told=[]), {}, 2
        )
        removable = read.channel_graph(wide).removable
        self.assertEqual(choice.keep[removable].sum(), 1)

    def test_a_budget_out_of_reach(self):
        with self.assertRaisesRegex(ValueError, "within reach"):
            channel_choice.choose(
                self.model, budget_lib.Budget(macs=1), job(), {}, 3
            )


class ShrunkTest(absltest.TestCase):
    def test_weights_are_fitted_only_where_there_are_inputs(self):
        net = model()
        graph = read.channel_graph(net)
        keep = np.ones(graph.size, bool)
        (group,) = (g for g in graph.groups if not g.frozen)
        keep[group.labels[:2]] = False
        plain = channel_choice.shrunk(net, keep, None)
        reader = net.get_layer("b").kernel.numpy()
        np.testing.assert_array_equal(plain.get_layer("b").kernel, reader[2:])
        # The channels are multiples of one sum, so one of them can stand for
        # all: the smaller network does the same.
        fitted = channel_choice.shrunk(net, keep, X)
        np.testing.assert_allclose(
            fitted.predict(X, verbose=0),
            net.predict(X, verbose=0),
            atol=2e-3,
        )
        self.assertEqual(fitted.get_layer("a").units, 2)


class CeilingsTest(parameterized.TestCase):
    @parameterized.parameters(
        (0.5, {"macs": 400, "ram_bytes": 30}),
        (1.0, {"macs": 100, "ram_bytes": 30}),
        (0.25, {"macs": 800, "ram_bytes": 30}),
    )
    def test_equal_factors_on_the_way(self, part, expected):
        found = channel_choice.on_the_way(
            {"macs": 1600, "ram_bytes": 20},
            {"macs": 100, "ram_bytes": 30},
            part,
        )
        self.assertEqual(found, expected)

    def test_the_budget_itself_is_not_rounded_down(self):
        # 22 * (15 / 22) is 14.99...
        found = channel_choice.on_the_way({"macs": 22.0}, {"macs": 15}, 1.0)
        self.assertEqual(found, {"macs": 15})

    def test_at_least_one(self):
        found = channel_choice.on_the_way({"macs": 9}, {"macs": 0.5}, 1.0)
        self.assertEqual(found, {"macs": 1})

    def test_a_budget_of_ceilings(self):
        self.assertEqual(
            channel_choice.budget_of({"macs": 9, "params": 8}),
            budget_lib.Budget(macs=9, params=8),
        )

    def test_latencies_of_less_than_a_microsecond(self):
        found = channel_choice.on_the_way(
            {"latency": 1.6}, {"latency": 0.4}, 0.5
        )
        self.assertAlmostEqual(found["latency"], 0.8)
        graph = read.channel_graph(model())
        table = latency.LatencyTable("int8", 1.7, {"a": (0, 0, 0, 0.1)})
        for ceiling in (0.85, 0.1, 1.7 * 0.3, 1.7, 2.0):
            found = channel_choice.budget_of({"latency": ceiling}, graph, table)
            self.assertIs(found.latency_table, table)
            (allowed,) = found.ceilings(found.meter(graph)).values()
            # Not less by rounding, which might be out of reach.
            self.assertGreaterEqual(allowed, min(ceiling, 1.7))
            self.assertAlmostEqual(allowed, min(ceiling, 1.7))

    def test_the_multiple_of_a_board(self):
        self.assertEqual(channel_choice.multiple_of(None), 1)
        self.assertEqual(channel_choice.multiple_of("nano-33-ble"), 4)


if __name__ == "__main__":
    absltest.main()
