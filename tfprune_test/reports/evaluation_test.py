"""Accuracy, from every form in which data comes."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.reports import answers
from tfprune.reports import evaluation
from tfprune.searches import masked_evaluation

X = np.arange(12, dtype="float32").reshape(6, 2)
# The first of two equal scores counts, so class 1 wins where x1 > x0.
SCORES = np.array([[2, 1], [1, 2], [3, 0], [0, 3], [5, 4], [4, 5]], "float32")
Y = np.array([0, 1, 0, 1, 0, 0])


def identity(name="same"):
    inputs = keras.Input((2,))
    outputs = keras.layers.Activation("linear")(inputs)
    return keras.Model(inputs, outputs, name=name)


def flipped():
    inputs = keras.Input((2,))
    return keras.Model(inputs, keras.ops.flip(inputs, -1))


class Halves(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = slice(4 * index, 4 * index + 4)
        return SCORES[rows], Y[rows]


def generator():
    yield SCORES[:4], Y[:4]
    yield SCORES[4:], Y[4:]


class AccuracyTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("arrays", lambda: (SCORES, Y)),
        ("one_hot", lambda: (SCORES, np.eye(2)[Y])),
        ("column", lambda: (SCORES, Y[:, None])),
        ("batches", lambda: [(SCORES[:5], Y[:5]), (SCORES[5:], Y[5:])]),
        ("generator", generator),
        ("py_dataset", Halves),
    )
    def test_both_models_see_all_samples(self, data):
        found = evaluation.accuracies([identity(), flipped()], data())
        self.assertEqual(found, [5 / 6, 1 / 6])

    def test_samples_count_by_their_weights(self):
        weights = np.array([1, 1, 1, 1, 1, 3])
        found = evaluation.accuracies([identity()], (SCORES, Y, weights))
        self.assertEqual(found, [5 / 8])

    def test_batches_of_any_size_give_the_same(self):
        for size in (1, 4, 100):
            found = evaluation.accuracies([identity()], (SCORES, Y), size)
            self.assertEqual(found, [5 / 6])

    @parameterized.parameters(2, -1, 255)
    def test_a_label_without_a_score_is_an_error(self, label):
        y = np.where(Y == 1, label, Y)
        with self.assertRaisesRegex(ValueError, f"(to|from) {label}"):
            evaluation.accuracies([identity()], (SCORES, y))

    def test_several_inputs(self):
        a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
        model = keras.Model({"a": a, "b": b}, a + b)
        x = {"a": SCORES, "b": np.zeros_like(SCORES)}
        self.assertEqual(evaluation.accuracies([model], (x, Y)), [5 / 6])

    def test_a_class_for_every_pixel(self):
        inputs = keras.Input((3, 2))
        model = keras.Model(inputs, keras.layers.ReLU()(inputs))
        data = (SCORES.reshape(2, 3, 2), Y.reshape(2, 3))
        self.assertEqual(evaluation.accuracies([model], data), [5 / 6])

    @parameterized.named_parameters(
        ("empty", [], "Samples are needed for the accuracy"),
        ("no_labels", [SCORES], "Labels are needed for the accuracy"),
        ("alone", SCORES, "Labels are needed for the accuracy"),
        ("lengths", (SCORES, Y[:3]), r"arrays of \[3, 6\] samples"),
        ("labels", (SCORES, np.zeros((6, 3))), r"y of shape \(6, 3\)"),
    )
    def test_bad_data_is_refused(self, data, message):
        with self.assertRaisesRegex(ValueError, message):
            evaluation.accuracies([identity()], data)

    def test_numbers_and_several_outputs_are_refused(self):
        x = keras.Input((2,))
        two = keras.Model(x, [keras.ops.copy(x), x + 1], name="two")
        with self.assertRaisesRegex(ValueError, "Received: model='two'"):
            evaluation.accuracies([two], (SCORES, [Y, Y]))
        with self.assertRaisesRegex(ValueError, "Received: 'same' with out"):
            evaluation.accuracies([identity()], (SCORES, SCORES + 1))


class QualitiesTest(absltest.TestCase):
    def test_one_output(self):
        found = evaluation.qualities([identity(), flipped()], (SCORES, Y))
        self.assertEqual(found, [{"accuracy": 5 / 6}, {"accuracy": 1 / 6}])

    def test_numbers_have_an_error(self):
        (found,) = evaluation.qualities([identity()], (SCORES, SCORES + 0.5))
        self.assertEqual(found, {"mean absolute error": 0.5})

    def test_several_outputs_have_names(self):
        x = keras.Input((2,))
        one = keras.layers.Identity(name="one")(x)
        sum_ = keras.ops.sum(x, -1, keepdims=True)
        other = keras.layers.Identity(name="other")(sum_)
        for outputs in ([one, other], {"one": one, "other": other}):
            model = keras.Model(x, outputs)
            truths = [Y, SCORES.sum(-1) - 2]
            if isinstance(outputs, dict):
                truths = dict(zip(("one", "other"), truths, strict=True))
            (found,) = evaluation.qualities([model], (SCORES, truths))
            self.assertEqual(
                found,
                {"accuracy, one": 5 / 6, "mean absolute error, other": 2.0},
            )

    def test_weights_are_of_one_output_or_of_all(self):
        inputs = keras.Input((2,), name="x")
        one = keras.layers.Activation("linear", name="one")(inputs)
        other = keras.layers.Activation("linear", name="other")(inputs)
        model = keras.Model(inputs, {"one": one, "other": other})
        weights = np.array([1, 1, 1, 1, 1, 3])
        y = {"one": Y, "other": Y}
        for given, right in (
            (weights, 5 / 8),
            ({"one": weights, "other": np.ones(6)}, 5 / 6),
        ):
            (found,) = evaluation.qualities([model], (SCORES, y, given))
            self.assertEqual(
                found, {"accuracy, one": 5 / 8, "accuracy, other": right}
            )

    def test_inputs_of_another_shape(self):
        message = r"\(2,\) without the batch axis. Received: \(3,\) for"
        with self.assertRaisesRegex(ValueError, message):
            evaluation.qualities([identity()], (np.ones((4, 3)), np.ones(4)))

    def test_labels_that_are_missing(self):
        x = keras.Input((2,))
        two = keras.Model(x, [keras.ops.copy(x), x + 1], name="two")
        with self.assertRaisesRegex(ValueError, "1 arrays of labels for"):
            evaluation.qualities([two], (SCORES, Y))


class MaskTest(parameterized.TestCase):
    @parameterized.parameters(True, False)
    def test_padded_steps_do_not_count(self, sequential):
        keras.utils.set_random_seed(0)
        layers = keras.layers
        stack = [
            layers.Embedding(9, 4, mask_zero=True),
            layers.SimpleRNN(5, return_sequences=True),
            layers.Dense(2, activation="softmax"),
        ]
        inputs = keras.Input((6,), dtype="int32")
        if sequential:
            model = keras.Sequential([inputs, *stack])
        else:
            x = inputs
            for layer in stack:
                x = layer(x)
            model = keras.Model(inputs, x)
        rng = np.random.default_rng(0)
        x = rng.integers(1, 9, (20, 6))
        x[:, 4:] = 0
        right = np.asarray(model.predict(x, verbose=0)).argmax(-1)
        y = right.copy()
        y[:, 4:] = 1 - right[:, 4:]  # Wrong in all padded steps.
        y[:, 0] = 1 - right[:, 0]
        model.compile(
            loss="sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        theirs = model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"]
        self.assertAlmostEqual(theirs, 0.75, places=6)
        self.assertEqual(evaluation.accuracies([model], (x, y)), [0.75])
        (confusion,) = answers.outcomes([model], (x, y))
        self.assertEqual(confusion.before.sum(), 20 * 4)
        graph = read.channel_graph(model)
        measured = masked_evaluation.MaskedEvaluation(graph, (x, y))
        self.assertEqual(measured.value(np.ones(graph.size, bool)), 0.75)


if __name__ == "__main__":
    absltest.main()
