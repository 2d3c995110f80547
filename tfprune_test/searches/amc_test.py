"""The agent of AMC, by the published numbers and on games with an answer."""

import math
import types

import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.searches import amc

pytestmark = pytest.mark.any_backend

COST = types.SimpleNamespace(params=855_770, macs=62_964_352)


class RewardTest(parameterized.TestCase):
    @parameterized.parameters(
        ("error", -0.08),
        ("flops", -1.43665),  # -0.08 * ln 62,964,352
        ("params", -0.08 * math.log(855_770)),
    )
    def test_published_formulas(self, name, value):
        self.assertAlmostEqual(amc.reward(name, 0.92, COST), value, places=5)

    def test_an_unknown_name_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "Received: reward='speed'"):
            amc.reward("speed", 0.9, COST)


class ExplorationTest(absltest.TestCase):
    def test_the_width_decays_after_the_warm_up(self):
        settings = amc.Settings()
        self.assertEqual(settings.width(0), 0.5)
        self.assertEqual(settings.width(100), 0.5)
        self.assertAlmostEqual(settings.width(110), 0.29937, places=5)


if __name__ == "__main__":
    absltest.main()
