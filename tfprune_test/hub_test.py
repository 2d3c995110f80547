"""Backbones of KerasHub, masked at random and stripped; `make test-hub`."""

import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune_test import exactness
from tfprune_test import networks


@pytest.mark.skipif(not networks.HAS_HUB, reason="KerasHub is not installed")
class HubTest(exactness.ExactnessTestCase):
    @parameterized.parameters(*networks.BACKBONES)
    def test_strip_is_exact(self, name):
        model = networks.backbone(name)
        for silence in (0.0, 0.2):
            found = exactness.strip_masked(model, rate=0.4, silence=silence)
            self.assertLess(found.error, exactness.TOLERANCE)
            self.assertGreater(found.removed, 0)
            self.assertEqual(found.params, found.small.count_params())
        if name not in networks.TRANSFORMERS:
            self.assertEqual(found.graph.unknown, {})
            return
        widths, heads = kinds(found.graph)
        self.assertGreater(widths, 0)
        self.assertGreater(heads, 0)


def kinds(graph):
    """Removable channels of feed-forward layers, and of attention."""
    attention = np.zeros(graph.size, bool)
    for binding in graph.bindings:
        if any(x in binding.layer for x in ("attention", "attn", "mha")):
            if binding.role == "writes":
                attention[binding.labels] = True
    removable = graph.removable
    return int((removable & ~attention).sum()), int(
        (removable & attention).sum()
    )


if __name__ == "__main__":
    absltest.main()
