"""Every network of the zoo, masked at random and stripped."""

import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune import zoo
from tfprune_test import exactness

QUICK = (
    ("resnet20", {}),
    ("resnet20", {"shortcut": "B"}),
    ("plain20", {}),
    ("resnet8", {}),
    ("ds_cnn", {}),
    ("mobilenet_v1_025", {}),
    ("autoencoder", {}),
    ("vgg16", {}),
    ("preact_resnet18", {"width": 8}),
    ("mobilenet_v2", {}),
)
SLOW = tuple(
    (name, {"widen": 2} if name.startswith("wide") else {})
    for name in zoo.names()
    if name not in {name for name, _ in QUICK}
)


class ZooTest(exactness.ExactnessTestCase):
    @parameterized.parameters(*QUICK)
    def test_strip_is_exact(self, name, options):
        self.check(name, options)

    @parameterized.parameters(*SLOW)
    @pytest.mark.slow
    def test_strip_of_a_larger_one_is_exact(self, name, options):
        self.check(name, options)

    def check(self, name, options):
        model = zoo.build(name, **options)
        found = self.assert_exact(model, silence=0.1)
        graph = found.graph
        print(
            f"{name}: {int(graph.removable.sum())} of {graph.size} channels "
            f"are removable; {model.count_params()} -> "
            f"{found.small.count_params()} parameters"
        )


if __name__ == "__main__":
    absltest.main()
