import warnings
from unittest import mock

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.datasets import outputs
from tfprune.pipeline.request import door_checks
from tfprune.pipeline.request import sources

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3)).astype("float32")
Y = X.argmax(1)


def model(units=3, loss=None):
    """Its outputs are its inputs, the first of them."""
    inputs = keras.Input((3,))
    identity = keras.layers.Dense(
        units, use_bias=False, kernel_initializer="identity", name="out"
    )
    made = keras.Model(inputs, identity(inputs), name="net")
    loss = loss or keras.losses.SparseCategoricalCrossentropy(True)
    made.compile(loss=loss, metrics=["accuracy"])
    return made


def known(net, kind, logits=False):
    """The output of a model, with a loss of a kind."""
    losses = {
        "sparse": keras.losses.SparseCategoricalCrossentropy,
        "categorical": keras.losses.CategoricalCrossentropy,
        "binary": keras.losses.BinaryCrossentropy,
    }
    if kind == "numbers":
        return outputs.of(net, "mse")
    return outputs.of(net, losses[kind](from_logits=logits))


class DataTest(parameterized.TestCase):
    def check(self, y, kind="sparse", units=3, x=X, weights=None):
        net = model(units)
        data = (x, y) if weights is None else (x, y, weights)
        # Several batches, so that samples are counted on.
        batches = [
            tuple(part[i : i + 20] for part in data)
            for i in range(0, len(x), 20)
        ]
        source = sources.Source(batches, "training", net)
        return door_checks.check_data(net, known(net, kind), source)

    @parameterized.parameters(
        ("sparse", 3, Y),
        ("sparse", 3, Y[:, None].astype("float32")),
        ("categorical", 3, np.eye(3)[Y]),
        ("binary", 1, (Y > 0)[:, None].astype("float32")),
        ("binary", 1, np.full((50, 1), 0.5)),
        ("numbers", 3, X * 1e6),
    )
    def test_labels_that_fit(self, kind, units, y):
        self.assertEqual(self.check(y, kind, units), 50)

    @parameterized.parameters(
        ("sparse", 3, 3, "class indices from 0 to 2"),
        ("sparse", 3, -1, "class indices from 0 to 2"),
        ("sparse", 3, 0.5, "class indices from 0 to 2"),
        ("binary", 1, 1.5, "from 0 to 1"),
        ("binary", 1, -1, "from 0 to 1"),
        ("categorical", 3, 2, "from 0 to 1"),
    )
    def test_the_first_label_that_does_not(self, kind, units, value, message):
        y = np.zeros((50, 1 if kind == "sparse" else units))
        y[[33, 44], 0] = value
        with self.assertRaisesRegex(
            ValueError,
            f"Labels must be {message} for training, as the .*"
            rf"Received: {value} at sample 33 \(1 of the 20 ",
        ):
            self.check(y, kind, units)

    @parameterized.parameters(
        ("sparse", 3, np.eye(3)[Y], r"class indices .*argmax"),
        ("categorical", 3, Y % 2, "one-hot rows"),
        ("binary", 3, Y[:, None] % 2, "as long as the outputs"),
    )
    def test_labels_of_another_form(self, kind, units, y, message):
        with self.assertRaisesRegex(ValueError, message):
            self.check(y, kind, units)

    def test_numbers_that_are_not_finite(self):
        for value in (np.nan, np.inf):
            y = X.copy()
            y[[41, 49], 1] = value
            with self.assertRaisesRegex(
                ValueError, f"Labels must be finite .*: {value} at sample 41"
            ):
                self.check(y, "numbers")
        weights = np.ones(50, "float32")
        weights[27] = np.nan
        with self.assertRaisesRegex(ValueError, "weights must be .* sample 27"):
            self.check(Y, weights=weights)

    def test_inputs_of_another_shape(self):
        with self.assertRaisesRegex(ValueError, "shapes of the model's inputs"):
            self.check(Y, x=X[:, :2])

    @parameterized.parameters(list, tuple)
    def test_several_inputs(self, kind):
        two = [keras.Input((3,)) for _ in range(2)]
        net = keras.Model(two, keras.layers.Add()(two))
        net.compile(loss=keras.losses.SparseCategoricalCrossentropy(True))
        source = sources.Source([(kind([X, X]), Y)], "training", net)
        self.assertEqual(
            door_checks.check_data(net, outputs.of(net), source), 50
        )
        door_checks.check_inputs(net, kind([X, X]), "training")

    def test_labels_by_the_name_of_their_output(self):
        inputs = keras.Input((3,))
        heads = {
            name: keras.layers.Dense(2, name=name)(inputs) for name in "ba"
        }
        net = keras.Model(inputs, heads)
        y = {"a": Y % 2, "b": X[:, :2]}
        sparse = keras.losses.SparseCategoricalCrossentropy(True)
        heads = outputs.of(net, {"a": sparse, "b": "mse"})
        source = sources.Source((X, y), "training", net)
        self.assertEqual(door_checks.check_data(net, heads, source), 50)
        source = sources.Source((X, {**y, "a": Y}), "training", net)
        with self.assertRaisesRegex(ValueError, "at output 'a', as .* 2 cl"):
            door_checks.check_data(net, heads, source)

    def test_a_class_that_the_loss_ignores(self):
        net, y = model(), np.where(Y == 2, -1, Y)
        loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
        source = sources.Source((X, y), "training", net)
        heads = outputs.of(net, loss)
        self.assertEqual(door_checks.check_data(net, heads, source), 50)
        with self.assertRaisesRegex(ValueError, "-1 at sample"):
            door_checks.check_data(net, outputs.of(net), source)

    def test_labels_that_no_loss_looks_at_may_be_anything(self):
        net = model()
        source = sources.Source((X, np.full(50, "cat")), "validation", net)
        self.assertEqual(door_checks.check_data(net, None, source), 50)


class TeacherTest(parameterized.TestCase):
    def check(self, teacher, kind="sparse", logits=True, net=None):
        net = net or model()
        door_checks.check_teacher(teacher, net, known(net, kind, logits), X)

    def test_one_that_gives_the_same(self):
        self.check(model())
        self.check(ended(model(), "softmax"), logits=False)
        self.check(ended(model(), "sigmoid"), "binary", False)
        self.check(ended(model(), "softmax"), "numbers", False)

    @parameterized.parameters(
        ("softmax", "sparse", True, "must give logits.*gives probabilities"),
        ("softmax", "categorical", True, "must give logits"),
        ("sigmoid", "binary", True, "must give logits"),
        (None, "sparse", False, "must give probabilities.*gives logits"),
        ("sigmoid", "sparse", False, "must give probabilities"),
        (None, "binary", False, "must give probabilities"),
    )
    def test_logits_are_no_probabilities(self, end, kind, logits, message):
        teacher = ended(model(), end) if end else model()
        with self.assertRaisesRegex(ValueError, message):
            self.check(teacher, kind, logits)

    def test_other_shapes_and_other_things_are_refused(self):
        with self.assertRaisesRegex(ValueError, r"\[\(3,\)\].*\[\(2,\)\]"):
            self.check(model(2))
        inputs = keras.Input((4,))
        other = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        with self.assertRaisesRegex(ValueError, "the teacher"):
            self.check(other)
        with self.assertRaisesRegex(TypeError, "keras.Model.*teacher='net'"):
            self.check("net")


def ended(net, activation):
    return keras.Model(
        net.input, keras.layers.Activation(activation)(net.output)
    )


class Accuracy:
    """A task whose metric is the accuracy, by numpy alone."""

    monitor, larger = "accuracy", True

    def evaluate(self, outputs_of, source, limit=None):
        right = [
            np.asarray(outputs_of(x)).argmax(1) == y
            for x, y, _ in source.batches(limit=limit)
        ]
        return {"accuracy": np.concatenate(right).mean()}

    def gain(self, values):
        return values["accuracy"]


class TrainingTest(absltest.TestCase):
    def test_training_of_its_own(self):
        class Mine(keras.Model):
            def train_step(self, data):
                return super().train_step(data)

        inputs = keras.Input((3,))
        net = Mine(inputs, keras.layers.Dense(3)(inputs), name="net")
        with self.assertWarnsRegex(UserWarning, "a Mine with train_step of"):
            door_checks.check_training(net)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for plain in (model(), keras.Sequential([inputs])):
                door_checks.check_training(plain)

    def test_a_state_from_batch_to_batch(self):
        inputs = keras.Input(batch_shape=(4, 5, 3))
        outputs = keras.layers.LSTM(2, stateful=True)(inputs)
        with self.assertRaisesRegex(ValueError, "stateful=False"):
            door_checks.check_training(keras.Model(inputs, outputs))


class ChanceTest(absltest.TestCase):
    def warned(self, x, y):
        """Whether it was, and of what."""
        net = model()
        source = sources.Source((x, y), "validation", net)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = door_checks.warn_of_chance(net, Accuracy(), source)
        texts = [str(w.message) for w in caught]
        self.assertLen(texts, int(found))
        return "".join(texts)

    def test_a_model_that_knows_its_classes(self):
        self.assertEqual(self.warned(X, Y), "")

    def test_a_model_that_guesses(self):
        labels = np.random.default_rng(1).permutation(Y)
        right = np.mean(X.argmax(1) == labels)
        self.assertIn(
            f"model='net', whose accuracy of {right:.4f} on 50 validation",
            self.warned(X, labels),
        )

    def test_data_that_come_class_by_class(self):
        net, order = model(), np.argsort(Y, kind="stable")
        x, y = np.repeat(X[order], 200, 0), np.repeat(Y[order], 200)
        batches = [(x[i : i + 50], y[i : i + 50]) for i in range(0, 10_000, 50)]
        for data in ((x, y), batches):
            source = sources.Source(data, "validation", net)
            with mock.patch.object(door_checks.warnings, "warn") as warn:
                door_checks.warn_of_chance(net, Accuracy(), source)
            warn.assert_not_called()

    def test_a_metric_that_is_no_number(self):
        task = Accuracy()
        task.gain = lambda values: -np.inf
        source = sources.Source((X, Y), "validation", model())
        with self.assertRaisesRegex(ValueError, "accuracy is NaN on 50"):
            door_checks.warn_of_chance(model(), task, source)

    def test_one_sample_tells_nothing(self):
        self.assertEqual(self.warned(X[:1], Y[:1] * 0), "")


if __name__ == "__main__":
    absltest.main()
