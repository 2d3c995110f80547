import keras
import numpy as np
from absl.testing import absltest

from tfprune.costs import int8_file
from tfprune.costs import memory
from tfprune.graph import read
from tfprune.scoring import normalizers
from tfprune.scoring import rankings
from tfprune.selection import candidates as candidates_lib
from tfprune.selection import peak_cut
from tfprune_test import graphs


def cut(graph, limit, scores=None, counts=None, usage=None):
    """The channels that each group keeps."""
    scores = np.ones(graph.size) if scores is None else scores
    candidates = candidates_lib.Candidates(graph, scores)
    equal = normalizers.mean if usage is None else normalizers.none
    counts_at, most = rankings.order(candidates, "global", equal)
    counts = counts_at(0) if counts is None else counts
    usage = memory.plan(graph) if usage is None else usage
    return peak_cut.cut(candidates, counts, counts_at, most, usage, limit)


class CutTest(absltest.TestCase):
    def test_nothing_goes_where_everything_fits(self):
        # Four bytes for each of 4 + 6 channels.
        self.assertEqual(cut(graphs.chain(2, 4, 6, 2), 40), [4, 6])

    def test_channels_go_where_the_step_is_too_full(self):
        # Channels alive: 2, 2+3, 3+8, 8+8, 8+3, 3+2; twelve may be. Layers a
        # and d are not alive at the step with 16, so b loses 4, as equal
        # scores go by index.
        graph = graphs.chain(2, 3, 8, 8, 3, 2)
        self.assertEqual(cut(graph, 4 * 12), [3, 4, 8, 3])

    def test_then_comes_the_next_step_that_is_too_full(self):
        # Alive: 2, 2+7, 7+8, 8+8, 8+2; ten may be. First b and c, of which b
        # is left with 2; then a and b have 9.
        graph = graphs.chain(2, 7, 8, 8, 2)
        self.assertEqual(cut(graph, 4 * 10), [7, 2, 8])
        # Eight may be: all of b, of which its last channel stays, and one of
        # c; one of a beside the inputs; one more of c beside the outputs.
        self.assertEqual(cut(graph, 4 * 8), [6, 0, 6])

    def test_the_lowest_scores_go(self):
        graph = graphs.chain(2, 4, 6, 2)
        # Over the means of a, 2.5, and b, 35: channels 7, 3, 9, 5 are lowest.
        scores = np.array([0, 0, 4, 1, 3, 2, 60, 10, 50, 20, 40, 30, 0, 0.0])
        self.assertEqual(cut(graph, 4 * 9, scores), [4, 5])
        self.assertEqual(cut(graph, 4 * 8, scores), [3, 5])
        self.assertEqual(cut(graph, 4 * 6, scores), [2, 4])

    def test_what_other_limits_have_taken_stays_gone(self):
        graph = graphs.chain(2, 4, 6, 2)
        self.assertEqual(cut(graph, 40, counts=[1, 5]), [1, 5])
        self.assertEqual(cut(graph, 4 * 7, counts=[1, 6]), [1, 5])

    def test_of_steps_that_reach_equally_high_the_one_without_a_gap(self):
        # Layer b lies below a, also while only the inputs are beside a.
        graph = graphs.chain(2, 18, 34, 2, positions=64)
        usage, keep = int8_file.Int8File(graph), np.ones(graph.size, bool)
        loads = usage.loads(keep)
        self.assertEqual(loads[1], loads[2])
        scores = np.where(np.arange(graph.size) < 20, 2.0, 1.0)
        found = cut(graph, loads.max() - 64 * 4, scores, usage=usage)
        self.assertEqual(found, [18, 30])

    def test_a_step_that_cannot_fit_is_left_as_it_is(self):
        # The inputs alone need 8 bytes, and no channel of them may go.
        self.assertEqual(cut(graphs.chain(2, 4, 6, 2), 4), [4, 6])
        # Alive: 9, 9+1, 1+4, 4+1: the inputs with the last channel of a are
        # too many, the others can come to 3.
        graph = graphs.chain(9, 1, 4, 1)
        self.assertEqual(cut(graph, 4 * 3), [0, 2])


class OverTimeTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.graph = graphs.chain(2, 4, 6, 2, positions=5)
        self.usage = memory.plan(self.graph)
        self.keep = np.ones(14, bool)

    def test_each_step(self):
        steps = peak_cut.over_time(self.usage, self.keep, self.graph)
        put = ("the input", (5, 2), 40)
        a, b, c = ("a", (5, 4), 80), ("b", (5, 6), 120), ("c", (5, 2), 40)
        self.assertEqual(
            steps,
            [
                (40, "nothing", [put]),
                (120, "a", [put, a]),
                (200, "b", [a, b]),
                (160, "c", [b, c]),
            ],
        )

    def test_of_the_channels_that_stay(self):
        self.keep[[2, 3, 4, 6]] = False
        load, running, tensors = peak_cut.at_peak(
            self.usage, self.keep, self.graph
        )
        # 1 + 5 channels in b, 5 + 2 in c.
        self.assertEqual((load, running), (7 * 5 * 4, "c"))
        self.assertEqual(tensors, [("b", (5, 5)), ("c", (5, 2))])

    def test_in_words(self):
        graph = graphs.chain(1, 400, 4, positions=50)
        words = peak_cut.describe(memory.plan(graph), np.ones(405, bool), graph)
        self.assertEqual(
            words,
            "80,800 bytes while 'b' runs, outputs of a (50x400), b (50x4)",
        )

    def test_sizes_that_are_not_known(self):
        graph = graphs.chain(1, 4, 2, positions=None)
        words = peak_cut.describe(memory.plan(graph), np.ones(7, bool), graph)
        self.assertEqual(
            words, "24 bytes while 'b' runs, outputs of a (?x4), b (?x2)"
        )

    def test_what_a_kernel_holds_is_of_its_layer(self):
        inputs = keras.Input((4, 4, 2))
        layer = keras.layers.Conv2DTranspose(3, 2, strides=2, name="up")
        graph = read.channel_graph(keras.Model(inputs, layer(inputs)))
        usage, keep = int8_file.Int8File(graph), np.ones(5, bool)
        _, running, tensors = peak_cut.at_peak(usage, keep, graph)
        self.assertEqual(running, "up")
        sums = ("the kernel of up", (4 * 8 * 8 * 3,))  # in int32
        made = [("the input", (4, 4, 2)), ("up", (8, 8, 3)), sums]
        self.assertEqual(tensors, made)

    def test_which_groups_are_alive(self):
        candidates = candidates_lib.Candidates(self.graph, np.ones(14))
        alive = [
            peak_cut.alive_at(candidates, self.usage, step) for step in range(4)
        ]
        self.assertEqual(
            alive,
            [[False, False], [True, False], [True, True], [False, True]],
        )


if __name__ == "__main__":
    absltest.main()
