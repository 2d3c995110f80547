"""The networks of `keras.applications`, masked at random and stripped."""

import time

import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune_test import exactness
from tfprune_test import networks

# The one that takes but a few seconds.
QUICK = "MobileNetV3Small"


class ApplicationsTest(exactness.ExactnessTestCase):
    def test_strip_is_exact(self):
        self.check(QUICK)

    @parameterized.parameters(*sorted({*networks.APPLICATIONS} - {QUICK}))
    @pytest.mark.slow
    def test_strip_of_a_larger_one_is_exact(self, name):
        self.check(name)

    def check(self, name):
        model = networks.application(name)
        start = time.process_time()
        found = self.assert_exact(model, rate=0.5, silence=0.1)
        graph = found.graph
        print(
            f"{name}: {int(graph.removable.sum())} of {graph.size} channels "
            f"are removable; {found.removed} removed, {model.count_params()} "
            f"-> {found.small.count_params()} parameters, outputs within "
            f"{found.error:.1e}, {time.process_time() - start:.1f} s"
        )
        self.assertEqual(graph.unknown, {})


if __name__ == "__main__":
    absltest.main()
