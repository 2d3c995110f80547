import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs import counting
from tfprune.graph import read
from tfprune_test import graphs
from tfprune_test import models

LAYERS = keras.layers


def mask(graph, *gone):
    keep = np.ones(graph.size, bool)
    keep[list(gone)] = False
    return keep


class Longer(LAYERS.Layer):
    """Does not tell how long its output is."""

    def build(self, _):
        self.scale = self.add_weight(())

    def call(self, x):
        return self.scale * keras.ops.concatenate([x, x], 1)

    def compute_output_spec(self, x):
        return keras.KerasTensor((x.shape[0], None, x.shape[2]), x.dtype)


class MeterTest(parameterized.TestCase):
    def test_costs_of_a_chain(self):
        graph = graphs.chain(2, 4, 6, 2, positions=5)
        meter = counting.Meter(graph)
        cost = meter.cost()
        self.assertEqual(
            cost,
            counting.Cost(
                params=2 * 4 + 4 * 6 + 6 * 2,
                macs=5 * (2 * 4 + 4 * 6 + 6 * 2),
                channels=10,
                weight_bytes=4 * 44,
                peak_bytes=4 * 5 * (4 + 6),
                flash_bytes=cost.flash_bytes,
                ram_bytes=cost.ram_bytes,
                image_bytes=cost.image_bytes,
            ),
        )

    def test_costs_of_what_is_kept(self):
        graph = graphs.chain(2, 4, 6, 2, positions=5)
        keep = mask(graph, 2, 7, 8)  # 3 of 4, 4 of 6
        cost = counting.Meter(graph).cost(keep)
        self.assertEqual(cost.params, 2 * 3 + 3 * 4 + 4 * 2)
        self.assertEqual(cost.macs, 5 * cost.params)
        self.assertEqual(cost.channels, 7)
        self.assertEqual(cost.peak_bytes, 4 * 5 * (3 + 4))

    def test_one_number_at_a_time(self):
        graph = graphs.chain(2, 4, 6, 2)
        meter, keep = counting.Meter(graph), mask(graph, 3)
        cost = meter.cost(keep)
        self.assertEqual(meter.macs(keep), cost.macs)
        self.assertEqual(meter.params(keep), cost.params)
        self.assertEqual(meter.channels(keep), cost.channels)
        self.assertEqual(meter.peak_bytes(keep), cost.peak_bytes)

    def test_a_size_that_a_layer_does_not_tell(self):
        inputs = keras.Input((4, 3))
        x = LAYERS.Dense(2)(Longer(name="longer")(inputs))
        graph = read.channel_graph(keras.Model(inputs, x))
        with self.assertRaisesRegex(ValueError, "known size.*Longer 'longer'"):
            counting.check_sizes(graph)

    def test_a_batch_on_another_axis_is_no_unknown_size(self):
        inputs = keras.Input((4, 3))
        x = keras.ops.transpose(inputs, (1, 0, 2))
        x = LAYERS.Dense(2)(keras.ops.transpose(x, (1, 0, 2)))
        counting.check_sizes(read.channel_graph(keras.Model(inputs, x)))

    def test_steps_that_have_become_rows_of_the_batch(self):
        each = keras.Sequential(
            [
                keras.Input((8, 8, 2)),
                LAYERS.Conv2D(6, 3),
                LAYERS.GlobalAveragePooling2D(),
                LAYERS.Dense(4),
            ]
        )
        inputs = keras.Input((5, 8, 8, 2))
        outputs = LAYERS.TimeDistributed(each)(inputs)
        model = keras.Model(inputs, LAYERS.Dense(3)(outputs))
        cost = counting.cost(model)
        self.assertEqual(cost.macs, 5 * (6 * 6 * 3 * 3 * 2 * 6 + 6 * 4 + 4 * 3))
        self.assertEqual(cost.peak_bytes, 4 * 5 * (8 * 8 * 2 + 6 * 6 * 6))

    @parameterized.parameters(
        lambda x: keras.ops.reshape(x, (-1, 4)),
        lambda x: keras.ops.transpose(x, (1, 0, 2)),
        lambda x: keras.ops.swapaxes(x, 0, 1),
        lambda x: keras.ops.moveaxis(x, 0, 1),
    )
    def test_ops_that_put_steps_into_the_batch(self, op):
        inputs = keras.Input((5, 4))
        model = keras.Model(inputs, LAYERS.Dense(3)(op(inputs)))
        self.assertEqual(counting.cost(model).macs, 5 * 4 * 3)

    def test_joined_channels_count_everywhere(self):
        sketch = graphs.Sketch(2)
        a = sketch.dense("a", sketch.input, 3)
        b = sketch.dense("b", a, 3)
        graph = sketch.done(sketch.dense("c", sketch.add("sum", a, b), 1))
        keep = mask(graph, 2)
        self.assertEqual(counting.Meter(graph).cost().channels, 3)
        self.assertEqual(counting.Meter(graph).params(keep), 2 * 2 + 2 * 2 + 2)

    def test_rows_of_layers(self):
        graph = graphs.chain(2, 4, 3, positions=5)
        rows = counting.Meter(graph).by_layer(mask(graph, 2))
        self.assertEqual(
            rows,
            [
                counting.LayerCost("a", "Dense", (5, 3), 6, 30, 60),
                counting.LayerCost("b", "Dense", (5, 3), 9, 45, 60),
            ],
        )

    @parameterized.parameters(
        (np.ones(3, bool),), (np.ones(8),), ([True] * 7,), ([[True] * 8],)
    )
    def test_a_keep_vector_of_the_wrong_kind(self, keep):
        with self.assertRaisesRegex(ValueError, r"`keep` .*shape \(8,\)"):
            counting.Meter(graphs.chain(2, 4, 2)).cost(keep)


class CostTest(absltest.TestCase):
    def test_quantized_layers_multiply_as_before(self):
        inputs = keras.Input((6, 4))
        x = LAYERS.Dense(8)(inputs)
        for equation, shape in (
            ("abc,cde->abde", (None, 2, 3)),
            ("abcd,cde->abe", (None, 8)),
        ):
            x = LAYERS.EinsumDense(equation, shape)(x)
        model = keras.Model(inputs, x)
        before = counting.cost(model)
        for layer in model.layers[1:]:
            layer.quantize("int8")
        self.assertEqual(counting.cost(model).macs, before.macs)
        self.assertEqual(read.channel_graph(model).unknown, {})

    def test_layers_around_quantized_ones_are_named(self):
        inputs = keras.Input((6, 4))
        x = LAYERS.TimeDistributed(LAYERS.Dense(8), name="steps")(inputs)
        model = keras.Model(inputs, x)
        model.layers[1].layer.quantize("int8")
        unknown = read.channel_graph(model).unknown
        self.assertEqual(
            unknown, {"steps": "TimeDistributed, quantized to int8"}
        )

    def test_a_small_net_by_hand(self):
        model = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                LAYERS.Conv2D(4, 3, padding="same"),
                LAYERS.BatchNormalization(),
                LAYERS.ReLU(),
                LAYERS.MaxPooling2D(),
                LAYERS.DepthwiseConv2D(3, use_bias=False),
                LAYERS.Flatten(),
                LAYERS.Dense(10),
            ]
        )
        conv, norm, depthwise, dense = 27 * 4 + 4, 16, 36, 2 * 2 * 4 * 10 + 10
        cost = counting.cost(model)
        self.assertEqual(cost.params, conv + norm + depthwise + dense)
        self.assertEqual(cost.params, model.count_params())
        self.assertEqual(cost.macs, 64 * 27 * 4 + 4 * 9 * 4 + 16 * 10)
        self.assertEqual(cost.weight_bytes, 4 * cost.params)
        # The convolution's output and the pooled one, or the input.
        self.assertEqual(cost.peak_bytes, 4 * (64 * 4 + 64 * 3))

    def test_half_precision_takes_half_the_bytes(self):
        keras.config.set_dtype_policy("float16")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        model = models.around(LAYERS.Conv2D(6, 3))
        cost = counting.cost(model)
        self.assertEqual(cost.weight_bytes, 2 * cost.params)

    def test_shapes_have_no_batch_wherever_it_is(self):
        inputs = keras.Input((7, 5))
        x = keras.ops.transpose(inputs, (1, 0, 2))
        graph = read.channel_graph(keras.Model(inputs, x))
        (row,) = counting.Meter(graph).by_layer()
        self.assertEqual(row.output_shape, (7, 5))

    def test_shared_layers_weigh_once_and_work_twice(self):
        inputs = keras.Input((6, 6, 3))
        conv = LAYERS.Conv2D(3, 1, name="twice")
        model = keras.Model(inputs, conv(conv(inputs)))
        (row,) = counting.Meter(read.channel_graph(model)).by_layer()
        self.assertEqual((row.params, row.macs), (12, 2 * 36 * 9))

    def test_a_keep_vector(self):
        model = models.around(LAYERS.Conv2D(6, 3))
        graph = read.channel_graph(model)
        cost = counting.cost(model, graph.frozen)
        self.assertEqual(cost.channels, 0)

    def test_what_is_no_model_is_named(self):
        with self.assertRaisesRegex(TypeError, "keras.Model is required"):
            counting.cost("model.keras")


if __name__ == "__main__":
    absltest.main()
