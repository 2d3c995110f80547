import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs import memory
from tfprune.graph import read
from tfprune.graph import tensor
from tfprune.selection import peak_cut
from tfprune_test import graphs

LAYERS = keras.layers


def alive(graph):
    """Elements alive at each step, the input's arrival first."""
    keep = np.ones(graph.size, bool)
    return (memory.plan(graph).loads(keep) // 4).tolist()


class PlanTest(absltest.TestCase):
    def test_a_chain_holds_input_and_output_of_each_step(self):
        graph = graphs.chain(2, 4, 6, 3)
        self.assertEqual(alive(graph), [2, 6, 10, 9])

    def test_a_residual_keeps_its_shortcut(self):
        sketch = graphs.Sketch(2)
        a = sketch.dense("a", sketch.input, 4)
        c = sketch.dense("c", sketch.dense("b", a, 5), 4)
        graph = sketch.done(sketch.add("sum", c, a))
        # a; a and b; a, b and c; a, c and their sum.
        self.assertEqual(alive(graph), [2, 6, 9, 13, 12])

    def test_work_in_place_needs_no_buffer(self):
        sketch = graphs.Sketch(2)
        x = sketch.scale("norm", sketch.dense("a", sketch.input, 4))
        graph = sketch.done(sketch.dense("b", x, 3))
        self.assertEqual(alive(graph), [2, 6, 4, 7])

    def test_work_in_place_spares_what_is_used_later(self):
        sketch = graphs.Sketch(2)
        a = sketch.dense("a", sketch.input, 4)
        graph = sketch.done(sketch.add("sum", sketch.scale("norm", a), a))
        self.assertEqual(alive(graph), [2, 6, 8, 12])

    def test_a_view_shares_the_buffer_whoever_uses_it(self):
        sketch = graphs.Sketch(2)
        a = sketch.dense("a", sketch.input, 4)
        view = sketch.scale("reshape", a, memory="view")
        graph = sketch.done(sketch.add("sum", view, a))
        self.assertEqual(alive(graph), [2, 6, 4, 8])

    def test_outputs_live_to_the_end(self):
        sketch = graphs.Sketch(2)
        a = sketch.dense("a", sketch.input, 4)
        b = sketch.dense("b", sketch.input, 5)
        graph = sketch.done(a, sketch.dense("c", b, 3))
        self.assertEqual(alive(graph), [2, 6, 11, 12])

    def test_an_unused_output_lives_for_its_step(self):
        sketch = graphs.Sketch(2)
        sketch.dense("a", sketch.input, 9)
        graph = sketch.done(sketch.dense("b", sketch.input, 3))
        self.assertEqual(alive(graph), [2, 11, 5])

    def test_the_peak_under_a_keep_vector(self):
        graph = graphs.chain(2, 4, 6, 3)
        keep = np.ones(graph.size, bool)
        keep[6:11] = False  # one channel of b stays
        plan = memory.plan(graph)
        self.assertEqual(plan.loads(keep).tolist(), [8, 24, 20, 16])
        self.assertEqual(plan.peak_bytes(keep), 24)
        fullest = peak_cut.buffers_at(plan, 1)
        shapes = [b.tensors[0].shape[-1] for b in fullest]
        self.assertEqual(shapes, [2, 4])

    def test_a_model_with_a_branch(self):
        inputs = keras.Input((4, 4, 2))
        x = LAYERS.Conv2D(8, 1)(inputs)  # 128 elements
        y = LAYERS.ReLU()(LAYERS.Conv2D(8, 3, padding="same")(x))
        y = LAYERS.Flatten()(LAYERS.Add()([x, y]))
        graph = read.channel_graph(keras.Model(inputs, LAYERS.Dense(4)(y)))
        self.assertEqual(alive(graph), [32, 160, 256, 256, 384, 128, 132])


class BytesTest(parameterized.TestCase):
    @parameterized.parameters(
        ("float32", 4),
        ("float16", 2),
        ("bfloat16", 2),
        ("float8_e4m3fn", 1),
        ("int8", 1),
        ("bool", 1),
        ("int64", 8),
    )
    def test_sizes_of_elements(self, dtype, size):
        self.assertEqual(memory.itemsize(dtype), size)

    def test_a_tensor(self):
        labels = tensor.on_axis(np.arange(3), 4, 3)
        x = tensor.Tensor((None, 5, None, 3), labels, "float16")
        keep = np.array([True, False, True])
        self.assertEqual(memory.tensor_bytes(x, keep), 5 * 2 * 2)
        self.assertEqual(memory.kept_shape(x, keep), (None, 5, None, 2))


if __name__ == "__main__":
    absltest.main()
