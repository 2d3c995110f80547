import keras
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers
OPS = keras.ops


def dense(equation, shape, bias=None, flat=False):
    x = inputs = keras.Input((7, 5))
    x = LAYERS.EinsumDense(equation, shape, bias_axes=bias)(LAYERS.Dense(6)(x))
    x = LAYERS.Flatten()(x) if flat else x
    return keras.Model(inputs, LAYERS.Dense(2)(x))


def heads():
    return keras.Sequential(
        [
            keras.Input((7, 5)),
            LAYERS.Dense(6),
            LAYERS.EinsumDense("abc,cde->abde", (7, 3, 4), bias_axes="de"),
            LAYERS.EinsumDense("abde,def->abf", (7, 8), bias_axes="f"),
            LAYERS.Dense(2),
        ]
    )


class EinsumDenseTest(exactness.ExactnessTestCase):
    @parameterized.parameters(
        ("btc,cd->btd", (None, 8), "d", 6 + 8),
        ("...c,cd->...d", (8,), "d", 6 + 8),
        ("...c,cd->...d", 8, None, 6 + 8),
        ("btc,tcd->btd", (7, 8), "d", 6 + 8),  # Weights of each position.
        ("abc,bd->adc", (8, 6), "d", 6),  # The channels pass by.
        ("abc,c->abc", (7, 6), "c", 6),
    )
    def test_equations(self, equation, shape, bias, removable):
        for silence in (0.0, 0.3):
            model = dense(equation, shape, bias)
            found = self.assert_exact(model, silence=silence)
            self.assertEqual(int(found.graph.removable.sum()), removable)

    @parameterized.parameters(
        ("abc,cde->abde", (7, 3, 4), "de", 6 + 3),
        ("abc,cd->adb", (8, 7), None, 6 + 8),
    )
    def test_new_axes(self, equation, shape, bias, removable):
        found = self.assert_exact(dense(equation, shape, bias, flat=True))
        self.assertEqual(int(found.graph.removable.sum()), removable)

    @parameterized.parameters(
        ("abc,cd->adb", (4, 4), "d", 0),
        ("abc,cd->adb", (6, 4), "d", 6),  # But for 4 of 6 channels.
        ("xyz,zw->xyw", (4, 6), "y", 6),
        ("abc,cde->abde", (4, 3, 3), "d", 0),
        ("abc,cde->abde", (4, 4, 2), "d", 0),
    )
    def test_a_bias_that_keras_adds_along_another_axis(
        self, equation, shape, bias, removable
    ):
        if keras.backend.backend() != "tensorflow":
            self.skipTest("adds it as numpy does")
        inputs = keras.Input((4, 5))
        x = LAYERS.EinsumDense(equation, shape, bias_axes=bias)(inputs)
        x = LAYERS.Flatten()(LAYERS.ReLU()(x))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        for seed in range(4):
            found = exactness.strip_masked(model, rate=0.4, seed=seed)
            self.assertEqual(exactness.faults(found), [])
            self.assertEqual(int(found.graph.removable.sum()), removable)

    def test_work(self):
        graph = exactness.strip_masked(heads(), rate=0).graph
        work = models.multiply_adds(graph, "einsum_dense")
        self.assertEqual(work, 7 * 6 * 3 * 4)

    @parameterized.named_parameters(
        ("plain", "abc,ce->abe", (None, 10), 7 * 6 * 10),
        ("dots", "...c,cd->...d", 10, 7 * 6 * 10),
        ("dots at the end", "ab...,bd->ad...", 10, 7 * 10 * 6),
        ("nothing new", "abc,c->abc", (None, 6), 7 * 6),
        ("a sum", "abc,bd->ad", 10, 7 * 6 * 10),
    )
    def test_sizes_left_to_the_input(self, equation, shape, work):
        inputs = keras.Input((7, 5))
        x = LAYERS.EinsumDense(equation, shape)(LAYERS.Dense(6)(inputs))
        graph = read.channel_graph(keras.Model(inputs, LAYERS.Dense(3)(x)))
        self.assertEqual(models.multiply_adds(graph, "einsum_dense"), work)
        shapes = [x.shape for step in graph.steps for x in step.outputs]
        self.assertFalse([s for s in shapes if None in s[1:]])

    def test_sizes_left_to_the_input_inside_a_wrapper(self):
        dense = LAYERS.EinsumDense("abc,ce->abe", (None, 10))
        inputs = keras.Input((3, 7, 5))
        x = LAYERS.TimeDistributed(dense)(inputs)
        graph = read.channel_graph(keras.Model(inputs, LAYERS.Dense(2)(x)))
        self.assertEqual(
            models.multiply_adds(graph, "time_distributed"), 3 * 7 * 5 * 10
        )
        self.assertEqual(models.multiply_adds(graph, "dense"), 3 * 7 * 10 * 2)

    def test_heads_are_summed_over(self):
        found = self.assert_exact(heads(), silence=0.3)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 3 + 8)


if __name__ == "__main__":
    absltest.main()
