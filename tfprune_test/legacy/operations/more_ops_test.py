"""Functions of TensorFlow in old files, against numpy."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.operations import more_ops

X = np.random.default_rng(0).uniform(0.2, 0.9, (2, 4, 3)).astype("float32")
Y = np.random.default_rng(1).uniform(0.2, 0.9, (2, 4, 3)).astype("float32")


def unit(x, axis):
    return x / np.sqrt((x**2).sum(axis, keepdims=True))


class FunctionsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("math.greater", {"y": Y}, X > Y),
        ("math.floordiv", {"y": Y}, X // Y),
        ("math.floormod", {"y": Y}, X % Y),
        ("math.divide_no_nan", {"y": 0 * Y}, 0 * X),
        ("math.log1p", {}, np.log1p(X)),
        ("math.round", {}, np.round(X)),
        ("math.reduce_std", {"axis": [1, 2]}, X.std((1, 2))),
        ("math.reduce_variance", {"axis": 1}, X.var(1)),
        (
            "math.reduce_logsumexp",
            {"axis": 1},
            np.log(np.exp(X).sum(1)),
        ),
        ("math.reduce_euclidean_norm", {"axis": 1}, np.linalg.norm(X, axis=1)),
        ("norm", {"axis": -1}, np.linalg.norm(X, axis=-1)),
        ("compat.v1.norm", {"axis": -1, "ord": 1}, np.abs(X).sum(-1)),
        ("math.l2_normalize", {"axis": -1}, unit(X, -1)),
        ("gather", {"indices": [2, 0], "axis": 1}, X[:, [2, 0]]),
        ("math.argmax", {"axis": -1}, X.argmax(-1)),
        ("math.cumsum", {"axis": 1}, X.cumsum(1)),
        ("reverse", {"axis": [1]}, X[:, ::-1]),
        ("unstack", {"axis": 1}, np.moveaxis(X, 1, 0)),
        ("nn.swish", {}, X / (1 + np.exp(-X))),
    )
    def test_functions(self, name, kwargs, wanted):
        x = keras.ops.convert_to_tensor(X)
        got = more_ops.FUNCTIONS[name](x, **kwargs)
        got = [np.asarray(g) for g in got] if isinstance(got, list) else got
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)

    def test_functions_of_other_first_arguments(self):
        where = more_ops.FUNCTIONS["where"](X > Y, X, Y)
        np.testing.assert_array_equal(where, np.maximum(X, Y))
        total = more_ops.FUNCTIONS["math.add_n"]([X, Y, X])
        np.testing.assert_allclose(total, 2 * X + Y, rtol=1e-6)
        hot = more_ops.FUNCTIONS["one_hot"](
            np.array([2, 0]), 3, on_value=5.0, off_value=1.0
        )
        np.testing.assert_array_equal(hot, [[1, 1, 5], [5, 1, 1]])
        with self.assertRaisesRegex(ValueError, "batch_dims=1"):
            more_ops.FUNCTIONS["gather"](X, [0], batch_dims=1)


if __name__ == "__main__":
    absltest.main()
