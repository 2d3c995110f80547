"""Losses and metrics are told by class, settings and code."""

import keras
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.pipeline.request import fingerprints

losses, metrics = keras.losses, keras.metrics


def _own(power):
    class Own(keras.losses.Loss):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def call(self, y, outputs):
            return self.factor * (y - outputs) ** power

    return Own


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


if __name__ == "__main__":
    absltest.main()
