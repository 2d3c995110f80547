import math
import pathlib
import types

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.pipeline import preparation
from tfprune.pipeline import recipe as recipe_lib
from tfprune.pipeline import tuning
from tfprune_test.pipeline import small_tasks


class Clock:
    def __init__(self, left=math.inf):
        self.left, self.spent, self.stopped = left, 0.0, False

    @property
    def over(self):
        return self.left <= 0

    def resume(self, spent):
        self.spent = max(self.spent, spent)


class Task:
    """Its metric is a list of numbers, one after the other."""

    monitor = "accuracy"

    def __init__(self, values):
        self.values = list(values)

    def evaluate(self, outputs_of, source):
        value = self.values.pop(0)
        return value if isinstance(value, dict) else {"accuracy": value}

    def gain(self, values):
        return values["accuracy"]


class KeeperTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.weight = keras.Variable([1.0, 2.0])
        self.moment = keras.Variable([0.0])
        self.optimizer = types.SimpleNamespace(
            variables=[self.moment], learning_rate=None
        )
        self.core = types.SimpleNamespace(
            variables=[self.weight], predict_on_batch=None
        )
        self.path = pathlib.Path(self.create_tempdir().full_path, "state.npz")
        self.told = []

    def keeper(self, values, epochs=4, clock=None, until=None, path=None):
        recipe = types.SimpleNamespace(learning_rate=0.1, most_epochs=99)
        job = types.SimpleNamespace(
            **{"task": Task(values), "validation": None, "recipe": recipe},
            clock=clock or Clock(),
            tell=lambda **facts: self.told.append(facts),
        )
        made = tuning._Keeper(
            *(self.core, self.optimizer, job, epochs, until, path, "round 1")
        )
        self.model = types.SimpleNamespace(
            optimizer=self.optimizer, stop_training=False
        )
        made.set_model(self.model)
        made.begin()
        return made

    def play(self, keeper, epochs):
        """Epochs, each of which adds one to the weights."""
        rates = []
        for epoch in epochs:
            keeper.on_epoch_begin(epoch)
            rates.append(self.optimizer.learning_rate)
            self.weight.assign(self.weight + 1)
            self.moment.assign(self.moment + 10)
            keeper.on_epoch_end(epoch, {"loss": np.float32(0.5)})
        return rates

    def test_the_weights_of_the_best_epoch_are_kept(self):
        keeper = self.keeper([0.5, 0.7, 0.9, 0.8, 0.9])
        self.play(keeper, range(4))
        self.assertEqual(keeper.training.best, 2)  # The first of two.
        self.assertEqual(keeper.weights[0].tolist(), [3, 4])
        self.assertEqual(keeper.training.before, {"accuracy": 0.5})
        line = keeper.training.curve[1]
        self.assertEqual(
            (line["epoch"], line["loss"], line["val_accuracy"]), (2, 0.5, 0.9)
        )

    def test_of_equal_epochs_the_one_of_least_loss_is_kept(self):
        keeper = self.keeper(
            [
                {"accuracy": 0.5, "loss": 0.1},
                {"accuracy": 0.9, "loss": 0.4},
                {"accuracy": 0.9, "loss": 0.3},
                {"accuracy": 0.9, "loss": 0.35},
                {"accuracy": 0.8, "loss": 0.2},
            ]
        )
        self.play(keeper, range(4))
        self.assertEqual(keeper.training.best, 2)

    def test_those_before_training_may_be_the_best(self):
        keeper = self.keeper([0.5, 0.4, 0.5, 0.3, 0.2])
        self.play(keeper, range(4))
        self.assertEqual(keeper.training.best, 0)
        self.assertEqual(keeper.weights[0].tolist(), [1, 2])

    def test_the_rate_is_half_a_cosine(self):
        rates = self.play(self.keeper([0] * 5), range(4))
        np.testing.assert_allclose(
            rates,
            # cos of 22.5, 67.5, 112.5 and 157.5 degrees.
            [0.05 * (1 + c) for c in (0.92388, 0.38268, -0.38268, -0.92388)],
            rtol=1e-4,
        )

    def test_with_a_limit_on_time_the_rate_follows_the_clock(self):
        clock = Clock(left=100)
        keeper = self.keeper([0], epochs=None, clock=clock)
        keeper.on_epoch_begin(0)
        self.assertGreater(self.optimizer.learning_rate, 0.0999)
        # Epochs become faster; 60 of 100 seconds are over, 40 are left.
        for seconds, left in ((30.0, 70), (20.0, 50), (10.0, 40)):
            keeper.training.curve.append({"seconds": seconds})
            clock.left = left
        keeper.on_epoch_begin(3)
        # The middle of the next epoch, of 20 seconds by the median.
        expected = 0.05 * (1 + np.cos(np.pi * 0.7))
        self.assertAlmostEqual(self.optimizer.learning_rate, expected, 6)
        clock.left = 0
        keeper.on_epoch_begin(3)
        self.assertLess(self.optimizer.learning_rate, 0.003)

    def test_the_most_epochs_end_the_rate_as_well(self):
        clock = Clock(left=1e6)
        keeper = self.keeper([0], epochs=None, clock=clock)
        keeper.training.curve = [{"seconds": 1.0}] * 98
        keeper.on_epoch_begin(98)
        self.assertLess(self.optimizer.learning_rate, 1e-4)

    def test_it_stops_after_the_last_epoch(self):
        keeper = self.keeper([0] * 3, epochs=2)
        self.play(keeper, [0])
        self.assertFalse(self.model.stop_training or keeper.is_done)
        self.play(keeper, [1])
        self.assertTrue(self.model.stop_training and keeper.is_done)

    def test_what_is_told_of_each_epoch(self):
        self.play(self.keeper([0.1, 0.2], epochs=3), [0])
        self.assertEqual(
            self.told,
            [{"stage": "round 1", "epoch": 1, "epochs": 3, "value": 0.2}],
        )

    def test_a_later_run_goes_on_from_the_state(self):
        keeper = self.keeper([0.5, 0.9, 0.8], path=self.path)
        self.play(keeper, range(2))
        keeper.write()
        self.weight.assign([0.0, 0.0])
        self.moment.assign([0.0])
        again = self.keeper([0.7, 0.95], path=self.path)
        self.assertEqual(again.done, 2)
        self.assertEqual(again.training, keeper.training)
        np.testing.assert_array_equal(self.weight, [3, 4])  # The latest,
        np.testing.assert_array_equal(self.moment, [20])
        self.assertEqual(again.weights[0].tolist(), [2, 3])  # and the best.
        self.play(again, [2])
        self.assertEqual(again.training.best, 1)
        self.play(again, [3])
        self.assertEqual(again.training.best, 4)
        self.assertTrue(again.is_done)

    def test_the_time_before_a_kill_counts(self):
        clock = Clock()
        keeper = self.keeper([0.5, 0.9], path=self.path, clock=clock)
        clock.spent = 70.0
        self.play(keeper, [0])
        keeper.write()
        later = Clock()
        self.keeper([], path=self.path, clock=later)
        self.assertEqual(later.spent, 70.0)

    def test_half_precision_goes_through_the_state(self):
        self.weight = keras.Variable([1.0, 2.5], dtype="bfloat16")
        self.core.variables = [self.weight]
        self.play(self.keeper([0.5, 0.9], path=self.path), [0])
        self.weight.assign([0.0, 0.0])
        again = self.keeper([], path=self.path)
        self.assertEqual(np.array(self.weight.numpy(), float)[1], 3.5)
        self.assertEqual(again.weights[0].tolist(), [2, 3.5])

    def test_as_many_epochs_as_there_is_time_for(self):
        clock = Clock(left=35)
        keeper = self.keeper([0], epochs=None, clock=clock)
        self.assertEqual(keeper._planned(), 99)
        keeper.training.curve = [
            {"seconds": s} for s in (1e6, 10.0, 10.0, 500.0)
        ]
        # By the median of the last three: 3 of 10 seconds.
        self.assertEqual(keeper._planned(), 4 + 3)
        clock.left = -5
        self.assertEqual(keeper._planned(), 4)
        self.assertTrue(keeper.is_done)
        clock.left = 1e9
        self.assertEqual(keeper._planned(), 99)

    def test_until_a_second_of_the_clock(self):
        clock = Clock()
        keeper = self.keeper([0], epochs=None, clock=clock, until=100)
        keeper.training.curve = [{"seconds": 10.0}]
        clock.spent = 60
        self.assertEqual(keeper._planned(), 1 + 4)
        keeper.on_train_batch_end(0)
        self.assertFalse(self.model.stop_training)
        clock.spent = 100
        keeper.on_train_batch_end(0)
        self.assertTrue(self.model.stop_training)

    def test_ctrl_c_ends_an_epoch(self):
        clock = Clock()
        keeper = self.keeper([0], clock=clock)
        clock.stopped = True
        keeper.on_train_batch_end(0)
        self.assertTrue(self.model.stop_training)


class Thirds(keras.utils.PyDataset):
    """Batches of a user's own, with an attribute of their own."""

    epoch = "an era"

    def __init__(self):
        super().__init__()
        self.data = small_tasks.blobs(48, 0)

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return tuple(part[index::3] for part in self.data)


class ReadOnly(Thirds):
    epoch = property(lambda self: "an era")


class TuneTest(parameterized.TestCase):
    @parameterized.parameters(Thirds, ReadOnly)
    def test_data_of_a_users_own_stay_as_they_are(self, kind):
        request = small_tasks.request(
            train=kind(), recipe=recipe_lib.Recipe(teacher=False)
        )
        ready = preparation.Preparation(request)
        ready.resolve(None)
        job = ready.job(types.SimpleNamespace(), Clock())
        found = tuning.tune(request.model, job, epochs=2)
        self.assertLen(found.curve, 2)
        self.assertEqual(request.train.epoch, "an era")


class TeacherTest(absltest.TestCase):
    def test_it_is_a_copy_that_learns_nothing(self):
        inputs = keras.Input((2,))
        model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        teacher = tuning.teacher_of(model)
        self.assertEmpty(teacher.trainable_variables)
        self.assertLen(model.trainable_variables, 2)
        kernel = keras.ops.convert_to_numpy(model.weights[0])
        model.weights[0].assign(0 * kernel)
        np.testing.assert_array_equal(teacher.weights[0], kernel)


if __name__ == "__main__":
    absltest.main()
