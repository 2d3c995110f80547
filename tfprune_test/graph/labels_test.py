import hypothesis
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from hypothesis import strategies as st

from tfprune.graph import labels
from tfprune.graph import tensor


def walk(count, edges):
    """Smallest reachable node of each, by a search in plain Python."""
    near = {i: {i} for i in range(count)}
    for a, b in edges:
        near[a].add(b)
        near[b].add(a)
    smallest = []
    for start in range(count):
        seen, front = {start}, [start]
        while front:
            for i in near[front.pop()] - seen:
                seen.add(i)
                front.append(i)
        smallest.append(min(seen))
    return smallest


class LabelStoreTest(parameterized.TestCase):
    def test_fresh_labels_are_new(self):
        store = labels.LabelStore()
        self.assertEqual(store.fresh(3).tolist(), [0, 1, 2])
        self.assertEqual(store.fresh(0).tolist(), [])
        self.assertEqual(store.fresh(2).tolist(), [3, 4])
        self.assertEqual(store.roots().tolist(), [0, 1, 2, 3, 4])

    def test_joined_labels_have_the_smallest_as_root(self):
        store = labels.LabelStore()
        a, b, c = store.fresh(3), store.fresh(3), store.fresh(3)
        store.join(c, b)
        store.join(b[1:], a[:2])
        self.assertEqual(store.roots().tolist(), [0, 1, 2, 3, 0, 1, 3, 0, 1])

    def test_a_join_broadcasts(self):
        store = labels.LabelStore()
        store.fresh(6)
        store.join(np.array([[0], [3]]), np.array([[1, 2]]))
        self.assertEqual(store.roots().tolist(), [0, 0, 0, 0, 4, 5])

    def test_tied_labels_no_longer_differ_along_the_axis(self):
        store = labels.LabelStore()
        rows = store.fresh(6).reshape(2, 3)
        self.assertEqual(store.tie(rows, 0).tolist(), [[0, 1, 2]])
        self.assertEqual(store.roots().tolist(), [0, 1, 2, 0, 1, 2])
        self.assertEqual(store.tie(rows, 1).tolist(), [[0], [3]])
        self.assertEqual(store.roots().tolist(), [0] * 6)

    def test_reasons_keep_their_order(self):
        store = labels.LabelStore()
        store.fresh(3)
        store.freeze(np.array([[2, 1], [1, 1]]), "a", "why")
        store.freeze_first(np.array([0]), "b", "first")
        found = [(sorted({*x.tolist()}), *why) for x, *why in store.frozen]
        self.assertEqual(found, [([0], "b", "first"), ([1, 2], "a", "why")])


class ConnectedComponentsTest(absltest.TestCase):
    @hypothesis.given(
        st.integers(1, 40).flatmap(
            lambda n: st.tuples(
                st.just(n),
                st.lists(
                    st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)),
                    max_size=60,
                ),
            )
        )
    )
    def test_it_finds_what_a_search_finds(self, case):
        count, edges = case
        a, b = np.array(edges, int).reshape(-1, 2).T
        found = labels.connected_components(count, a, b)
        self.assertEqual(found.tolist(), walk(count, edges))

    def test_a_long_chain(self):
        n = 100_000
        order = np.random.default_rng(0).permutation(n)
        found = labels.connected_components(n, order[:-1], order[1:])
        self.assertFalse(found.any())


class ReshapeTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("merge", (None, 2, 2, 3), (None, 12), [[0, 1, 2] * 4]),
        ("split", (None, 6), (None, 2, 3), [[[0, 1, 2], [3, 4, 5]]]),
        ("rows", (None, 4, 4, 3), (None, 16, 3), [[[0, 1, 2]]]),
        ("rows_open", (None, None, 4, 3), (None, None, 3), [[[0, 1, 2]]]),
        ("new_axis", (None, 3), (None, 1, 1, 3), [[[[0, 1, 2]]]]),
        ("no_axis", (None, 1, 3), (None, 3), [[0, 1, 2]]),
        ("part", (None, 4, 2), (None, 2, 4), [[[0, 1, 0, 1]]]),
        ("break", (None, None, 6), (None, None, 2), None),
        ("open_merge", (None, None, 3), (None, None), None),
    )
    def test_labels_move_as_elements_do(self, shape, target, expected):
        size = shape[-1]
        array = tensor.on_axis(np.arange(size), len(shape), -1)
        found = labels.reshape(array, shape, target)
        found = None if found is None else found.tolist()
        self.assertEqual(found, expected)

    def test_labels_that_do_not_differ_pass_any_reshape(self):
        found = labels.reshape(np.array([[[7]]]), (None, None, 6), (None, 2))
        self.assertEqual(found.tolist(), [[7]])

    @hypothesis.given(st.data())
    def test_it_agrees_with_numpy(self, data):
        sizes = data.draw(st.lists(st.sampled_from([1, 2, 3, 4]), max_size=4))
        shape = (2, *sizes)
        total = int(np.prod(sizes))
        target, rest = [2], total
        while rest > 1:
            divisors = [n for n in range(2, rest + 1) if rest % n == 0]
            target.append(data.draw(st.sampled_from(divisors)))
            rest //= target[-1]
        target.insert(data.draw(st.integers(1, len(target))), 1)
        array = np.zeros((1,) + (1,) * len(sizes), int)
        for axis, n in enumerate(sizes, 1):
            if data.draw(st.booleans()):
                steps = tensor.on_axis(np.arange(n), len(shape), axis)
                array = array * 4 + steps
        found = labels.reshape(array, shape, tuple(target))
        expected = np.broadcast_to(array, shape).reshape(target)
        self.assertLen(found.shape, len(target))
        for n, m in zip(found.shape, target):
            self.assertIn(n, (1, m))
        np.testing.assert_array_equal(np.broadcast_to(found, target), expected)


if __name__ == "__main__":
    absltest.main()
