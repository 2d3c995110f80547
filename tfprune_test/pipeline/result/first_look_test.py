"""What a run measures of the dense network, and that it does so once."""

import os
import types

import keras
import numpy as np
from absl.testing import absltest

from tfprune.pipeline.request import sources
from tfprune.pipeline.request import task as task_lib
from tfprune.pipeline.result import first_look
from tfprune_test.pipeline import small_tasks


class Space:
    """A journal in memory."""

    def __init__(self):
        self.steps = {}

    def get(self, step):
        return self.steps.get(step)

    def put(self, step, facts, spent=None):
        del spent
        self.steps[step] = facts


def job(model, data, monitor=None):
    told = []
    return types.SimpleNamespace(
        model=model,
        selection=data[:2],
        task=task_lib.Task(model, (*data[:2], None), monitor=monitor),
        workspace=Space(),
        clock=types.SimpleNamespace(spent=0.0, limit=None),
        told=told,
        tell=lambda **facts: told.append(facts["stage"]),
    )


class BaselineTest(absltest.TestCase):
    def test_a_later_run_takes_it_from_the_journal(self):
        found = {"numbers": {"MACs": 7}}
        space = Space()
        space.put(first_look.BASELINE, found)
        asked = types.SimpleNamespace(workspace=space)
        self.assertIs(first_look.baseline(asked), found)

    def test_an_optimizer_that_cannot_be_saved(self):
        class Rate(keras.optimizers.schedules.LearningRateSchedule):
            def __call__(self, step):
                return 0.01

        data = small_tasks.blobs(48, 0)
        model = small_tasks.classifier(data, epochs=1)
        model.compile(
            keras.optimizers.SGD(Rate()), "sparse_categorical_crossentropy"
        )
        asked = job(model, data)
        asked.core = asked.runtime = None
        asked.validation = sources.Source(data, "validation", model)
        folder = self.create_tempdir().full_path
        asked.workspace.path = lambda name: os.path.join(folder, name)
        with self.assertWarnsRegex(UserWarning, "not compiled"):
            first_look.baseline(asked)
        again = keras.saving.load_model(asked.workspace.path("dense.keras"))
        np.testing.assert_array_equal(again(data[0]), model(data[0]))


class SensitivityTest(absltest.TestCase):
    def test_accuracy_falls_with_the_channels(self):
        data = small_tasks.blobs(120, 0)
        asked = job(small_tasks.classifier(data), data)
        found = first_look.sensitivity(asked)
        self.assertEqual(found.metric, "accuracy on training samples")
        self.assertGreater(found.dense, 0.9)
        self.assertEqual(set(found.curves()), {"first", "second"})
        self.assertLen(found.points, 6)
        self.assertEqual(asked.told, ["sensitivity"])
        again = first_look.sensitivity(asked)
        self.assertEqual(again, found)
        self.assertEqual(asked.told, ["sensitivity"])

    def test_other_metrics_are_told_by_the_loss(self):
        data = small_tasks.two_heads_data(64, 0)
        found = first_look.sensitivity(job(small_tasks.two_heads(), data))
        self.assertEqual(found.metric, "minus the loss on training samples")
        self.assertLess(found.dense, 0)
        self.assertTrue(np.isfinite([p.value for p in found.points]).all())

    def test_it_takes_a_small_part_of_a_limit_on_time(self):
        data = small_tasks.blobs(60, 0)
        asked = job(small_tasks.classifier(data, epochs=1), data)
        asked.clock.limit, asked.clock.left = 1e-6, 1e-6
        self.assertIsNone(first_look.sensitivity(asked))
        asked.clock.limit, asked.clock.left = 3600.0, 0.0  # Ctrl-C
        self.assertIsNone(first_look.sensitivity(asked))
        self.assertEqual(asked.told, [])
        asked.clock.left = 3000.0
        self.assertIsNotNone(first_look.sensitivity(asked))

    def test_without_channels_that_can_go_there_is_none(self):
        model = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(3, activation="softmax")]
        )
        model.compile(
            "sgd", "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        asked = job(model, small_tasks.blobs(30, 0))
        self.assertIsNone(first_look.sensitivity(asked))


if __name__ == "__main__":
    absltest.main()
