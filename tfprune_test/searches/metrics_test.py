import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.searches import metrics


class MetricsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("neg_mean_absolute_error", [-1.5, 0]),
        ("neg_mean_squared_error", [-2.5, 0]),
    )
    def test_each_sample_has_its_mean_over_all_numbers(self, name, expected):
        outputs = {"a": np.array([[1.0], [2.0]]), "b": np.array([[3.0], [4.0]])}
        # Labels of shape (N,) belong to outputs of shape (N, 1).
        y = {"a": np.array([2.0, 2.0]), "b": np.array([5.0, 4.0])}
        found = metrics.of(name)(y, outputs)
        np.testing.assert_allclose(found, expected)

    def test_other_functions(self):
        self.assertIsNone(metrics.of(None))
        self.assertIs(metrics.of(np.mean), np.mean)
        self.assertIs(metrics.of("numpy:mean"), np.mean)

    @parameterized.product(
        name=("neg_mean_absolute_error", "neg_mean_squared_error"),
        y=(np.zeros(4), {"a": np.zeros(4)}),
    )
    def test_classes_are_no_numbers(self, name, y):
        outputs = np.zeros((4, 3))
        if isinstance(y, dict):
            outputs = {"a": outputs}
        with self.assertRaisesRegex(
            ValueError, r"Received: \(4,\) for outputs of shape \(4, 3\)"
        ):
            metrics.of(name)(y, outputs)

    @parameterized.parameters("luck", "numpy:luck", "nowhere:mean")
    def test_an_unknown_name_is_refused(self, name):
        with self.assertRaisesRegex(ValueError, f"neg_mean.*metric={name} "):
            metrics.of(name)


if __name__ == "__main__":
    absltest.main()
