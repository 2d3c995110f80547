import numpy as np
from absl.testing import absltest

from tfprune.reports import strips
from tfprune_test import graphs


def residual():
    """Input 0-1, layer a 2-4, b 5-7 joined with a, output 8."""
    sketch = graphs.Sketch(2, positions=5)
    a = sketch.dense("a", sketch.input, 3)
    b = sketch.dense("b", a, 3)
    return sketch.done(sketch.dense("c", sketch.add("sum", a, b), 1))


class StripsTest(absltest.TestCase):
    def test_a_chain(self):
        # Input 0-1, layer a 2-5, layer b 6-11, output 12-13.
        graph = graphs.chain(2, 4, 6, 2, positions=5)
        keep = np.ones(14, bool)
        keep[[3, 6, 7]] = False
        a, b, c = strips.channel_strips(graph, keep)
        self.assertEqual((a.layer, b.layer, c.layer), ("a", "b", "c"))
        self.assertEqual(a.kept.tolist(), [True, False, True, True])
        self.assertEqual(b.kept.tolist(), [False] * 2 + [True] * 4)
        self.assertEqual(a.fixed.tolist(), [False] * 4)
        self.assertEqual(c.fixed.tolist(), [True] * 2)
        self.assertEqual((a.macs_before, a.macs_after), (40, 5 * 2 * 3))
        self.assertEqual((b.macs_before, b.macs_after), (120, 5 * 3 * 4))
        self.assertEqual(a.read_by, ("b",))
        self.assertEqual(c.read_by, ())
        self.assertEqual(c.reasons, ("its output (model)",))
        self.assertEqual(a.coupled, ())
        self.assertFalse(a.guessed)

    def test_by_default_all_channels_stay(self):
        for strip in strips.channel_strips(graphs.chain(2, 4, 2)):
            self.assertTrue(strip.kept.all())
            self.assertEqual(strip.macs_before, strip.macs_after)

    def test_layers_that_make_the_same_channels_are_coupled(self):
        graph = residual()
        a, b, c = strips.channel_strips(graph)
        self.assertEqual(a.coupled, ("b",))
        self.assertEqual(b.coupled, ("a",))
        self.assertEqual(c.coupled, ())
        self.assertEqual(a.read_by, ("b", "c"))
        self.assertEqual(b.read_by, ("b", "c"))
        keep = np.ones(graph.size, bool)
        keep[3] = False
        a, b, _ = strips.channel_strips(graph, keep)
        self.assertEqual(a.kept.tolist(), [True, False, True])
        self.assertEqual(b.kept.tolist(), [True, False, True])

    def test_one_guessed_channel_makes_the_layer_guessed(self):
        graph = graphs.chain(2, 4, 6, 2)
        guessed = np.zeros(14, bool)
        guessed[4] = True
        a, b, _ = strips.channel_strips(graph, guessed=guessed)
        self.assertTrue(a.guessed)
        self.assertFalse(b.guessed)

    def test_gates_that_write_the_same_channels_count_once(self):
        sketch = graphs.Sketch(2)
        kernel = np.ones((2, 6), "float32")
        state = sketch.records.store.fresh(3)
        sketch._bind("lstm", kernel, 0, sketch.input.labels.ravel(), "reads")
        sketch._bind("lstm", kernel, 1, np.tile(state, 2), "writes")
        x = sketch.step("lstm", "LSTM", (sketch.input,), state)
        graph = sketch.done(sketch.dense("out", x, 1))
        lstm, _ = strips.channel_strips(graph)
        self.assertLen(lstm.kept, 3)

    def test_keep_of_another_size(self):
        with self.assertRaisesRegex(ValueError, r"keep of shape \(3,\)"):
            strips.channel_strips(graphs.chain(2, 4, 2), np.ones(3, bool))


if __name__ == "__main__":
    absltest.main()
