import keras
import numpy as np
from absl.testing import absltest

import tfprune
from tfprune.selection import cut as cut_lib
from tfprune_test import graphs

# The sums of its columns are 5, 7 and 9.
KERNEL = np.array([[1, -2, 3], [-4, 5, -6]], "float32")


def graph(reader=None):
    """Input 0-1, layer a 2-4, output 5-6."""
    sketch = graphs.Sketch(2)
    x = sketch.dense("a", sketch.input, 3, KERNEL)
    made = sketch.done(sketch.dense("b", x, 2, reader))
    made.model.name = "net"
    return made


class Swapped(tfprune.criteria.Criterion):
    """Scores by number, then takes the first channel for the last one."""

    def scores(self, graph, data=None):
        return np.arange(graph.size, dtype=float) * data

    def refine(self, graph, keep):
        keep = keep.copy()
        keep[[2, 4]] = keep[[4, 2]]
        return keep


class CutTest(absltest.TestCase):
    def test_the_whole_model_stays(self):
        cut = cut_lib.Cut.whole(graph())
        self.assertEqual(cut.keep.tolist(), [True] * 7)
        self.assertEqual(cut.changes, {})

    def test_changes_add_up_and_the_later_one_counts(self):
        first = cut_lib.Cut.whole(graph()).changed({1: "a", 2: "b"})
        second = first.changed({2: "c", 3: "d"})
        self.assertEqual(second.changes, {1: "a", 2: "c", 3: "d"})
        self.assertEqual(first.changes, {1: "a", 2: "b"})
        self.assertIs(second.graph, first.graph)
        self.assertIs(second.keep, first.keep)

    def test_what_reads_a_removed_channel_reads_zero(self):
        kernel = keras.Variable([[1.0, 2], [3, 4], [5, 6]])
        read = graph(kernel)
        keep = np.ones(7, bool)
        cut = cut_lib.Cut(read, keep)
        self.assertIs(cut.zero_reads(kernel), kernel.value)
        keep[[3, 5]] = False  # Of 5, which it writes, nothing becomes zero.
        zeroed = cut.zero_reads(kernel)
        self.assertEqual(zeroed.tolist(), [[1, 2], [0, 0], [5, 6]])
        kept = keras.ops.convert_to_numpy(kernel)
        self.assertEqual(kept.tolist(), [[1, 2], [3, 4], [5, 6]])

    def test_half_precision_stays_half(self):
        kernel = keras.Variable(np.ones((3, 2)), dtype="float16")
        keep = np.array([1, 1, 0, 1, 1, 1, 1], bool)
        zeroed = cut_lib.Cut(graph(kernel), keep).zero_reads(kernel)
        self.assertEqual(zeroed.dtype, "float16")
        self.assertEqual(zeroed.tolist(), [[0, 0], [1, 1], [1, 1]])

    def test_its_table_has_the_share_of_each_group_that_may_go(self):
        cut = cut_lib.choose(graph(), ratio=0.5)
        (table,) = cut.tables()
        self.assertEqual(table.header, ("net", "channels", "stay", "share"))
        (row,) = table.rows
        self.assertEqual([str(cell) for cell in row], ["a", "3", "1", "33.3 %"])


class ChooseTest(absltest.TestCase):
    def test_by_ratio(self):
        cut = cut_lib.choose(graph(), ratio=0.5)
        self.assertEqual(np.flatnonzero(~cut.keep).tolist(), [2, 3])
        self.assertEqual(cut.changes, {})

    def test_by_budget(self):
        # 2*3 + 3*2 MACs; 8 are those of two channels.
        cut = cut_lib.choose(graph(), macs=8)
        self.assertEqual(np.flatnonzero(~cut.keep).tolist(), [2])

    def test_the_criterion_has_the_last_word(self):
        cut = cut_lib.choose(graph(), ratio=0.5, criterion=Swapped(), data=1)
        self.assertEqual(np.flatnonzero(~cut.keep).tolist(), [3, 4])

    def test_the_normalization_of_the_criterion_unless_one_is_given(self):
        # Layer a has the scores 10, 11, layer b 1, 1, 1, 9: over their means
        # b loses channels first, over nothing as well, over the sums of
        # larger scores (LAMP) a loses one before all of b is gone.
        class Scores(tfprune.criteria.Criterion):
            normalize = "lamp"

            def scores(self, graph, data=None):
                return np.array([0, 10, 11, 1, 1, 1, 9, 0.0])

        net = graphs.chain(1, 2, 4, 1)
        # LAMP: a 10/21, 1; b 1/12 thrice, 1. Mean: a .95, 1.05; b 1/3, 3.
        for normalize, count, gone in (
            (None, 2, {1, 3, 4, 5}),
            ("mean", 3, {3, 4, 5}),
            ("mean", 2, {1, 3, 4, 5}),
            ("none", 2, {3, 4, 5, 1}),
            ("max", 2, {3, 4, 5, 1}),
        ):
            cut = cut_lib.choose(
                net, channels=count, criterion=Scores(), normalize=normalize
            )
            self.assertEqual(set(np.flatnonzero(~cut.keep)), gone)

    def test_options_reach_the_selection(self):
        cut = cut_lib.choose(graph(), ratio=0.5, min_channels=3)
        self.assertTrue(cut.keep.all())
        with self.assertRaisesRegex(ValueError, "none of"):
            cut_lib.choose(graph(), ratio=0.5, skip="z")


if __name__ == "__main__":
    absltest.main()
