import collections

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.costs import core_steps
from tfprune.graph import read

LAYERS = keras.layers


def sizes(layers, shape=(8, 8, 3), keep=None):
    inputs = x = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    graph = read.channel_graph(keras.Model(inputs, x))
    keep = np.ones(graph.size, bool) if keep is None else keep(graph)
    return core_steps.sizes(graph, keep)


@keras.saving.register_keras_serializable("tfprune_test")
class Window(LAYERS.Layer):
    """A convolution whose config tells sizes by one number."""

    def __init__(self, filters, kernel_size=3, strides=1, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_size = filters, kernel_size
        self.strides = strides

    def build(self, shape):
        window = (self.kernel_size, self.kernel_size)
        self.kernel = self.add_weight(shape=(*window, shape[-1], self.filters))

    def call(self, x):
        return keras.ops.conv(x, self.kernel, self.strides, "same")

    def get_config(self):
        own = ("filters", "kernel_size", "strides")
        return super().get_config() | {
            name: getattr(self, name) for name in own
        }


@tfprune.rule("tfprune_test>Window")
def window(call):
    old, new = call.channels(axis=-1), call.fresh(call.config["filters"])
    call.bind("kernel", axis=2, labels=old, role="reads", input_axis=-1)
    call.bind("kernel", axis=3, labels=new, role="writes")
    call.count("filters", new)
    places = np.prod(call.output_shapes[0][1:3])
    call.multiply_adds(places * call.config["kernel_size"] ** 2, old, new)
    return call.spread(new)


def _places(sizes):
    """How many places convolutions have, by the channels that they read."""
    found = collections.Counter()
    for size in sizes:
        if size.kind == "CONV_2D":
            found[size.reads] += size.places
    return found


class SizesTest(parameterized.TestCase):
    def test_normalization_and_relu_are_part_of_a_convolution(self):
        found = sizes(
            [
                LAYERS.Conv2D(4, 3, 2, padding="same"),
                LAYERS.BatchNormalization(),
                LAYERS.ReLU(),
            ]
        )
        # 4 x 4 places, windows of 3 x 3.
        expected = core_steps.OpSize("CONV_2D", 16, 9, 3, 4, 4, columns=3)
        self.assertEqual(found, [expected])

    def test_one_number_tells_the_size_of_a_window(self):
        (found,) = sizes([Window(4, strides=2)])
        (expected,) = sizes([LAYERS.Conv2D(4, 3, 2, padding="same")])
        self.assertEqual(found, expected)
        inputs = keras.Input((8, 8, 3))
        model = keras.Model(inputs, Window(4)(inputs))
        self.assertEqual(tfprune.cost(model).macs, 64 * 9 * 3 * 4)

    def test_each_channel_as_a_group(self):
        def half(graph):
            return np.arange(graph.size) % 2 == 0

        layers = [LAYERS.Conv2D(8, 1), LAYERS.Conv2D(8, 3, groups=8)]
        *_, found = sizes(layers, keep=half)
        self.assertEqual((found.reads, found.writes), (1, 4))

    def test_channels_first_are_last_in_the_file(self):
        first = LAYERS.Conv2D(5, 3, 2, data_format="channels_first")
        last = LAYERS.Conv2D(5, 3, 2)
        before, *found, behind = sizes([first], (3, 9, 8))
        self.assertEqual(found, sizes([last], (9, 8, 3)))
        self.assertEqual({before.kind, behind.kind}, {"TRANSPOSE"})

    def test_shapes_that_differ_broadcast(self):
        inputs = keras.Input((8, 8, 3))
        gate = LAYERS.GlobalAveragePooling2D(keepdims=True)(inputs)
        x = LAYERS.Multiply()([inputs, gate])
        x = LAYERS.Add()([inputs, LAYERS.MaxPooling2D(1)(x)])
        x = LAYERS.Average()([LAYERS.MaxPooling2D(1)(x), x])
        x = LAYERS.BatchNormalization()(LAYERS.MaxPooling2D(1)(x))
        graph = read.channel_graph(keras.Model(inputs, x))
        found = [
            (size.kind, size.broadcast)
            for size in core_steps.sizes(graph, np.ones(graph.size, bool))
            if size.kind in ("MUL", "ADD")
        ]
        expected = [("MUL", True), ("ADD", False)]
        # The mean of two, times one half; then a scale and an offset.
        expected += [("ADD", False), ("MUL", True), ("MUL", True)]
        self.assertEqual(found, [*expected, ("ADD", True)])

    def test_other_activations_are_ops(self):
        found = sizes([LAYERS.Conv2D(4, 1, activation="sigmoid")])
        self.assertEqual(
            found,
            [
                core_steps.OpSize("CONV_2D", 64, 1, 3, 4),
                core_steps.OpSize("LOGISTIC", 64, 1, 4, 4),
            ],
        )

    def test_a_layer_as_activation(self):
        activation = LAYERS.LeakyReLU()
        _, found = sizes([LAYERS.Conv2D(4, 1, activation=activation)])
        self.assertEqual(found.kind, "LEAKY_RELU")
        self.assertEqual((found.places, found.writes), (64, 4))

    def test_a_separable_convolution_is_two_ops(self):
        found = sizes([LAYERS.SeparableConv2D(5, 3, depth_multiplier=2)])
        self.assertEqual(
            found,
            [
                core_steps.OpSize("DEPTHWISE_CONV_2D", 36, 9, 3, 6),
                core_steps.OpSize("CONV_2D", 36, 1, 6, 5),
            ],
        )

    def test_pooling_and_a_dense_layer(self):
        found = sizes(
            [
                LAYERS.MaxPooling2D(2),
                LAYERS.GlobalAveragePooling2D(),
                LAYERS.Dense(2),
            ]
        )
        self.assertEqual(
            found,
            [
                core_steps.OpSize("MAX_POOL_2D", 16, 4, 3, 3, 4),
                core_steps.OpSize("MEAN", 1, 16, 3, 3),
                core_steps.OpSize("FULLY_CONNECTED", 1, 1, 3, 2),
            ],
        )

    @parameterized.parameters(
        (
            *(LAYERS.Conv2D(4, 1, groups=2), (8, 8, 4)),
            core_steps.OpSize("CONV_2D", 64, 1, 2, 4, groups=2),
        ),
        (
            *(LAYERS.Conv1D(4, 5), (8, 3)),
            core_steps.OpSize("CONV_2D", 4, 5, 3, 4, way="row", columns=5),
        ),
        (
            *(LAYERS.Conv1D(4, 5, 2), (8, 3)),
            core_steps.OpSize("CONV_2D", 2, 5, 3, 4, 2, way="row", columns=5),
        ),
        (
            *(LAYERS.Conv2DTranspose(5, 2, 2), (4, 4, 3)),
            core_steps.OpSize("TRANSPOSE_CONV", 64, 4, 3, 5, 4),
        ),
        (
            *(LAYERS.DepthwiseConv2D(3, dilation_rate=2), (8, 8, 3)),
            core_steps.OpSize("DEPTHWISE_CONV_2D", 16, 9, 3, 3, way="gaps"),
        ),
        (
            *(LAYERS.LSTM(5), (9, 3)),
            core_steps.OpSize("UNIDIRECTIONAL_SEQUENCE_LSTM", 9, 1, 3, 5),
        ),
        (
            *(LAYERS.Bidirectional(LAYERS.LSTM(5)), (9, 3)),
            core_steps.OpSize("UNIDIRECTIONAL_SEQUENCE_LSTM", 9, 1, 3, 5),
        ),
    )
    def test_kernels(self, layer, shape, expected):
        self.assertIn(expected, sizes([layer], shape))

    def test_time_steps_that_are_written_out(self):
        found = sizes([LAYERS.SimpleRNN(4)], (5, 3))
        # Before the first step the state is zero.
        for reads, count in ((3, 5), (4, 4)):
            own = core_steps.OpSize("FULLY_CONNECTED", 1, 1, reads, 4)
            self.assertEqual(found.count(own), count)
        tanh = core_steps.OpSize("TANH", 1, 1, 4, 4)
        self.assertEqual(found.count(tanh), 5)

    def test_maps_in_steps_that_are_written_out(self):
        found = sizes([LAYERS.ConvLSTM2D(4, 3)], (5, 8, 8, 2))
        # Of four gates, of which the first step needs three.
        for reads, count in ((2, 5 * 4 - 1), (4, 4 * 4)):
            own = core_steps.OpSize("CONV_2D", 36, 9, reads, 4, columns=3)
            self.assertEqual(found.count(own), count)
        tanh = core_steps.OpSize("TANH", 36, 1, 4, 4)
        self.assertEqual(found.count(tanh), 5 * 2)

    def test_maps_in_steps_of_a_layer_within(self):
        layer, shape = LAYERS.ConvLSTM2D(4, 3), (5, 8, 8, 2)
        once = _places(sizes([layer], shape))
        for outer, more, times in (
            (LAYERS.Bidirectional, (), 2),
            (LAYERS.TimeDistributed, (3,), 3),
        ):
            found = sizes([outer(layer)], (*more, *shape))
            for reads, places in once.items():
                self.assertEqual(_places(found)[reads], times * places)

    def test_attention(self):
        inputs = keras.Input((8, 6))
        outputs = LAYERS.MultiHeadAttention(2, 4)(inputs, inputs)
        graph = read.channel_graph(keras.Model(inputs, outputs))
        found = core_steps.sizes(graph, np.ones(graph.size, bool))
        by_kind = {}
        for size in found:
            by_kind.setdefault(size.kind, []).append(size)
        projections = [
            (s.places, s.reads, s.writes) for s in by_kind["FULLY_CONNECTED"]
        ]
        self.assertEqual(projections, [(8, 6, 8)] * 3 + [(8, 8, 6)])
        # 8 rows of 2 heads: 4 wide, beside 8 others.
        scores, sums = by_kind["BATCH_MATMUL"]
        self.assertEqual(
            (scores.places, scores.reads, scores.writes), (16, 4, 8)
        )
        self.assertEqual((sums.places, sums.reads, sums.writes), (16, 8, 4))
        (softmax,) = by_kind["SOFTMAX"]
        self.assertEqual((softmax.places, softmax.writes), (16, 8))

    def test_attention_without_heads(self):
        inputs = keras.Input((8, 6)), keras.Input((5, 4)), keras.Input((5, 6))
        outputs = LAYERS.Attention()(list(inputs))  # The key comes last.
        graph = read.channel_graph(keras.Model(inputs, outputs))
        found = core_steps.sizes(graph, np.ones(graph.size, bool))
        expected = [
            core_steps.OpSize("BATCH_MATMUL", 8, 1, 6, 5),
            core_steps.OpSize("SOFTMAX", 8, 1, 5, 5),
            core_steps.OpSize("BATCH_MATMUL", 8, 1, 5, 4),
        ]
        self.assertEqual(found, expected)

    def test_attention_by_sums(self):
        x = keras.Input((6, 8))
        values = keras.Input((4, 8))
        for scaled in (True, False):
            layer = LAYERS.AdditiveAttention(use_scale=scaled)
            pair = [x, values]
            graph = read.channel_graph(keras.Model(pair, layer(pair)))
            found = core_steps.sizes(graph, np.ones(graph.size, bool))
            apart, sums, *between, scores, weighed = found
            # For 6 x 4 pairs of 8 channels each.
            expected = ["SUM", "TANH", "MUL"] if scaled else ["SUM", "TANH"]
            self.assertEqual((apart.kind, sums.kind), ("RESHAPE", "ADD"))
            self.assertEqual(sums.places, 24)
            self.assertCountEqual([x.kind for x in between], expected)
            self.assertEqual(
                {x.places * x.window * x.writes for x in between}, {192}
            )
            self.assertEqual((scores.kind, scores.places), ("SOFTMAX", 6))
            self.assertEqual(
                weighed, core_steps.OpSize("BATCH_MATMUL", 6, 1, 4, 8)
            )

    def test_products_of_tensors(self):
        inputs = keras.Input((8, 6)), keras.Input((5, 6))
        one, other = inputs
        scores = keras.ops.matmul(one, keras.ops.transpose(other, (0, 2, 1)))
        graph = read.channel_graph(keras.Model(inputs, scores))
        found = core_steps.sizes(graph, np.ones(graph.size, bool))
        self.assertIn(core_steps.OpSize("BATCH_MATMUL", 8, 1, 6, 5), found)

    @parameterized.parameters(
        ("btc,cd->btd", (8, 5), (8, 6, 5)),
        ("btc,cde->btde", (8, 2, 5), (8, 6, 10)),
        ("btc,cde->bdte", (2, 8, 5), (16, 6, 5)),
        ("btc,tcd->btd", (8, 5), (8, 6, 5)),
    )
    def test_dense_layers_by_an_equation(self, equation, shape, expected):
        found, *_ = sizes([LAYERS.EinsumDense(equation, shape)], (8, 6))
        places, reads, writes = expected
        self.assertEqual(
            found,
            core_steps.OpSize("FULLY_CONNECTED", places, 1, reads, writes),
        )

    @parameterized.parameters(
        (LAYERS.LayerNormalization(), ["MEAN", "MEAN", "MUL", "MUL", "MUL"]),
        (LAYERS.Dense(4, activation="gelu"), ["GATHER"]),
        (LAYERS.Conv1DTranspose(4, 2, activation="relu"), ["TRANSPOSE_CONV"]),
        (LAYERS.ReLU(), ["RELU"]),
        (LAYERS.Permute((2, 1)), ["TRANSPOSE"]),
    )
    def test_what_is_several_ops(self, layer, expected):
        found = [size.kind for size in sizes([layer], (8, 4))]
        own = [kind for kind in found if kind in expected]
        self.assertEqual(own, expected)

    @parameterized.parameters((2,), ((2, 2),))
    def test_pooling_by_a_function(self, size):
        inputs = keras.Input((8, 8, 3))
        outputs = keras.ops.max_pool(inputs, size)
        graph = read.channel_graph(keras.Model(inputs, outputs))
        found = core_steps.sizes(graph, np.ones(graph.size, bool))
        expected = core_steps.OpSize("MAX_POOL_2D", 16, 4, 3, 3, 4)
        self.assertEqual(found, [expected])

    def test_bilinear_resizing(self):
        layer = LAYERS.UpSampling2D(interpolation="bilinear")
        (found,) = sizes([layer])
        self.assertEqual(found.kind, "RESIZE_BILINEAR")

    @parameterized.parameters(
        (LAYERS.GlobalMaxPooling2D(), ["REDUCE_MAX"]),
        (LAYERS.Cropping2D(), ["STRIDED_SLICE"]),
        (LAYERS.LeakyReLU(), ["LEAKY_RELU"]),
        (LAYERS.ReLU(max_value=6), []),
        (LAYERS.ReLU(max_value=4), ["MINIMUM", "RELU"]),
        (LAYERS.ReLU(threshold=0.5), ["CAST", "ADD", "GATHER"]),
        (LAYERS.Activation("softsign"), ["CAST", "ADD", "GATHER"]),
        (keras.ops.exp, ["CAST", "ADD", "GATHER"]),
        (keras.ops.rsqrt, ["RSQRT"]),
        (LAYERS.UnitNormalization(axis=[3]), ["L2_NORMALIZATION"]),
        (LAYERS.Softmax(), ["SOFTMAX"]),
        (LAYERS.Reshape((-1, 4)), ["RESHAPE"]),
        (LAYERS.Dropout(0.5), []),
    )
    def test_layers_without_a_kernel(self, layer, expected):
        _, *found = sizes([LAYERS.Conv2D(4, 1), layer])
        self.assertEqual([size.kind for size in found], expected)

    def test_merges_take_two_tensors_at_a_time(self):
        kinds = {}
        for layer in (LAYERS.Add(), LAYERS.Average(), LAYERS.Concatenate()):
            x = keras.Input((8, 8, 4))
            graph = read.channel_graph(keras.Model(x, layer([x, x, x])))
            found = core_steps.sizes(graph, np.ones(graph.size, bool))
            kinds[layer.name.split("_")[0]] = [size.kind for size in found]
        self.assertEqual(
            kinds,
            {
                "add": ["ADD", "ADD"],
                "average": ["ADD", "ADD", "MUL"],
                "concatenate": ["CONCATENATION"],
            },
        )

    def test_normalization_that_no_kernel_takes(self):
        pool, *scales = sizes(
            [LAYERS.MaxPooling2D(2), LAYERS.BatchNormalization()]
        )
        self.assertEqual(pool.kind, "MAX_POOL_2D")
        self.assertEqual([size.kind for size in scales], ["MUL", "ADD"])

    def test_a_wrapped_layer_counts_as_the_layer(self):
        x = keras.Input((4, 8, 8, 3))
        layer = LAYERS.TimeDistributed(LAYERS.MaxPooling2D(2))
        graph = read.channel_graph(keras.Model(x, layer(x)))
        # Between two reshapes.
        _, found, _ = core_steps.sizes(graph, np.ones(graph.size, bool))
        expected = core_steps.OpSize("MAX_POOL_2D", 64, 4, 3, 3, 4)
        self.assertEqual(found, expected)

    def test_a_layer_that_learns_what_to_prune_counts_as_the_layer(self):
        layers = [LAYERS.Conv2D(4, 3, 2), LAYERS.Dense(2)]
        inputs = keras.Input((8, 8, 3))
        model = keras.Model(inputs, layers[1](layers[0](inputs)))
        wrapped = tfprune.wrap(model, method=tfprune.methods.SoftThreshold())
        graph = read.channel_graph(wrapped)
        found = core_steps.sizes(graph, np.ones(graph.size, bool))
        self.assertEqual(found, sizes(layers))

    def test_channels_that_go(self):
        def half(graph):
            keep = np.ones(graph.size, bool)
            (group,) = (g for g in graph.groups if not g.frozen)
            keep[group.labels[:2]] = False
            return keep

        first, second = sizes(
            [LAYERS.Conv2D(4, 3), LAYERS.Conv2D(2, 1)], keep=half
        )
        self.assertEqual((first.writes, second.reads), (2, 2))


if __name__ == "__main__":
    absltest.main()
