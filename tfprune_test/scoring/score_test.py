import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.scoring import score
from tfprune_test import graphs

KERNEL = np.array([[1, -2, 3], [-4, 5, -6]], "float32")


def graph():
    """Input 0-1, layer a 2-4, output 5-6."""
    sketch = graphs.Sketch(2)
    x = sketch.dense("a", sketch.input, 3, KERNEL)
    return sketch.done(sketch.dense("b", x, 2))


class Fixed(tfprune.criteria.Criterion):
    def __init__(self, scores):
        self.given = scores

    def scores(self, graph, data=None):
        return self.given * data


class ChannelScoresTest(parameterized.TestCase):
    def test_l1(self):
        scores = score.channel_scores(graph(), "l1")
        self.assertEqual(scores.tolist(), [0, 0, 5, 7, 9, 3, 3])

    def test_l2(self):
        scores = score.channel_scores(graph(), tfprune.criteria.l2)
        np.testing.assert_allclose(
            scores[2:5] ** 2, [1 + 16, 4 + 25, 9 + 36], rtol=1e-6
        )

    def test_everything_that_writes_a_channel_counts(self):
        sketch = graphs.Sketch(2)
        a = sketch.dense("a", sketch.input, 3, KERNEL)
        b = sketch.dense("b", sketch.input, 3, 10 * KERNEL)
        both = sketch.done(sketch.dense("c", sketch.add("sum", a, b), 1))
        scores = score.channel_scores(both, "l1")
        self.assertEqual(scores.tolist()[2:5], [55, 77, 99])

    def test_a_function(self):
        scores = score.channel_scores(
            graph(), lambda values, axis: values.max(1 - axis)
        )
        self.assertEqual(scores.tolist()[2:5], [1, 5, 3])

    @parameterized.parameters(
        (lambda values, axis: values.max(axis), r"\(2,\)"),
        (lambda values, axis: values, r"\(2, 3\)"),
        (lambda values, axis: values.max(), r"\(\)"),
    )
    def test_a_function_gives_one_score_per_index(self, function, shape):
        with self.assertRaisesRegex(
            ValueError,
            rf"shape \(3,\)\. Received: scores of shape {shape}, of weights "
            r"of shape \(2, 3\) and axis=1\. Reduce all other axes\.",
        ):
            score.channel_scores(graph(), function)

    def test_an_object(self):
        scores = score.channel_scores(graph(), Fixed(np.arange(7)), 2)
        self.assertEqual(scores.tolist(), [0, 2, 4, 6, 8, 10, 12])

    def test_an_unknown_name(self):
        with self.assertRaisesRegex(
            ValueError, "Unknown criterion. Known: .*l1.*Received: 'l3'"
        ):
            score.channel_scores(graph(), "l3")

    def test_an_object_of_the_wrong_kind(self):
        with self.assertRaisesRegex(TypeError, "registered name.*criterion=3"):
            score.channel_scores(graph(), 3)

    def test_scores_of_the_wrong_shape(self):
        with self.assertRaisesRegex(ValueError, r"\(7,\).*shape \(6,\)"):
            score.channel_scores(graph(), Fixed(np.ones(6)), 1)

    @parameterized.parameters(np.nan, -np.inf)
    def test_scores_that_are_not_finite(self, value):
        scores = np.ones(7)
        scores[[3, 5]] = value
        with self.assertRaisesRegex(ValueError, "1 channels .*, in a. The"):
            score.channel_scores(graph(), Fixed(scores), 1)

    def test_norms_that_are_not_finite(self):
        with self.assertRaisesRegex(ValueError, "3 channels .*, in a. The"):
            score.channel_scores(
                graph(),
                lambda values, axis: np.full(values.shape[axis], np.inf),
            )

    def test_channels_that_stay_need_no_score(self):
        scores = np.ones(7)
        scores[[0, 6]] = np.nan
        score.channel_scores(graph(), Fixed(scores), 1)

    def test_half_precision(self):
        x = keras.Input((200,))
        y = keras.layers.Dense(
            2, dtype="float16", kernel_initializer="ones", name="a"
        )(x)
        model = keras.Model(x, keras.layers.Dense(1)(y))
        model.layers[1].kernel.assign(np.full((200, 2), 1000.0))
        read = tfprune.channel_graph(model)
        scores = score.channel_scores(read, "l1")
        self.assertEqual(scores[200:202].tolist(), [200_000] * 2)


if __name__ == "__main__":
    absltest.main()
