"""Every network of the zoo, masked at random and stripped."""

import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune import zoo
from tfprune_test import exactness

QUICK = (
    ("autoencoder", {}),
    ("ds_cnn", {}),
    ("lenet5", {}),
    ("resnet8", {}),
)
LONG = (
    ("preact_resnet18", {"width": 8}),
    ("resnet20", {"shortcut": "B"}),
    *(
        (name, {"widen": 2} if name.startswith("wide") else {})
        for name in zoo.names()
        if (name, {}) not in QUICK
    ),
)


class ZooExactnessTest(exactness.ExactnessTestCase):
    @parameterized.parameters(*QUICK)
    def test_strip_is_exact(self, name, options):
        self.check(name, options)

    @parameterized.parameters(*LONG)
    @pytest.mark.slow
    def test_strip_of_a_larger_one_is_exact(self, name, options):
        self.check(name, options)

    def check(self, name, options):
        model = zoo.build(name, **options)
        found = self.assert_exact(model, rate=0.4, silence=0.1)
        self.assertEqual(found.graph.unknown, {})
        self.assertGreater(found.removed, 0)


if __name__ == "__main__":
    absltest.main()
