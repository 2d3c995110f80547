import hypothesis
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from hypothesis import strategies as st

from tfprune.costs import counting
from tfprune.selection import budget as budget_lib
from tfprune.selection import select
from tfprune_test import graphs

# Inputs 0-1, layer a 2-5, layer b 6-11, output 12-13.
GRAPH = graphs.chain(2, 4, 6, 2)
SCORES = np.array([0, 0, 4, 1, 3, 2, 60, 10, 50, 20, 40, 30, 0, 0.0])


def kept(keep):
    return np.flatnonzero(keep).tolist()


class ByRatioTest(parameterized.TestCase):
    def test_the_lowest_of_each_group_go(self):
        keep = select.by_ratio(GRAPH, SCORES, 0.5)
        self.assertEqual(kept(keep), [0, 1, 2, 4, 6, 8, 10, 12, 13])

    def test_equal_scores_go_by_index(self):
        keep = select.by_ratio(GRAPH, np.ones(14), 0.5)
        self.assertEqual(kept(keep), [0, 1, 4, 5, 9, 10, 11, 12, 13])

    @parameterized.parameters(
        (10, 0.1, 9), (64, 0.1, 57), (16, 0.1, 14), (30, 0.3, 21), (3, 0.99, 1)
    )
    def test_as_many_stay_as_li_counts(self, width, ratio, count):
        graph = graphs.chain(2, width, 2)
        keep = select.by_ratio(graph, np.ones(graph.size), ratio)
        self.assertEqual(int(keep.sum()) - 4, count)

    def test_each_group_by_its_pattern(self):
        keep = select.by_ratio(GRAPH, SCORES, {"b": 0.5, "*": 0.25})
        self.assertEqual(kept(keep), [0, 1, 2, 4, 5, 6, 8, 10, 12, 13])
        keep = select.by_ratio(GRAPH, SCORES, {"[b-z]": 0.5})
        self.assertEqual(kept(keep), [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 13])

    def test_groups_keep_at_least_so_many(self):
        keep = select.by_ratio(GRAPH, SCORES, 0.9, min_channels=5)
        self.assertEqual(
            kept(keep), [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13]
        )

    def test_groups_keep_a_multiple(self):
        keep = select.by_ratio(GRAPH, SCORES, 0.5, channel_multiple=4)
        self.assertEqual(kept(keep), [0, 1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13])

    @parameterized.parameters(("a",), (("a",),), (["a", "a*"],), ("[!b]",))
    def test_skipped_layers_stay_whole(self, skip):
        keep = select.by_ratio(GRAPH, SCORES, 0.5, skip=skip)
        self.assertEqual(kept(keep), [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 13])

    @parameterized.parameters(-0.1, 1.0, 2, float("nan"), "0.5", None)
    def test_a_ratio_out_of_range(self, ratio):
        with self.assertRaisesRegex(ValueError, r"\[0, 1\). Received: ratio="):
            select.by_ratio(GRAPH, SCORES, ratio)

    def test_a_pattern_of_ratios_without_a_match(self):
        with self.assertRaisesRegex(
            ValueError, r"pattern of `ratio`.*\['z'\].*none of \['a', 'b'\]"
        ):
            select.by_ratio(GRAPH, SCORES, {"a": 0.5, "z": 0.5})

    def test_a_pattern_to_skip_without_a_match(self):
        with self.assertRaisesRegex(ValueError, r"pattern of `skip`.*\['z'\]"):
            select.by_ratio(GRAPH, SCORES, 0.5, skip=["a", "z"])

    @parameterized.parameters("min_channels", "channel_multiple")
    def test_counts_that_are_not_positive(self, name):
        for value in (0, -1, 1.5, None):
            with self.assertRaisesRegex(ValueError, f"`{name}` must be"):
                select.by_ratio(GRAPH, SCORES, 0.5, **{name: value})


class ByBudgetTest(parameterized.TestCase):
    def test_channels_across_groups(self):
        # Divided by the mean of the group (2.5 and 35) they rank
        # 3 (0.4), 7 (0.29): 7, 3, 9, 5, 11, 10, 4, 8, 2, 6.
        for count, gone in ((9, {7}), (7, {7, 3, 9}), (6, {7, 3, 9, 5})):
            budget = budget_lib.Budget(channels=count)
            keep = select.by_budget(GRAPH, SCORES, budget)
            self.assertEqual(set(kept(~keep)), gone)

    def test_groups_keep_multiples_for_its_target(self):
        graph = graphs.chain(2, 12, 10, 2)
        budget = budget_lib.Budget(channels=17, target="cortex-m4")
        keep = select.by_budget(graph, np.ones(26), budget, "group")
        self.assertEqual(
            [int(keep[g.labels].sum()) for g in graph.groups][1:3], [8, 8]
        )
        keep = select.by_budget(
            graph, np.ones(26), budget, "group", channel_multiple=1
        )
        self.assertEqual(int(keep[2:24].sum()), 17)

    def test_channels_across_groups_as_they_are(self):
        budget = budget_lib.Budget(channels=5)
        keep = select.by_budget(GRAPH, SCORES, budget, "raw")
        self.assertEqual(kept(~keep), [3, 4, 5, 7, 9])

    def test_the_same_share_of_each_group(self):
        budget = budget_lib.Budget(channels=5)
        keep = select.by_budget(GRAPH, SCORES, budget, "group")
        self.assertEqual(kept(~keep), [3, 5, 7, 9, 11])

    def test_it_removes_no_more_than_it_must(self):
        # 2*4 + 4*6 + 6*2 = 44 MACs; without channel 7: 38; without 3: 31.
        for macs, removed in ((44, 0), (43, 1), (38, 1), (37, 2), (30, 3)):
            keep = select.by_budget(GRAPH, SCORES, budget_lib.Budget(macs=macs))
            self.assertEqual(int((~keep).sum()), removed)

    def test_several_limits_hold_together(self):
        budget = budget_lib.Budget(macs=0.9, channels=0.5, params=43)
        keep = select.by_budget(GRAPH, SCORES, budget)
        cost = counting.Meter(GRAPH).cost(keep)
        self.assertEqual(cost.channels, 5)
        self.assertLessEqual(cost.macs, 0.9 * 44)

    def test_peak_memory(self):
        dense = counting.Meter(GRAPH).peak_bytes()
        self.assertEqual(dense, 4 * (4 + 6))
        budget = budget_lib.Budget(peak_bytes=0.5)
        keep = select.by_budget(GRAPH, SCORES, budget)
        self.assertLessEqual(counting.Meter(GRAPH).peak_bytes(keep), dense // 2)

    def test_nothing_goes_from_a_wide_budget(self):
        keep = select.by_budget(GRAPH, SCORES, budget_lib.Budget(macs=1.0))
        self.assertTrue(keep.all())

    def test_a_budget_out_of_reach_says_how_close_one_gets(self):
        with self.assertRaisesRegex(
            ValueError,
            r"within reach.*macs=3.*allows \{'macs': 3\}.*has \{'macs': 5\}",
        ):
            select.by_budget(GRAPH, SCORES, budget_lib.Budget(macs=3))

    def test_skipped_layers_are_out_of_reach(self):
        budget = budget_lib.Budget(channels=5)
        keep = select.by_budget(GRAPH, SCORES, budget, skip="a")
        self.assertEqual(kept(~keep), [7, 8, 9, 10, 11])
        with self.assertRaisesRegex(ValueError, "skip fewer layers"):
            select.by_budget(
                GRAPH, SCORES, budget_lib.Budget(channels=4), skip="a"
            )

    def test_an_unknown_ranking(self):
        with self.assertRaisesRegex(
            ValueError, r"\['global', 'group', 'raw'\]. Received: ranking='x'"
        ):
            select.by_budget(GRAPH, SCORES, budget_lib.Budget(macs=1.0), "x")

    @hypothesis.given(
        widths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
        share=st.floats(0.2, 1.0),
        ranking=st.sampled_from(["global", "group", "raw"]),
        levels=st.integers(1, 4),
        data=st.data(),
    )
    @hypothesis.settings(max_examples=60)
    def test_the_count_asked_for_is_met(
        self, widths, share, ranking, levels, data
    ):
        graph = graphs.chain(2, *widths, 2)
        ranks = data.draw(
            st.lists(
                st.integers(0, levels),
                min_size=graph.size,
                max_size=graph.size,
            )
        )
        scores = np.array(ranks, float)
        count = max(int(share * sum(widths)), len(widths))
        budget = budget_lib.Budget(channels=count)
        keep = select.by_budget(graph, scores, budget, ranking)
        found = counting.Meter(graph).channels(keep)
        if ranking == "group":
            self.assertLessEqual(found, count)
        else:
            self.assertEqual(found, count)
        for group in graph.groups:
            gone, stays = group.labels[~keep[group.labels]], keep[group.labels]
            self.assertTrue(stays.any())
            if gone.size and stays.sum() > 1:
                least = scores[group.labels[stays]].min()
                self.assertLessEqual(scores[gone].max(), least)


if __name__ == "__main__":
    absltest.main()
