import copy

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.selection import candidates as candidates_lib
from tfprune_test import graphs

# Inputs 0-1, layer a 2-5, layer b 6-11, output 12-13.
GRAPH = graphs.chain(2, 4, 6, 2)
SCORES = np.array([0, 0, 4, 1, 3, 2, 60, 10, 50, 20, 40, 30, 0, 0.0])


def kept(keep):
    return np.flatnonzero(keep).tolist()


def names(groups):
    """Of those that may go: the input goes by the name of its reader."""
    return sorted(group.name for group in groups if not group.frozen)


class CandidatesTest(parameterized.TestCase):
    def test_the_lowest_score_comes_first_and_ties_by_index(self):
        scores = SCORES.copy()
        scores[[2, 5]] = 1
        found = candidates_lib.Candidates(GRAPH, scores)
        self.assertEqual(names(found.groups), ["a", "b"])
        self.assertEqual(
            [order.tolist() for order in found.order],
            [[2, 3, 5, 4], [7, 9, 11, 10, 8, 6]],
        )

    def test_a_channel_that_scores_infinity_is_no_candidate(self):
        scores = SCORES.copy()
        scores[[3, 7, 9]] = np.inf
        found = candidates_lib.Candidates(GRAPH, scores)
        self.assertEqual(found.order[0].tolist(), [5, 4, 2])
        # Those that stay anyhow are the one that has to.
        self.assertEqual(kept(found.keep([0, 0])), [0, 1, 3, 7, 9, 12, 13])
        self.assertEqual(kept(found.keep([1, 0])), [0, 1, 2, 3, 7, 9, 12, 13])

    def test_a_multiple_counts_those_that_stay_anyhow(self):
        scores = SCORES.copy()
        scores[[7, 9]] = np.inf
        found = candidates_lib.Candidates(GRAPH, scores, channel_multiple=4)
        # One more than the two is three, so four: the best two, 6 and 8.
        keep = found.keep([4, 1])
        self.assertEqual(kept(keep[6:12]), [0, 1, 2, 3])
        found = candidates_lib.Candidates(GRAPH, scores, min_channels=3)
        self.assertEqual(kept(found.keep([4, 0])[6:12]), [0, 1, 3])

    def test_the_counts_are_of_those_that_may_go(self):
        found = candidates_lib.Candidates(GRAPH, SCORES)
        self.assertEqual(kept(found.keep([3, 1])), [0, 1, 2, 4, 5, 6, 12, 13])

    def test_a_count_of_none_leaves_the_best(self):
        found = candidates_lib.Candidates(GRAPH, SCORES)
        self.assertEqual(kept(found.keep([0, 0])), [0, 1, 2, 6, 12, 13])

    def test_counts_go_up_to_the_multiple_of_a_target(self):
        found = candidates_lib.Candidates(GRAPH, SCORES, target="cortex-m")
        # 1 and 5 become 4 of 4 and 6 of 6, the second one for lack of 8.
        self.assertEqual(int(found.keep([1, 5]).sum()), 4 + 4 + 6)
        self.assertEqual(int(found.keep([1, 3]).sum()), 4 + 4 + 4)

    def test_a_graph_without_candidates(self):
        frozen = graphs.chain(2, 3)
        found = candidates_lib.Candidates(frozen, np.ones(5))
        self.assertEqual(found.order, [])
        self.assertTrue(found.keep([]).all())
        self.assertEqual(found.ranked([]).tolist(), [])
        frozen.model.name = "net"
        with self.assertRaisesRegex(
            ValueError,
            "model='net', which has none: a .2.: an input, by "
            "input; a .3.: its output, by model. print",
        ):
            found.counts_by_ratio(0.5)

    def test_a_rank_over_groups_gives_the_group_of_each_removal(self):
        found = candidates_lib.Candidates(GRAPH, SCORES)
        # In the order of `order`: a is 3, 5, 4, 2 and b 7, 9, 11, 10, 8, 6.
        values = [np.array([2, 3, 5, 6.0]), np.array([1, 3, 4, 7, 8, 9.0])]
        # The two threes: channel 5 of a before channel 9 of b.
        self.assertEqual(
            found.ranked(values).tolist(), [1, 0, 0, 1, 1, 0, 0, 1, 1, 1]
        )

    @parameterized.parameters(
        # 0.7 * 30 is 20.999... in floating point, 0.9 * 64 is 57.6.
        ((30,), 0.3, [21]),
        ((64,), 0.1, [57]),
        ((4, 6), 0.0, [4, 6]),
        ((4, 6), {"b": 0.5}, [4, 3]),
        ((4, 6), {"b": 0.5, "*": 0.25}, [3, 3]),
        ((4, 6), {"*": 0.25, "b": 0.5}, [3, 3]),
        ((4, 6), {"?": 0.5, "*": 0.25}, [2, 3]),
    )
    def test_counts_by_ratio(self, widths, ratio, expected):
        graph = graphs.chain(2, *widths, 2)
        found = candidates_lib.Candidates(graph, np.ones(graph.size))
        self.assertEqual(found.counts_by_ratio(ratio), expected)


class NamesTest(absltest.TestCase):
    def test_a_group_goes_by_the_name_of_each_of_its_writers(self):
        sketch = graphs.Sketch(2)
        first = sketch.dense("first", sketch.input, 3)
        second = sketch.dense("second", sketch.input, 3)
        total = sketch.add("total", first, second)
        graph = sketch.done(sketch.dense("out", total, 1))
        for pattern in ("first", "second", "sec*", "[f]irst"):
            self.assertEqual(
                names(candidates_lib.fits(graph, pattern)), ["first"]
            )
        self.assertEqual(candidates_lib.fits(graph, "total"), set())
        self.assertEqual(candidates_lib.fits(graph, "FIRST"), set())

    def test_a_name_goes_before_a_pattern(self):
        sketch = graphs.Sketch(2)
        x = sketch.dense("b[1]", sketch.input, 3)
        x = sketch.dense("b1", x, 3)
        graph = sketch.done(sketch.dense("out", x, 1))
        self.assertEqual(names(candidates_lib.fits(graph, "b[1]")), ["b[1]"])
        self.assertEqual(names(candidates_lib.fits(graph, "b?")), ["b1"])

    def test_what_is_no_pattern_is_told(self):
        for skip in (None, 3, ["a", None]):
            with self.assertRaisesRegex(ValueError, "list of these.*skip="):
                candidates_lib.skipped(GRAPH, skip)

    def test_several_patterns_to_skip(self):
        self.assertEqual(
            names(candidates_lib.skipped(GRAPH, ("a", "[b]"))), ["a", "b"]
        )
        self.assertEqual(candidates_lib.skipped(GRAPH, ()), set())


class RatiosTest(parameterized.TestCase):
    def test_a_ratio_that_removes_nothing_for_want_of_scores_says_so(self):
        graph = graphs.chain(2, 4, 6, 2)
        graph.model.name = "net"
        found = candidates_lib.Candidates(graph, np.full(14, np.inf))
        with self.assertWarnsRegex(UserWarning, "has a score.* not even a, b"):
            self.assertEqual(found.counts_by_ratio(0.5), [0, 0])
        self.assertEqual(found.counts_by_ratio(0), [0, 0])

    def test_one_ratio_is_for_all_groups(self):
        self.assertEqual(candidates_lib.checked_ratios(0.5), {"*": 0.5})
        self.assertEqual(candidates_lib.checked_ratios(0), {"*": 0})
        ratios = {"a": 0.1, "b": np.float32(0.5)}
        self.assertIs(candidates_lib.checked_ratios(ratios), ratios)

    @parameterized.parameters(True, 1, -0.5, float("nan"), None, 1j)
    def test_one_that_is_out_of_range_is_named(self, value):
        with self.assertRaisesRegex(
            ValueError, "Received: ratio=.* for 'b'. .* give a budget"
        ):
            candidates_lib.checked_ratios({"a": 0.5, "b": value})


class RestoredTest(absltest.TestCase):
    def test_frozen_channels_come_back(self):
        keep = candidates_lib.restored(GRAPH, np.zeros(14, bool))
        self.assertEqual(kept(keep), [0, 1, 2, 6, 12, 13])

    def test_the_best_one_comes_back(self):
        keep = candidates_lib.restored(GRAPH, np.zeros(14, bool), SCORES[::-1])
        self.assertEqual(kept(keep), [0, 1, 5, 7, 12, 13])

    def test_the_argument_is_not_changed(self):
        keep = np.zeros(14, bool)
        candidates_lib.restored(GRAPH, keep)
        self.assertFalse(keep.any())

    def test_an_axis_that_two_groups_share_keeps_one_of_both(self):
        # A reader sees a's and b's channels side by side, 2 to 4 and 5 to 6.
        sketch = graphs.Sketch(1)
        a = sketch.dense("a", sketch.input, 3)
        b = sketch.dense("b", sketch.input, 2)
        labels = np.concatenate([a.labels.ravel(), b.labels.ravel()])
        both = sketch.step("join", "Concatenate", (a, b), labels)
        graph = sketch.done(sketch.dense("out", both, 1))
        keep = candidates_lib.restored(
            graph, np.zeros(graph.size, bool), np.arange(graph.size)
        )
        # The input, the last channel of a and of b, and the output.
        self.assertEqual(kept(keep), [0, 3, 5, 6])

    def test_a_number_that_must_not_be_left_is_one_more(self):
        graph = copy.copy(GRAPH)
        graph.clashes = (
            ((np.arange(2, 6), 2), (np.arange(6, 8), 1)),
            ((np.arange(2, 6), 3),),
        )
        keep = np.ones(14, bool)
        keep[[2, 4, 5, 7]] = False
        found = candidates_lib.restored(graph, keep)
        self.assertTrue(np.array_equal(found, keep))
        keep[4] = True
        found = candidates_lib.restored(graph, keep, np.arange(14))
        self.assertTrue(found[7] and not found[[2, 5]].any())
        keep[3:6] = True
        found = candidates_lib.restored(graph, keep)
        self.assertTrue(found[2] and not found[7])


if __name__ == "__main__":
    absltest.main()
