import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune_test import exactness
from tfprune_test import models

OPS = keras.ops
ONE_TO_SIX = np.arange(1.0, 7.0)


class ReductionsTest(exactness.ExactnessTestCase):
    @parameterized.parameters(
        lambda x: OPS.logsumexp(x, axis=1),
        lambda x: OPS.nansum(x, axis=1),
        lambda x: OPS.ptp(x, axis=1),
        lambda x: OPS.cast(OPS.argmax(x, axis=1), "float32"),
        lambda x: OPS.cast(OPS.count_nonzero(x, axis=1), "float32"),
        lambda x: OPS.cast(OPS.any(x > 0, axis=1), "float32"),
        lambda x: OPS.cast(OPS.all(x > 0, axis=2), "float32"),
        lambda x: OPS.norm(x, axis=1),
        lambda x: OPS.median(x, axis=2),
        lambda x: OPS.average(x, axis=1),
        lambda x: OPS.average(x, axis=-2, weights=ONE_TO_SIX),
        lambda x: OPS.average(x, axis=1, weights=OPS.exp(x)),
        lambda x: OPS.quantile(x, 0.3, axis=1),
        lambda x: OPS.percentile(x, 50.0, axis=(1, 2), keepdims=True),
        lambda x: OPS.trapezoid(x, axis=1),
        lambda x: OPS.cast(OPS.nanargmax(x, axis=1), "float32"),
        lambda x: OPS.trace(x, axis1=1, axis2=2)[:, None],
        lambda x: OPS.swapaxes(OPS.diagonal(x, 0, 1, 2), 1, 2),
        lambda x: OPS.add(*OPS.moments(x, axes=[1])),
        lambda x: OPS.divide(*OPS.moments(x, axes=(1, 2), keepdims=True)),
        lambda x: (x - OPS.moments(x, [1, 2], keepdims=True)[0]) * 2.0,
    )
    def test_channels_pass(self, body):
        found = self.assert_exact(models.around(body), silence=0.3)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 4)


if __name__ == "__main__":
    absltest.main()
