"""Losses and metrics are told by class, settings and code."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.pipeline.request import fingerprints

losses, metrics = keras.losses, keras.metrics


def _own(power):
    class Own(keras.losses.Loss):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor
            self.seen = []

        def call(self, y, outputs):
            self.seen.append(y.shape)
            return self.factor * (y - outputs) ** power

    return Own


class _Weighed(keras.losses.Loss):
    def __init__(self, weights):
        super().__init__()
        self._weights = weights

    def call(self, y, outputs):
        return self._weights * (y - outputs)

    def get_config(self):
        return {**super().get_config(), "weights": self._weights}


class FingerprintsTest(parameterized.TestCase):
    @parameterized.named_parameters(
        (
            "setting of a loss",
            losses.SparseCategoricalCrossentropy(),
            losses.SparseCategoricalCrossentropy(ignore_class=0),
        ),
        (
            "metric of the same name",
            metrics.SparseTopKCategoricalAccuracy(2, name="accuracy"),
            metrics.SparseTopKCategoricalAccuracy(3, name="accuracy"),
        ),
        ("losses by output", {"a": "mse", "b": "mae"}, {"a": "mse"}),
        ("weights", [1, 0.5], [1, 0.25]),
        ("functions", lambda y, p: y - p, lambda y, p: y + p),
        ("setting of an own loss", _own(2)(1.0), _own(2)(2.0)),
        ("weights of an own loss", _own(2)([1.0, 5.0]), _own(2)([1.0, 9.0])),
        (
            "tensor of an own loss",
            _own(2)(keras.ops.convert_to_tensor([1.0, 5.0])),
            _own(2)(keras.ops.convert_to_tensor([1.0, 9.0])),
        ),
        (
            "tensor in a config",
            *(
                _Weighed(keras.ops.convert_to_tensor([1.0, each]))
                for each in (5.0, 9.0)
            ),
        ),
        ("setting in the class", _own(2)(1.0), _own(3)(1.0)),
        (
            "function of a metric",
            metrics.MeanMetricWrapper(lambda y, p: y - p, "own"),
            metrics.MeanMetricWrapper(lambda y, p: y + p, "own"),
        ),
    )
    def test_differ_in_a(self, one, other):
        self.assertNotEqual(fingerprints.of(one), fingerprints.of(other))

    def test_the_same_made_anew_is_the_same(self):
        def made():
            return [
                {"a": metrics.AUC(50), "b": [metrics.Recall(), "accuracy"]},
                losses.Huber(0.3),
                _own(2)(1.0),
                losses.CategoricalCrossentropy(label_smoothing=0.1),
            ]

        self.assertEqual(*(fingerprints.of(made()) for _ in range(2)))

    def test_a_number_of_numpy_is_that_number(self):
        one, other = ([0.5, {"a": 2}], [np.float64(0.5), {"a": np.int64(2)}])
        self.assertEqual(fingerprints.of(one), fingerprints.of(other))

    def test_a_loss_that_was_computed_is_the_same(self):
        loss = _own(2)(2.0)
        told = fingerprints.of(loss)
        loss(np.ones((3, 2)), np.zeros((3, 2)))
        self.assertLen(loss.seen, 1)
        self.assertEqual(told, fingerprints.of(loss))


if __name__ == "__main__":
    absltest.main()
