import hypothesis
from absl.testing import absltest
from hypothesis import strategies as st

from tfprune_test import exactness
from tfprune_test import random_models


class Drawn:
    """Draws through hypothesis."""

    def __init__(self, data):
        self._data = data

    def integer(self, low, high):
        return self._data.draw(st.integers(low, high))


class FuzzTest(absltest.TestCase):
    @hypothesis.given(st.data())
    @hypothesis.settings(
        # A fifth: a model takes as long as a hundred small examples.
        max_examples=hypothesis.settings().max_examples // 5,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def test_a_strip_is_exact_and_complete(self, data):
        graph, masked, keep = random_models.sparse_model(Drawn(data))
        found = exactness.strip_sparse(graph, masked, keep)
        self.assertEmpty(exactness.faults(found))


if __name__ == "__main__":
    absltest.main()
