import types
from unittest import mock

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.datasets import batches
from tfprune.pipeline import recipe as recipe_lib
from tfprune.pipeline import teacher_outputs
from tfprune.pipeline import tuning
from tfprune.pipeline.request import sources
from tfprune.pipeline.request import task as task_lib
from tfprune_test.pipeline import tuning_test

SEED = np.random.default_rng(0)
X = SEED.normal(size=(22, 6, 6, 2)).astype("float32")
Y = SEED.integers(0, 3, 22)


def net(stateful=False):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 2), batch_size=2 if stateful else None)
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    if stateful:
        x = keras.layers.Reshape((4, 16))(x)
        x = keras.layers.LSTM(3, stateful=True)(x)
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


def outputs(data, model=None):
    model = model or net()
    source = sources.Source(data, "training", model, batch_size=5, seed=3)
    return teacher_outputs.TeacherOutputs(model, source)


class Doubled(batches.Batches):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return 2 * x, y


def images(cls=batches.Batches, **options):
    split = batches.Split(X, Y)
    augmentation = batches.Augmentation(1)
    return cls(
        split, 5, batches.Preprocessing(2.0), augmentation, seed=4, **options
    )


class TeacherOutputsTest(parameterized.TestCase):
    def check(self, feed, teacher, count=22):
        """Each batch must come with what the teacher says to it."""
        told = []
        for x, (y, outputs), *_ in (feed[i] for i in range(len(feed))):
            np.testing.assert_allclose(
                outputs[0], teacher.predict(x, verbose=0), 1e-5, 1e-6
            )
            self.assertLen(y, len(x))
            told.append(outputs[0])
        self.assertLen(np.concatenate(told), count)
        return np.concatenate(told)

    def test_arrays_in_the_order_of_each_epoch(self):
        teacher = net()
        found = outputs((X, Y, np.arange(22.0)), teacher)
        self.assertTrue(found.are_reusable)
        feed = found.epochs(1)
        one = self.check(feed, teacher)
        feed.epoch = 2
        two = self.check(feed, teacher)
        self.assertFalse(np.array_equal(one, two))
        x, (y, _), weights = feed[0]
        for image, label, weight in zip(x, y, weights, strict=True):
            np.testing.assert_array_equal(image, X[int(weight)])
            self.assertEqual(label, Y[int(weight)])

    def test_a_list_of_batches_of_any_size(self):
        teacher = net()
        parts = [(X[:9], Y[:9]), (X[9:11], Y[9:11]), (X[11:], Y[11:])]
        found = outputs(parts, teacher)
        self.assertTrue(found.are_reusable)
        for epoch in (0, 1):
            self.check(found.epochs(epoch), teacher)

    def test_views_of_images_come_back(self):
        teacher = net()
        found = outputs(images(views=2), teacher)
        self.assertTrue(found.are_reusable)
        with mock.patch.object(
            teacher, "predict_on_batch", wraps=teacher.predict_on_batch
        ) as asked:
            feed = found.epochs()
            told = []
            for epoch in range(4):
                feed.epoch = epoch
                told.append(self.check(feed, teacher))
        self.assertEqual(asked.call_count, 2 * 5)
        for a, b, equal in ((0, 2, True), (1, 3, True), (0, 1, False)):
            same = np.allclose(
                np.sort(told[a], 0), np.sort(told[b], 0), atol=1e-6
            )
            self.assertEqual(same, equal)

    @parameterized.named_parameters(
        ("without_end", lambda: images()),
        ("of_a_class_of_ones_own", lambda: images(cls=Doubled, views=2)),
        ("of_tensorflow", lambda: dataset()),
    )
    def test_other_data_do_not_repeat(self, data):
        self.assertFalse(outputs(data()).are_reusable)

    def test_a_teacher_with_a_state_answers_in_order(self):
        self.assertFalse(outputs((X, Y), net(stateful=True)).are_reusable)

    def test_outputs_must_fit_into_memory(self):
        with mock.patch.object(teacher_outputs, "_MOST_BYTES", 22 * 3 * 4):
            self.assertTrue(outputs((X, Y)).are_reusable)
            self.assertFalse(outputs(images(views=2)).are_reusable)
        with mock.patch.object(teacher_outputs, "_MOST_BYTES", 22 * 3 * 4 - 1):
            self.assertFalse(outputs((X, Y)).are_reusable)

    @parameterized.parameters(False, True)
    def test_training_is_the_same_without(self, weighted):
        data = (X, Y, np.linspace(0, 2, 22)) if weighted else (X, Y)
        results = []
        for reusable in (True, False):
            student, teacher = net(), net()
            for variable in teacher.variables:
                variable.assign(variable * 1.5)
            teacher.trainable = False
            student.compile(
                "sgd",
                keras.losses.SparseCategoricalCrossentropy(True),
                metrics=["accuracy"],
            )
            source = sources.Source(data, "training", student, batch_size=5)
            told = teacher_outputs.TeacherOutputs(teacher, source)
            self.assertTrue(told.are_reusable)
            told.are_reusable = reusable
            job = types.SimpleNamespace(
                task=task_lib.Task(student, next(source.batches())),
                train=source,
                validation=source,
                recipe=recipe_lib.Recipe(),
                teacher=teacher,
                told=told,
                clock=tuning_test.Clock(),
                tell=lambda **facts: None,
            )
            results.append(tuning.tune(student, job, 3).curve)
        for one, other in zip(*results, strict=True):
            self.assertEqual(one.keys(), other.keys())
            for key in one.keys() - {"seconds"}:
                self.assertAlmostEqual(one[key], other[key], 4, key)


def dataset():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)


if __name__ == "__main__":
    absltest.main()
