import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.searches import masked_evaluation
from tfprune.searches import metrics

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 5)).astype("float32")
Y = RNG.integers(0, 3, 300)
FIRST, SECOND = RNG.normal(size=(5, 6)), RNG.normal(size=(6, 3))


def model():
    inputs = keras.Input((5,))
    x = keras.layers.Dense(6, "relu", use_bias=False, name="a")(inputs)
    outputs = keras.layers.Dense(3, use_bias=False, name="b")(x)
    made = keras.Model(inputs, outputs)
    made.get_layer("a").kernel.assign(FIRST)
    made.get_layer("b").kernel.assign(SECOND)
    return made


def outputs(stay, x=X):
    """What the network computes with some of its six channels."""
    return np.maximum(x @ FIRST, 0)[:, stay] @ SECOND[stay]


def accuracy(stay, count=None):
    return np.mean(outputs(stay, X[:count]).argmax(-1) == Y[:count])


class MaskedEvaluationTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = model()
        cls.graph = read.channel_graph(cls.model)
        (cls.group,) = (g for g in cls.graph.groups if not g.frozen)

    def keep(self, stay):
        keep = np.ones(self.graph.size, bool)
        keep[self.group.labels] = np.isin(np.arange(6), stay)
        return keep

    def test_each_set_of_channels_whatever_came_before(self):
        measured = masked_evaluation.MaskedEvaluation(self.graph, (X, Y))
        for stay in ([0, 1, 2, 3, 4, 5], [1], [0, 2, 5], [0, 1, 2, 3, 4, 5]):
            self.assertAlmostEqual(
                measured.value(self.keep(stay)), accuracy(stay), places=6
            )
        self.assertEqual(measured.count, 4)
        # The last batch is smaller than the others.
        self.assertLessEqual(measured.traces, 2)
        np.testing.assert_array_equal(
            self.model.get_layer("b").kernel, SECOND.astype("float32")
        )

    def test_samples_count_by_their_weights(self):
        weights = RNG.uniform(0, 2, 300)
        measured = masked_evaluation.MaskedEvaluation(
            self.graph, (X, Y, weights)
        )
        right = outputs([1, 4]).argmax(-1) == Y
        self.assertAlmostEqual(
            measured.value(self.keep([1, 4])), np.average(right, 0, weights)
        )

    def test_images_are_not_augmented(self):
        inputs = keras.Input((8, 8, 2))
        x = keras.layers.Flatten()(keras.layers.RandomFlip()(inputs))
        x = keras.layers.Dense(4, name="inner")(x)
        net = keras.Model(inputs, keras.layers.Dense(2)(x))
        x = np.random.default_rng(0).normal(size=(16, 8, 8, 2))
        evaluation = masked_evaluation.MaskedEvaluation(
            read.channel_graph(net),
            (x.astype("float32"), np.zeros(16, int)),
            lambda y, outputs: outputs[:, 0],
        )
        expected = np.mean(net.predict(x, verbose=0)[:, 0])
        keep = np.ones(read.channel_graph(net).size, bool)
        self.assertAlmostEqual(evaluation.value(keep), expected, places=5)

    def test_of_some_samples_by_another_metric(self):
        measured = masked_evaluation.MaskedEvaluation(
            self.graph,
            (X, Y),
            metric=lambda y, scores: scores[:, 0] - y,
            limit=40,
        )
        self.assertAlmostEqual(
            measured.value(self.keep([3])),
            np.mean(outputs([3], X[:40])[:, 0] - Y[:40]),
            places=5,
        )

    def test_means_of_batches_count_by_their_samples(self):
        def right(y, scores):
            return np.mean(scores.argmax(-1) == y)

        measured = masked_evaluation.MaskedEvaluation(
            self.graph, (X, Y), metric=right
        )
        self.assertAlmostEqual(
            measured.value(self.keep([1, 4])), accuracy([1, 4])
        )

    @parameterized.parameters(
        (lambda y, scores: None, "Received: None of type NoneType"),
        (keras.metrics.SparseCategoricalAccuracy(), "adds up what it sees"),
        ("accuracy", "metric='accuracy'"),
    )
    def test_what_gives_no_numbers_of_a_batch(self, metric, error):
        with self.assertRaisesRegex(ValueError, error):
            measured = masked_evaluation.MaskedEvaluation(
                self.graph, (X, Y), metric=metric
            )
            measured.value(self.keep([1, 4]))

    def test_the_smaller_model_is_what_was_measured(self):
        measured = masked_evaluation.MaskedEvaluation(self.graph, (X, Y))
        small = measured.shrunk(self.keep([1, 4]))
        self.assertEqual(small.get_layer("a").units, 2)
        np.testing.assert_allclose(
            small.predict(X, verbose=0), outputs([1, 4]), atol=1e-4
        )

    def test_fitted_weights_are_measured_and_kept(self):
        measured = masked_evaluation.MaskedEvaluation(
            self.graph,
            (X, Y),
            metric=lambda y, scores: scores,
            reconstruct=X,
        )
        stay = [0, 1, 2, 3]
        value = measured.value(self.keep(stay))
        small = measured.shrunk(self.keep(stay))
        found = small.predict(X, verbose=0)
        self.assertAlmostEqual(value, float(found.mean()), places=4)
        dense = outputs(range(6))
        hidden = np.maximum(X @ FIRST, 0)[:, stay]
        best = np.linalg.lstsq(hidden, dense, rcond=None)[0]
        np.testing.assert_allclose(found, hidden @ best, atol=0.02)
        # The next value does not see the weights of this one.
        whole = measured.value(self.keep(range(6)))
        self.assertAlmostEqual(whole, float(dense.mean()), places=4)

    def test_data_that_is_gone_after_one_pass_is_refused(self):
        with self.assertRaisesRegex(ValueError, "the sensitivity"):
            masked_evaluation.MaskedEvaluation(
                self.graph, iter([(X, Y), (X, Y)])
            )


class NamedLabelsTest(parameterized.TestCase):
    """Labels in a `dict`, whatever the order of the outputs is."""

    def setUp(self):
        super().setUp()
        inputs = keras.Input((5,))
        x = keras.layers.Dense(6, "relu")(inputs)
        heads = [keras.layers.Dense(2, name=name)(x) for name in ("z", "a")]
        self.model = keras.Model(inputs, heads)
        z, a = self.model.predict(X, verbose=0)
        self.labels = {"z": z + 1, "a": a - 3}

    def test_accuracy_is_that_of_one_output(self):
        graph = read.channel_graph(self.model)
        measured = masked_evaluation.MaskedEvaluation(graph, (X, self.labels))
        with self.assertRaisesRegex(
            ValueError,
            r"2 outputs\. Pass metric=, a function \(y, outputs\) of all",
        ):
            measured.value(np.ones(graph.size, bool))

    @parameterized.parameters((("z", "a"), -2), (("z",), -1), (("a",), -3))
    def test_errors_are_those_of_each_output(self, names, expected):
        y = {name: self.labels[name] for name in names}
        graph = read.channel_graph(self.model)
        measured = masked_evaluation.MaskedEvaluation(
            graph, (X, y), metrics.of("neg_mean_absolute_error")
        )
        self.assertAlmostEqual(
            measured.value(np.ones(graph.size, bool)), expected, places=5
        )


class AccuracyTest(parameterized.TestCase):
    """Of a model that gives its inputs back."""

    def measured(self, x, y, loss=None):
        inputs = keras.Input(x.shape[1:])
        outputs = keras.layers.Dense(x.shape[1], use_bias=False)(inputs)
        model = keras.Model(inputs, outputs)
        model.layers[-1].kernel.assign(np.eye(x.shape[1]))
        if loss is not None:
            model.compile(loss=loss)
        graph = read.channel_graph(model)
        found = masked_evaluation.MaskedEvaluation(graph, (x, y))
        return found.value(np.ones(graph.size, bool))

    def test_a_metric_may_look_at_masks(self):
        inputs = keras.Input((2, 1))
        steps = keras.layers.Masking()(inputs)
        dense = keras.layers.Dense(1, kernel_initializer="ones")
        model = keras.Model(inputs, [dense(steps), dense(inputs)])
        graph = read.channel_graph(model)
        x = np.array([[[1.0], [2.0]], [[3.0], [0.0]]], "float32")

        def kept(y, outputs, mask):
            first, second = mask
            self.assertIsNone(second)
            return outputs[0][first]

        found = masked_evaluation.MaskedEvaluation(graph, (x, [x, x]), kept)
        self.assertEqual(found.value(np.ones(graph.size, bool)), 2)

    def test_ties_go_to_the_first_class(self):
        x = np.array([[1, 3, 2], [2, 2, 1], [0, 0, 0.0]])
        y = np.array([1, 1, 0])
        for labels in (y, y[:, None], np.eye(3)[y]):
            self.assertAlmostEqual(self.measured(x, labels), 2 / 3)

    @parameterized.parameters(((4,),), ((4, 1),))
    def test_two_classes_have_one_score(self, shape):
        y = np.array([0, 1, 1, 0]).reshape(shape)
        x = np.array([[0.1], [0.9], [0.4], [0.6]])
        self.assertEqual(self.measured(x, y), 0.5)
        logits = keras.losses.BinaryCrossentropy(from_logits=True)
        self.assertEqual(self.measured(x - 0.5, y, logits), 0.5)
        with self.assertRaisesRegex(ValueError, "not all from 0 to 1. Pass"):
            self.measured(x - 0.5, y)

    def test_numbers_have_no_accuracy(self):
        x = np.array([[0.1, 2], [0.9, 0]])
        with self.assertRaisesRegex(ValueError, "Accuracy needs .*metric="):
            self.measured(x, x + 1)

    def test_several_outputs_have_no_accuracy(self):
        inputs = keras.Input((3,))
        outputs = [keras.layers.Dense(2)(inputs) for _ in range(2)]
        graph = read.channel_graph(keras.Model(inputs, outputs))
        data = (np.zeros((2, 3)), [np.zeros(2, int)] * 2)
        found = masked_evaluation.MaskedEvaluation(graph, data)
        with self.assertRaisesRegex(ValueError, "2 outputs. Pass metric="):
            found.value(np.ones(graph.size, bool))


if __name__ == "__main__":
    absltest.main()
