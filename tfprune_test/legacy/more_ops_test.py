"""Functions and ops of TensorFlow in old files, against numpy."""

import base64

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy import more_ops
from tfprune.legacy import node_ops

X = np.random.default_rng(0).uniform(0.2, 0.9, (2, 4, 3)).astype("float32")
Y = np.random.default_rng(1).uniform(0.2, 0.9, (2, 4, 3)).astype("float32")


def node(op, *inputs, constants=None, **attributes):
    """Calls an op as a `TensorFlowOpLayer` writes it."""
    config = {
        "node_def": {"op": op, "attr": attributes},
        "constants": constants,
    }
    inputs = [keras.ops.convert_to_tensor(x) for x in inputs]
    return node_ops.call({"name": "t", "config": config}, inputs)


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

    def test_ops_of_several_tensors(self):
        np.testing.assert_allclose(node("AddV2", X, Y), X + Y, rtol=1e-6)
        np.testing.assert_allclose(
            node("Mul", X, constants={"0": 2.0}), 2 * X, rtol=1e-6
        )
        joined = node("ConcatV2", X, Y, constants={"2": -1})
        np.testing.assert_array_equal(joined, np.concatenate([X, Y], -1))
        packed = node("Pack", X, Y, axis={"i": "1"})
        np.testing.assert_array_equal(packed, np.stack([X, Y], 1))
        product = node("BatchMatMulV2", X, Y, adj_y={"b": True})
        np.testing.assert_allclose(product, X @ Y.swapaxes(1, 2), rtol=1e-5)

    @parameterized.parameters(
        ("Transpose", {"1": [0, 2, 1]}, {}, X.swapaxes(1, 2)),
        ("Reshape", {"1": [-1, 3]}, {}, X.reshape(-1, 3)),
        ("ExpandDims", {"1": 1}, {}, X[:, None]),
        ("Mean", {"1": [1]}, {"keep_dims": {"b": True}}, X.mean(1)[:, None]),
        ("Sum", {"1": -1}, {}, X.sum(-1)),
        ("Pad", {"1": [[0, 0], [1, 0], [0, 2]]}, {}, None),
        ("Slice", {"1": [0, 1, 0], "2": [-1, 2, -1]}, {}, X[:, 1:3]),
        ("Tile", {"1": [1, 2, 1]}, {}, np.tile(X, (1, 2, 1))),
        ("GatherV2", {"1": [1, 0], "2": 2}, {}, X[..., [1, 0]]),
        ("ArgMax", {"1": 2}, {}, X.argmax(2)),
        ("Cast", {}, {"DstT": {"type": "DT_INT32"}}, X.astype(int)),
        ("LeakyRelu", {}, {"alpha": {"f": 0.3}}, X),
        ("Relu", {}, {}, X),
    )
    def test_ops_of_one_tensor(self, op, constants, attributes, wanted):
        if op == "Pad":
            wanted = np.pad(X, [(0, 0), (1, 0), (0, 2)])
        got = node(op, X, constants=constants, **attributes)
        np.testing.assert_allclose(got, wanted, rtol=1e-5)

    def test_ops_with_attributes(self):
        squeezed = node(
            "Squeeze", X[:, :1], squeeze_dims={"list": {"i": ["1"]}}
        )
        np.testing.assert_array_equal(squeezed, X[:, 0])
        mode = base64.b64encode(b"SYMMETRIC").decode()
        padded = node(
            "MirrorPad",
            X,
            constants={"1": [[0, 0], [1, 1], [0, 0]]},
            mode={"s": mode},
        )
        wanted = np.pad(X, [(0, 0), (1, 1), (0, 0)], mode="symmetric")
        np.testing.assert_array_equal(padded, wanted)
        parts = node("SplitV", X, constants={"1": [1, 2], "2": 2})
        np.testing.assert_array_equal(parts[0], X[..., :1])
        np.testing.assert_array_equal(parts[1], X[..., 1:])
        first, *rest = node("Unpack", X, num={"i": "4"}, axis={"i": "1"})
        np.testing.assert_array_equal(first, X[:, 0])
        self.assertLen(rest, 3)
        with self.assertRaisesRegex(ValueError, "half_pixel_centers=False"):
            node("ResizeBilinear", X[..., None], constants={"1": [2, 2]})


if __name__ == "__main__":
    absltest.main()
