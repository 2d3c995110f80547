import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph.composites import tracing

LAYERS = keras.layers
OPS = keras.ops


class Layer(LAYERS.Layer):
    """Calls a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.dense = LAYERS.Dense(3)
        self.count = self.add_weight(shape=(), trainable=False)
        self.built = True

    def call(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


def traced(function, *args, batch=None, **kwargs):
    return tracing.traced(Layer(function), args, kwargs, batch, "inner")


class TracedTest(parameterized.TestCase):
    def test_the_graph_computes_what_the_call_does(self):
        layer = Layer(lambda self, x, y, scale: self.dense(x) * scale + y)
        layer.dense.build((None, 4))
        x, y = keras.Input((4,)), keras.Input((3,))
        model = tracing.traced(layer, (x,), {"y": y, "scale": 2}, None, "net")
        self.assertEqual(model.name, "net")
        self.assertLen(model.inputs, 2)
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
        kernel = OPS.convert_to_numpy(layer.dense.kernel)
        np.testing.assert_allclose(
            model([a, b]), 2 * (a @ kernel) + b, atol=1e-5
        )
        self.assertIs(model.get_layer(layer.dense.name), layer.dense)

    def test_a_tensor_that_is_given_twice_is_one_input(self):
        x = keras.Input((4,))
        model = traced(lambda self, a, b: a + b, x, x)
        self.assertLen(model.inputs, 1)
        np.testing.assert_array_equal(model(np.ones((1, 4))), [[2] * 4])

    def test_what_goes_straight_through(self):
        x = keras.Input((4,))
        model = traced(lambda self, x: {"same": x, "other": -x}, x)
        found = model(np.ones((1, 4)))
        np.testing.assert_array_equal(found["same"], np.ones((1, 4)))
        np.testing.assert_array_equal(found["other"], -np.ones((1, 4)))

    def test_the_batch_may_be_known(self):
        model = traced(lambda self, x: x + 1, keras.Input((4,)), batch=2)
        self.assertEqual(model.inputs[0].shape, (2, 4))

    def test_the_dtype_is_that_of_the_tensor(self):
        x = keras.Input((4,), dtype="int32")
        model = traced(lambda self, x: x + 1, x)
        self.assertEqual(model.inputs[0].dtype, "int32")

    @parameterized.parameters(
        (lambda self, x: np.asarray(x), "cannot be traced: "),
        (lambda self, x: 1 / 0, "cannot be traced: ZeroDivisionError"),
        (lambda self, x: x + self.count.assign(1), "keeps a state"),
    )
    def test_why_a_layer_stays_whole(self, function, reason):
        with self.assertRaisesRegex(tracing.StaysWholeError, reason):
            traced(function, keras.Input((4,)))

    def test_the_variables_stay_as_they_are(self):
        layer = Layer(lambda self, x: x + self.count.assign(7))
        before = float(layer.count.value)
        with self.assertRaises(tracing.StaysWholeError):
            tracing.traced(layer, (keras.Input((4,)),), {}, None, "inner")
        self.assertEqual(float(layer.count.value), before)

    def test_starting_again_is_no_reason(self):
        def again(self, x):
            raise tracing.StartAgainError

        with self.assertRaises(tracing.StartAgainError):
            traced(again, keras.Input((4,)))


class TensorsTest(absltest.TestCase):
    def test_each_symbolic_tensor_once(self):
        x, y = keras.Input((4,)), keras.Input((3,))
        found = tracing.tensors_of(([x, 3, None], {"a": y, "b": x}))
        self.assertLen(found, 2)
        self.assertIs(found[0], x)
        self.assertIs(found[1], y)

    def test_parameters(self):
        attention = LAYERS.MultiHeadAttention(1, 1)
        names = list(tracing.parameters(attention))
        self.assertEqual(names[:2], ["query", "value"])


if __name__ == "__main__":
    absltest.main()
