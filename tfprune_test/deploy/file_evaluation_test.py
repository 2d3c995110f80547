import tempfile

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.deploy import file_evaluation
from tfprune.export.convert import tflite


def exported(folder):
    """A classifier of two features whose scores are the features."""
    inputs = keras.Input((2,))
    layer = keras.layers.Dense(2, use_bias=False)
    model = keras.Model(inputs, layer(inputs))
    layer.kernel.assign(np.eye(2))
    path = f"{folder}/identity.tflite"
    tflite.export_tflite(model, path)
    return path


class EvaluateTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.path = exported(folder)
        rng = np.random.default_rng(0)
        cls.x = rng.normal(size=(20, 2)).astype("float32")
        cls.y = cls.x.argmax(-1)
        cls.y[:5] = 1 - cls.y[:5]

    def test_labels_without_a_score_are_an_error(self):
        with self.assertRaisesRegex(ValueError, "from 0 to 1.*to 2"):
            file_evaluation.evaluate_tflite(self.path, (self.x, self.y + 1))

    @parameterized.parameters("tflite", "litert", "reference", "micro")
    def test_the_share_that_is_right(self, runtime):
        data = self.x, self.y
        for size in (7, 256):
            accuracy = file_evaluation.evaluate_tflite(
                self.path, data, runtime, batch_size=size
            )
            self.assertEqual(accuracy, 0.75)

    def test_samples_count_by_their_weights(self):
        weights = np.ones(20)
        weights[:5] = 3
        accuracy = file_evaluation.evaluate_tflite(
            self.path, (self.x, self.y, weights)
        )
        self.assertEqual(accuracy, 15 / 30)

    def test_of_batches_and_of_some(self):
        batches = ((self.x[i : i + 4], self.y[i : i + 4]) for i in (0, 4, 8))
        accuracy = file_evaluation.evaluate_tflite(self.path, batches)
        self.assertAlmostEqual(accuracy, 7 / 12)
        data = self.x, np.eye(2)[self.y]
        accuracy = file_evaluation.evaluate_tflite(self.path, data, limit=5)
        self.assertEqual(accuracy, 0.0)

    def test_a_limit_is_a_number(self):
        with self.assertRaisesRegex(ValueError, "Received: limit='5'"):
            file_evaluation.evaluate_tflite(
                self.path, (self.x, self.y), limit="5"
            )

    def test_another_metric(self):
        error = file_evaluation.evaluate_tflite(
            self.path,
            (self.x, self.x + 0.5),
            metric=lambda y, outputs: np.abs(y - outputs).mean(-1),
        )
        self.assertAlmostEqual(error, 0.5, places=6)

    def test_a_metric_that_is_a_mean_counts_by_the_size_of_its_batch(self):
        accuracy = file_evaluation.evaluate_tflite(
            self.path,
            (self.x, self.y),
            metric=lambda y, outputs: np.mean(outputs.argmax(-1) == y),
            batch_size=16,
        )
        self.assertAlmostEqual(accuracy, 0.75)

    @parameterized.parameters(
        (lambda y, outputs: None, "Received: None of type NoneType"),
        (lambda y, outputs: outputs[y > 9], "no number for any"),
        (keras.metrics.SparseCategoricalAccuracy(), "adds up what it sees"),
        ("accuracy", "metric='accuracy'"),
    )
    def test_a_metric_that_gives_no_numbers_of_a_batch(self, metric, error):
        with self.assertRaisesRegex(ValueError, error):
            file_evaluation.evaluate_tflite(
                self.path, (self.x, self.y), metric=metric
            )

    def test_how_many_samples_there_are(self):
        for x in (self.x, [self.x, self.x, self.x], {"a": self.x}):
            self.assertEqual(file_evaluation._length((x, self.y), None), 20)
            self.assertEqual(file_evaluation._length((x, self.y), 7), 7)
        self.assertIsNone(file_evaluation._length(iter(()), None))
        self.assertEqual(file_evaluation._length(iter(()), 3), 3)

    def test_two_classes_with_one_score(self):
        inputs = keras.Input((2,))
        outputs = keras.layers.Dense(1, "sigmoid", use_bias=False)(inputs)
        model = keras.Model(inputs, outputs)
        model.layers[-1].kernel.assign([[-9.0], [9.0]])
        path = f"{self.create_tempdir().full_path}/two.tflite"
        tflite.export_tflite(model, path)
        for y in (self.y, self.y[:, None]):
            found = file_evaluation.evaluate_tflite(path, (self.x, y))
            self.assertEqual(found, 0.75)

    @parameterized.parameters(1, 256)
    def test_two_classes_with_one_logit(self, size):
        inputs = keras.Input((2,))
        outputs = keras.layers.Dense(1, use_bias=False)(inputs)
        model = keras.Model(inputs, outputs)
        # Some right answers lie between 0 and 0.5.
        model.layers[-1].kernel.assign([[-0.9], [0.9]])
        path = f"{self.create_tempdir().full_path}/logit.tflite"
        tflite.export_tflite(model, path)
        data = self.x, self.y
        found = file_evaluation.evaluate_tflite(path, data, batch_size=size)
        self.assertEqual(found, 0.75)

    def test_numbers_have_no_accuracy(self):
        with self.assertRaisesRegex(ValueError, "other numbers.*Pass metric="):
            file_evaluation.evaluate_tflite(self.path, (self.x, self.x + 1))

    def test_each_output_by_name(self):
        inputs = keras.Input((2,))
        same = keras.layers.Dense(2, use_bias=False, name="same")
        less = keras.layers.Dense(1, use_bias=False, name="less")
        model = keras.Model(inputs, [same(inputs), less(inputs)])
        same.kernel.assign(np.eye(2))
        less.kernel.assign([[-0.1], [0.1]])
        model.compile(loss=["mse", keras.losses.BinaryCrossentropy(True)])
        path = f"{self.create_tempdir().full_path}/both.tflite"
        tflite.export_tflite(model, path)
        truths = [self.x + 0.5, self.y]
        found = file_evaluation.qualities(path, model, (self.x, truths))
        self.assertEqual(found.pop("accuracy, less"), 0.75)
        (name,) = found
        self.assertEqual(name, "mean absolute error, same")
        self.assertAlmostEqual(found[name], 0.5, places=6)
        with self.assertRaisesRegex(ValueError, "single output.*Pass metric="):
            file_evaluation.evaluate_tflite(path, (self.x, truths))

    @parameterized.parameters((None, None), (1, None), (None, 2))
    def test_padding_that_the_model_masks_does_not_count(self, batch, inner):
        ids = keras.Input(batch_shape=(batch, 6), dtype="int32", name="ids")
        marks = keras.layers.Embedding(5, 4, mask_zero=True)(ids)
        marks = keras.layers.Dense(3)(marks)
        model = keras.Model(ids, marks)
        if inner:  # A nested model hides its mask.
            outer = keras.Input((6,), dtype="int32", name="outer")
            model = keras.Model(outer, model(outer))
        path = f"{self.create_tempdir().full_path}/marks.tflite"
        tflite.export_tflite(model, path)
        x = np.array([[1, 2, 3, 4, 0, 0], [4, 3, 0, 0, 0, 0]], "int32")
        y = np.concatenate([np.asarray(model(row[None])) for row in x])
        y = y.argmax(-1)
        y[x == 0] = (y[x == 0] + 1) % 3
        y[0, 0] = (y[0, 0] + 1) % 3
        found = file_evaluation.qualities(path, model, (x, y))
        self.assertEqual(found, {"accuracy": 5 / 6})

    def test_what_does_not_fit(self):
        evaluate = file_evaluation.evaluate_tflite
        with self.assertRaisesRegex(ValueError, "runtime='phone'"):
            evaluate(self.path, (self.x, self.y), "phone")
        with self.assertRaisesRegex(ValueError, "x of shape"):
            evaluate(self.path, (self.x[:, :1], self.y))
        with self.assertRaisesRegex(ValueError, "Labels are needed"):
            evaluate(self.path, self.x)


if __name__ == "__main__":
    absltest.main()
