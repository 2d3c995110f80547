import types

import numpy as np
from absl.testing import absltest

from tfprune.graph import channel_graph
from tfprune.graph import findings

KERNEL, OTHER = np.ones((2, 3)), np.ones((2, 3))


def binding(labels, variable=KERNEL, axis=1):
    return channel_graph.Binding(
        "a", "kernel", variable, axis, np.asarray(labels), "writes"
    )


class RecordsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.records = findings.Records()
        self.records.store.fresh(12)

    def roots(self, *labels):
        return self.records.store.roots()[list(labels)].tolist()

    def test_an_axis_that_is_bound_again_joins_its_channels(self):
        self.records.bind(binding([0, 1, 2]))
        self.records.bind(binding([6, 7, 8]))
        self.assertLen(self.records.bindings, 1)
        self.assertEqual(self.roots(6, 7, 8, 9), [0, 1, 2, 9])

    def test_another_axis_or_variable_is_another_binding(self):
        self.records.bind(binding([0, 1, 2]))
        self.records.bind(binding([3, 4], axis=0))
        self.records.bind(binding([5, 6, 7], OTHER))
        self.assertLen(self.records.bindings, 3)
        self.assertEqual(self.roots(*range(8)), list(range(8)))

    def test_what_an_axis_is_bound_to(self):
        variable = types.SimpleNamespace(shape=(2, 3))
        self.records.bind(binding([0, 1, 2], variable))
        self.assertEqual(self.records.bound(variable, -1).tolist(), [0, 1, 2])
        self.assertIsNone(self.records.bound(variable, 0))
        self.assertIsNone(self.records.bound(None, 0))

    def test_a_factor_is_noted_once(self):
        for variable in (KERNEL, KERNEL, OTHER):
            self.records.factor(
                channel_graph.Factor(variable, np.arange(3), 0.5)
            )
        self.assertEqual(
            [f.variable is KERNEL for f in self.records.factors],
            [True, False],
        )

    def edit(self, labels, keys=("config", "units")):
        self.records.edit(channel_graph.Edit(keys, np.asarray(labels)), "a")

    def test_a_place_that_is_edited_again_joins_its_channels(self):
        self.edit([0, 1])
        self.edit([4, 5])
        self.edit([6, 7], ("config", "other"))
        self.assertLen(self.records.edits, 2)
        self.assertEqual(self.roots(4, 5, 6, 7), [0, 1, 6, 7])
        self.assertEqual(self.records.store.frozen, [])

    def test_places_of_one_array_join_what_they_are_among(self):
        for first in (0, 6):
            among = np.arange(first, first + 5)
            edit = channel_graph.Edit(("args",), among[[3, 1]], 0, among)
            self.records.edit(edit, "a")
        self.assertLen(self.records.edits, 1)
        self.assertEqual(self.roots(*range(6, 12)), [0, 1, 2, 3, 4, 11])
        other = channel_graph.Edit(("args",), np.array([3, 1]), 0, np.arange(4))
        self.records.edit(other, "a")
        frozen = [labels.tolist() for labels, *_ in self.records.store.frozen]
        self.assertEqual(frozen, [[0, 1, 2, 3, 4], [0, 1, 2, 3]])

    def test_calls_of_different_sizes_keep_all_channels(self):
        self.edit([0, 1])
        self.edit([4, 5, 6])
        frozen = [
            (labels.tolist(), layer, reason)
            for labels, layer, reason in self.records.store.frozen
        ]
        why = "calls of different sizes"
        self.assertEqual(frozen, [([0, 1], "a", why), ([4, 5, 6], "a", why)])
        self.assertEqual(self.roots(4, 5, 6), [4, 5, 6])

    def test_a_shared_layer_makes_its_channels_once(self):
        first = self.records.fresh(3, "layer")
        self.assertIs(self.records.fresh(3, "layer"), first)
        self.assertEqual(first.tolist(), [12, 13, 14])
        self.assertEqual(self.records.fresh(2, "other").tolist(), [15, 16])

    def test_what_meets_in_a_product_goes_another_way(self):
        self.records.ways = {"known": 1}
        self.choose([0, 1], "meets")
        self.choose([4, 5], "does not")
        self.choose([0, 1], "is not astray", "astray")
        # 8 meets, which is joined with 1.
        self.records.met = [np.array([8])]
        self.records.store.join(np.array([1]), np.array([8]))
        self.assertEqual(self.records.better_ways(), {"known": 1, "meets": 1})

    def test_a_way_of_which_all_channels_stay_gives_place(self):
        self.records.ways = {"partly": 1, "frozen": 1, "last": 2}
        self.choose([0, 1], "partly")
        self.choose([1, 2], "frozen")
        self.choose([1, 2], "last")
        self.records.store.freeze(np.array([1, 2]), "layer", "a reason")
        ways = {"partly": 1, "frozen": 2, "last": 2}
        self.assertEqual(self.records.better_ways(), ways)

    def test_the_first_way_is_taken_if_none_helps(self):
        self.records.ways = {"last": 2}
        self.choose([1, 2], "last")
        self.records.store.freeze(np.array([1, 2]), "layer", "a reason")
        self.records.ways = self.records.better_ways()
        self.assertEqual(self.records.ways, {"last": 3})
        self.assertEqual(self.records.better_ways(), {"last": 3})

    def test_the_arguments_are_copied(self):
        whole, ways = {1: "a"}, {"b": 1}
        records = findings.Records(whole, ways, allow_inexact=True)
        records.whole[2] = "c"
        records.ways["d"] = 1
        self.assertEqual((whole, ways), ({1: "a"}, {"b": 1}))

    def choose(self, labels, path, unless="met"):
        self.records.chosen.append((path, np.array(labels), 3, unless))


if __name__ == "__main__":
    absltest.main()
