import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.operations import ops

X = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]], "float32")
Y = np.array([[2.0, 1.0, 0.5], [1.0, 2.0, 3.0]], "float32")


def run(name, *args, **kwargs):
    found = ops.FUNCTIONS[name](*args, **kwargs)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, found)


class OpsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("__operators__.add", X + Y),
        ("math.subtract", X - Y),
        ("math.truediv", X / Y),
        ("math.squared_difference", (X - Y) ** 2),
        ("math.maximum", np.maximum(X, Y)),
    )
    def test_two_operands(self, name, expected):
        np.testing.assert_allclose(run(name, X, Y), expected, rtol=1e-6)

    @parameterized.parameters(
        ("math.abs", np.abs(X)),
        ("math.square", X**2),
        ("nn.relu6", np.clip(X, 0, 6)),
        ("identity", X),
    )
    def test_one_operand(self, name, expected):
        np.testing.assert_allclose(run(name, X), expected, rtol=1e-6)

    @parameterized.parameters(
        ({"axis": [0, 1]}, X.sum()),
        ({"axis": 1, "keepdims": True}, X.sum(1, keepdims=True)),
        ({}, X.sum()),
    )
    def test_reductions(self, kwargs, expected):
        found = run("math.reduce_sum", X, **kwargs)
        np.testing.assert_allclose(found, expected)

    @parameterized.parameters(
        # A number of parts, or the size of each.
        (3, [1, 1, 1]),
        ([2, 1], [2, 1]),
        ([1, 1, 1], [1, 1, 1]),
    )
    def test_split(self, how, widths):
        found = run("split", X, how, axis=1)
        self.assertEqual([part.shape[1] for part in found], widths)
        np.testing.assert_array_equal(np.concatenate(found, 1), X)

    @parameterized.product(a=(False, True), b=(False, True))
    def test_matmul(self, a, b):
        left, right = (X.T if a else X), (Y if b else Y.T)
        found = run("linalg.matmul", left, right, transpose_a=a, transpose_b=b)
        np.testing.assert_allclose(found, X @ Y.T, rtol=1e-6)

    def test_a_slice_as_it_is_written(self):
        spec = [
            {"start": None, "stop": None, "step": None},
            {"start": 1, "stop": None, "step": None},
        ]
        found = run("__operators__.getitem", X, spec)
        np.testing.assert_array_equal(found, X[:, 1:])
        found = run("__operators__.getitem", X, [spec[0], 2])
        np.testing.assert_array_equal(found, X[:, 2])

    def test_defaults_are_those_of_tensorflow(self):
        found = run("nn.leaky_relu", X)
        np.testing.assert_allclose(found, np.where(X > 0, X, 0.2 * X))
        found = run("nn.silu", X, beta=2.0)
        np.testing.assert_allclose(
            found, X / (1 + np.exp(-2 * X)), rtol=1e-5, atol=1e-7
        )
        found = run("clip_by_value", X, -1.0, 3.0)
        np.testing.assert_array_equal(found, np.clip(X, -1, 3))

    def test_a_resize_without_a_fixed_size_is_refused(self):
        with self.assertRaisesRegex(ValueError, "preserve_aspect_ratio=True"):
            run("image.resize", X, (4, 4), preserve_aspect_ratio=True)


if __name__ == "__main__":
    absltest.main()
