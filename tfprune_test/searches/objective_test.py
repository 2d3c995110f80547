import functools
import json
import os

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.methods import masked_channels
from tfprune.searches import objective as objective_lib
from tfprune.selection import budget as budget_lib
from tfprune.sparsity import wrapping

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4)).astype("float32")
Y = RNG.integers(0, 3, 90)


def model(seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, "relu", name="a")(inputs)
    x = keras.layers.Dense(4, "relu", name="b")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="c")(x))


def accuracy(network):
    scores = network.predict(X, verbose=0)
    return np.mean(scores.argmax(-1) == Y)


class ObjectiveTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = model()
        cls.objective = objective_lib.Objective(
            cls.model, (X, Y), budget_lib.Budget(channels=6)
        )

    def test_a_wrapped_model_is_searched_without_its_wrappers(self):
        wrapped = wrapping.wrap(self.model, masked_channels.MaskedChannels())
        half = budget_lib.Budget(channels=6)
        objective = objective_lib.Objective(wrapped, (X, Y), half)
        trial = objective([0.5, 0.5])
        self.assertEqual(
            objective.model(trial.kept).get_config(),
            self.objective.model(trial.kept).get_config(),
        )
        self.assertEqual(objective.dense, self.objective.dense)

    def test_what_it_asks_about(self):
        self.assertEqual(self.objective.groups, ("a", "b"))
        self.assertAlmostEqual(
            self.objective.dense, accuracy(self.model), places=6
        )

    def test_only_proportions_matter(self):
        one = self.objective([0.5, 0.5])
        same = self.objective([1, 1])
        self.assertEqual(one.kept, same.kept)
        self.assertEqual(one.kept, (0.5, 0.5))

    def test_a_trial_tells_what_the_model_has(self):
        trial = self.objective({"b": 1.0, "a": 0.25})
        self.assertEqual(trial.kept, (0.25, 1.0))
        # 4 inputs, 2 and 4 channels, 3 classes.
        self.assertEqual(trial.macs, 4 * 2 + 2 * 4 + 4 * 3)
        self.assertEqual(trial.params, trial.macs + 2 + 4 + 3)
        self.assertGreater(trial.seconds, 0)
        small = self.objective.model(trial.kept)
        self.assertEqual(small.count_params(), trial.params)
        self.assertAlmostEqual(trial.accuracy, accuracy(small), places=6)

    def test_what_was_measured_is_not_measured_again(self):
        first = self.objective([0.25, 1])
        count = self.objective.evaluated
        again = self.objective([0.25, 1])
        self.assertEqual(self.objective.evaluated, count)
        self.assertEqual(again.accuracy, first.accuracy)

    @parameterized.parameters(
        ([0.5], "must hold 2 numbers in"),
        ([0.5, 0.5, 0.5], "must hold 2 numbers in"),
        ([[0.5, 0.5]], "must hold 2 numbers in"),
        (0.5, "must hold 2 numbers in"),
        ([0.5, 1.01], r"shares=\[0.5, 1.01\]"),
        ([-0.5, 1], r"shares=\[-0.5, 1"),
        ([0.5, float("nan")], r"shares=\[0.5, nan\]"),
        ({"a": 0.5}, "each group once. Received: a. The groups are a, b"),
        ({"a": 0.5, "b": 1, "c": 1}, "Received: a, b, c. The groups are a, b"),
    )
    def test_shares_that_are_none(self, shares, message):
        with self.assertRaisesRegex(ValueError, message):
            self.objective(shares)

    def test_a_reward_of_errors_alone_needs_a_budget(self):
        with self.assertRaisesRegex(ValueError, "budget=None, reward='error'"):
            objective_lib.Objective(self.model, (X, Y))


class Measured:
    """Gives the share of channels for an accuracy, and counts."""

    count = 0

    def value(self, keep):
        self.count += 1
        return float(keep.mean())


class MemoryTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.graph = read.channel_graph(model())
        self.path = os.path.join(self.create_tempdir().full_path, "found.json")
        self.measured = Measured()

    def memory(self, graph=None, limit=None, x=X, path="the file", metric=None):
        path = self.path if path == "the file" else path
        return objective_lib._Memory(
            self.measured,
            path,
            graph or self.graph,
            (((x, Y), limit),),
            metric,
        )

    def test_a_later_run_takes_them_from_the_file(self):
        keep = np.array([True] * 3 + [False] * 6)
        other = np.array([True] * 3 + [False] * 5 + [True])
        self.assertAlmostEqual(self.memory().value(keep), 1 / 3)
        later = self.memory()
        self.assertAlmostEqual(later.value(keep), 1 / 3)
        self.assertEqual(self.measured.count, 1)
        # One that differs in the ninth channel alone is another one.
        self.assertAlmostEqual(later.value(other), 4 / 9)
        self.assertEqual(self.measured.count, 2)
        with open(self.path) as file:
            self.assertLen(json.load(file)["accuracies"], 2)

    def test_a_file_of_other_weights_or_data_is_refused(self):
        self.memory().value(np.ones(9, bool))
        changed = X.copy()
        changed[-1, -1] += 1
        for different in (
            {"graph": read.channel_graph(model(seed=1))},
            {"limit": 50},
            {"x": changed},
        ):
            with self.assertRaisesRegex(
                ValueError, "same layers, weights, data"
            ):
                self.memory(**different)
        # What the limit leaves out does not matter.
        self.path += "2"
        self.memory(limit=50).value(np.ones(9, bool))
        self.memory(limit=50, x=changed)

    def test_a_file_of_another_metric_is_refused(self):
        def hits(y, outputs):
            return outputs.argmax(-1) == y

        def misses(y, outputs):
            return outputs.argmax(-1) != y

        def made(power):
            return lambda y, outputs: [abs(o - y) ** power for o in outputs]

        several = [
            *(None, hits, misses, made(1), Measured().value, Measured()),
            *(functools.partial(hits, y=n) for n in (1, 2)),
        ]
        for i, metric in enumerate(several):
            self.path += str(i)
            memory = self.memory(metric=metric)
            memory.value(np.ones(9, bool))
            self.memory(metric=metric)  # goes on
            for other in several[:i] + several[i + 1 :]:
                with self.assertRaisesRegex(ValueError, "data and metric"):
                    self.memory(metric=other)

    def test_without_a_file_it_is_remembered_as_well(self):
        memory = self.memory(path=None)
        for _ in range(2):
            self.assertEqual(memory.value(np.ones(9, bool)), 1.0)
        self.assertEqual(self.measured.count, 1)


if __name__ == "__main__":
    absltest.main()
