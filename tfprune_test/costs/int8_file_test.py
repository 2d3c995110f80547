import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs import int8_file
from tfprune.graph import read
from tfprune_test import graphs

LAYERS = keras.layers


def file_of(*layers, shape=(8, 8, 3)):
    """The prediction for a chain of layers, and its graph."""
    x = inputs = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    graph = read.channel_graph(keras.Model(inputs, x))
    return int8_file.Int8File(graph), graph


def conv(filters, size=3, **options):
    return LAYERS.Conv2D(filters, size, padding="same", **options)


def whole(graph):
    return np.ones(graph.size, bool)


class FlashTest(parameterized.TestCase):
    def flash(self, *layers, **kwargs):
        made, graph = file_of(*layers, **kwargs)
        return made.flash_bytes(whole(graph))

    def test_by_the_sizes_of_its_parts(self):
        # A byte a weight; 28 a channel: a bias, two scales and two zero
        # points; a file, an op with its output, and a kernel with its bias.
        self.assertEqual(
            self.flash(LAYERS.Conv2D(5, 3)),
            9 * 3 * 5 + 28 * 5 + 410 + 216 + 138,
        )

    @parameterized.parameters(
        # What exports were measured; bytes.
        ((8, 4, 3), 1_264),
        ((16, 16, 4), 1_920),
        ((64, 64, 64, 10), 14_032),
        ((64, 32, 8, 32, 64), 10_064),
    )
    def test_small_dense_networks(self, sizes, measured):
        first, *units = sizes
        chain = [LAYERS.Dense(count, "relu") for count in units]
        found = self.flash(*chain, shape=(first,))
        self.assertAlmostEqual(found / measured, 1, delta=0.02)

    def test_a_channel_takes_its_weights_along(self):
        # Input 0-1, layer a 2-5, layer b 6-11, output 12-13.
        graph = graphs.chain(2, 4, 6, 2)
        made, keep = int8_file.Int8File(graph), np.ones(14, bool)
        before = made.flash_bytes(keep)
        keep[[2, 6, 7]] = False
        # 2*4 + 4*6 + 6*2 weights and 12 channels become 2*3 + 3*4 + 4*2 and 9.
        self.assertEqual(before - made.flash_bytes(keep), 44 - 26 + 3 * 28)

    def test_what_is_fused_or_folded_takes_nothing(self):
        plain = self.flash(LAYERS.Conv2D(5, 3))
        for more in (
            (LAYERS.ReLU(),),
            (LAYERS.BatchNormalization(), LAYERS.ReLU()),
            (LAYERS.Dropout(0.5),),
        ):
            self.assertEqual(self.flash(LAYERS.Conv2D(5, 3), *more), plain)
        self.assertEqual(
            self.flash(LAYERS.Conv2D(5, 3, activation="relu")), plain
        )

    def test_a_view_of_another_shape_is_a_reshape(self):
        plain = self.flash(LAYERS.Conv2D(5, 3))
        found = self.flash(LAYERS.Conv2D(5, 3), LAYERS.Flatten())
        self.assertEqual(found, plain + 216)
        # Pooled to a single place it is one already.
        pool = LAYERS.GlobalAveragePooling2D(keepdims=True)
        self.assertEqual(self.flash(pool, LAYERS.Flatten()), self.flash(pool))

    def test_an_activation_that_is_an_op_has_a_tensor(self):
        plain = self.flash(LAYERS.Conv2D(5, 3))
        # A function without an op of its own is looked up, by three ops and a
        # table.
        sizes = {"sigmoid": 216, "silu": 2 * 216, "gelu": 3 * 216 + 220}
        for name, size in sizes.items():
            for layers in (
                [LAYERS.Conv2D(5, 3, activation=name)],
                [LAYERS.Conv2D(5, 3), LAYERS.Activation(name)],
            ):
                self.assertEqual(self.flash(*layers), plain + size)

    def test_a_layer_as_activation(self):
        plain = self.flash(LAYERS.Conv2D(5, 3))
        for layer, count in ((LAYERS.ReLU(), 0), (LAYERS.LeakyReLU(), 1)):
            found = self.flash(LAYERS.Conv2D(5, 3, activation=layer))
            self.assertEqual(found, plain + count * 216)

    def test_a_causal_convolution_is_padded_by_ops(self):
        shape = (32, 3)
        plain = self.flash(LAYERS.Conv1D(5, 3), shape=shape)
        causal = LAYERS.Conv1D(5, 3, padding="causal")
        self.assertEqual(self.flash(causal, shape=shape), plain + 216)

    def test_a_chain_of_one_axis_is_reshaped_at_its_ends(self):
        chain = [
            LAYERS.Conv1D(8, 5, activation="relu"),
            LAYERS.MaxPooling1D(),
            LAYERS.Conv1D(8, 3),
        ]
        found = self.flash(*chain, shape=(32, 6))
        self.assertAlmostEqual(found / 2_624, 1, delta=0.02)  # as exported

    def test_a_sum_does_not_end_a_chain_of_one_axis(self):
        def flash(*branches):
            inputs = keras.Input((32, 6))
            x = LAYERS.Conv1D(8, 3, padding="same")(inputs)
            x = LAYERS.Add()([branch(x) for branch in branches])
            x = LAYERS.Conv1D(8, 3)(x)
            graph = read.channel_graph(keras.Model(inputs, x))
            return int8_file.Int8File(graph).flash_bytes(whole(graph))

        one = LAYERS.Conv1D(8, 3, padding="same")
        padded = LAYERS.Conv1D(8, 3, padding="causal")
        flat = LAYERS.Identity()
        # The reshape before the padding, the padding, and the one behind it.
        self.assertEqual(flash(flat, padded) - flash(flat, one), 3 * 216)

    def test_sums_of_sums_are_passed_once(self):
        def flash(count):
            x = inputs = keras.Input((8, 4))
            x = LAYERS.Conv1D(4, 3)(x)
            for _ in range(count):
                x = LAYERS.Add()([x, LAYERS.ReLU()(x)])
            x = LAYERS.Conv1D(4, 3)(x)
            graph = read.channel_graph(keras.Model(inputs, x))
            return int8_file.Int8File(graph).flash_bytes(whole(graph))

        # There are 2 to the 40 ways back.
        # A ReLU stands alone where others read its input, too.
        self.assertEqual(flash(40) - flash(2), 38 * 2 * 216)

    def test_a_normalisation_that_cannot_be_folded_is_two_ops(self):
        plain = self.flash(LAYERS.MaxPooling2D())
        found = self.flash(LAYERS.MaxPooling2D(), LAYERS.BatchNormalization())
        self.assertEqual(found, plain + 2 * 216)


class Attention(LAYERS.Layer):
    def build(self, shape):
        self.inner = LAYERS.MultiHeadAttention(2, 8)
        self.inner.build(shape, shape)

    def call(self, x):
        return self.inner(x, x)


class GroupedAttention(LAYERS.Layer):
    def build(self, shape):
        self.inner = LAYERS.GroupQueryAttention(8, 4, 2)
        self.inner.build(shape, shape)

    def call(self, x):
        return self.inner(x, x)


class SeveralOpsTest(parameterized.TestCase):
    """Between two dense layers, beside what exports were measured."""

    @parameterized.parameters(
        (LAYERS.LayerNormalization(), 5_152, 4_304),
        (LAYERS.RMSNormalization(), 4_080, 6_144),
        (LAYERS.GroupNormalization(4), 5_680, 4_512),
        (LAYERS.UnitNormalization(axis=1), 3_840, 6_032),
        (LAYERS.Dense(16, "gelu"), 3_952, 5_488),
        (Attention(), 8_304, 8_816),
        (GroupedAttention(), 10_144, 14_368),
    )
    def test_measured(self, layer, flash, ram):
        made, graph = file_of(
            LAYERS.Dense(16), layer, LAYERS.Dense(16), shape=(32, 16)
        )
        found = made.flash_bytes(whole(graph))
        self.assertBetween(found / flash, 0.96, 1.09)
        found = made.ram_bytes(whole(graph))
        self.assertBetween(found / ram, 0.98, 1.04)


class AdditiveAttentionTest(absltest.TestCase):
    def test_it_holds_the_sums_of_all_pairs(self):
        inputs = keras.Input((12, 16))
        pair = [LAYERS.Dense(16)(inputs), LAYERS.Dense(16)(inputs)]
        x = LAYERS.AdditiveAttention()(pair)
        graph = read.channel_graph(keras.Model(inputs, x))
        made = int8_file.Int8File(graph)
        # What an export was measured.
        found = made.flash_bytes(whole(graph))
        self.assertBetween(found / 3_872, 0.96, 1.04)
        found = made.ram_bytes(whole(graph))
        self.assertBetween(found / 6_640, 0.98, 1.03)


class RamTest(parameterized.TestCase):
    def test_a_byte_for_each_number_where_the_fullest_step_is(self):
        # Activations are rounded up to 16 bytes: 8*8*3 = 192 of the input and
        # 6*6*5 = 180, 192; all are multiples of it.
        made, graph = file_of(LAYERS.Conv2D(37, 3))
        small = made.ram_bytes(whole(graph))
        made, graph = file_of(LAYERS.Conv2D(53, 3))
        large = made.ram_bytes(whole(graph))
        # 16 channels more: 36 numbers each, 8 bytes of multiplier and shift.
        self.assertAlmostEqual(large - small, 16 * 36 + 16 * 8, delta=32)

    def test_transposed_convolutions_add_up_in_32_bits(self):
        # Beside what exports were measured.
        for layers, shape, measured in (
            ([LAYERS.Conv2DTranspose(16, 3, 2, "same")], (8, 8, 24), 22_608),
            (
                [
                    LAYERS.Conv2DTranspose(8, 3, 2, "same", activation="relu"),
                    LAYERS.Conv2DTranspose(4, 3, 2, "same", activation="relu"),
                    LAYERS.Conv2D(1, 3, padding="same", activation="tanh"),
                ],
                *((4, 4, 16), 6_784),
            ),
        ):
            made, graph = file_of(*layers, shape=shape)
            found = made.ram_bytes(whole(graph)) / measured
            self.assertBetween(found, 0.98, 1.03)

    @parameterized.parameters(
        # What exports were measured.
        (LAYERS.LayerNormalization, 22_800),
        (lambda: LAYERS.GroupNormalization(4), 39_600),
        (LAYERS.RMSNormalization, 38_576),
    )
    def test_normalizations_of_maps_hold_several_of_them(self, layer, ram):
        layers = [conv(16), layer(), LAYERS.MaxPooling2D(4)]
        made, graph = file_of(*layers, LAYERS.Conv2D(4, 1), shape=(16, 16, 3))
        self.assertBetween(made.ram_bytes(whole(graph)) / ram, 0.98, 1.03)

    @parameterized.parameters(
        # What exports were measured.
        (lambda: [conv(32, activation="sigmoid")], 17_488),
        (lambda: [conv(32, activation=LAYERS.LeakyReLU())], 17_504),
        (lambda: [conv(32, activation="silu")], 25_776),
        (
            lambda: [
                conv(32),
                LAYERS.BatchNormalization(),
                LAYERS.Activation("hard_swish"),
            ],
            17_504,
        ),
        (lambda: [conv(32), LAYERS.Activation("silu")], 25_776),
        (lambda: [conv(32), LAYERS.PReLU(shared_axes=[1, 2])], 17_520),
        (lambda: [conv(8), conv(32, 1, activation="hard_swish")], 17_728),
        (lambda: [conv(16, activation="silu") for _ in range(2)], 13_808),
    )
    def test_an_activation_does_not_write_where_it_reads(self, layers, ram):
        last = [LAYERS.MaxPooling2D(4), LAYERS.Conv2D(4, 1)]
        made, graph = file_of(*layers(), *last, shape=(16, 16, 3))
        self.assertBetween(made.ram_bytes(whole(graph)) / ram, 0.98, 1.03)

    @parameterized.parameters(
        # What exports were measured.
        (keras.ops.square, 3_200, 33_952),
        (keras.ops.abs, 2_528, 9_184),
        (keras.ops.hard_silu, 2_528, 9_184),
        (LAYERS.Activation("softsign"), 3_216, 33_952),
        (LAYERS.UnitNormalization(), 2_544, 9_168),
        (LAYERS.ReLU(max_value=4), 2_784, 9_248),
        (LAYERS.ReLU(max_value=4, negative_slope=0.1), 3_280, 33_952),
    )
    def test_functions(self, layer, flash, ram):
        last = [LAYERS.MaxPooling2D(4), LAYERS.Conv2D(4, 1)]
        made, graph = file_of(conv(16), layer, *last, shape=(16, 16, 3))
        found = made.flash_bytes(whole(graph)) / flash
        self.assertBetween(found, 0.92, 1.04)
        self.assertBetween(made.ram_bytes(whole(graph)) / ram, 0.98, 1.03)

    def test_the_halves_of_a_separable_convolution_share_a_map(self):
        def ram(filters, times):
            last = [LAYERS.MaxPooling2D(4), LAYERS.Conv2D(4, 1)]
            layer = LAYERS.SeparableConv2D(
                filters, 3, padding="same", depth_multiplier=times
            )
            made, graph = file_of(conv(16), layer, *last, shape=(16, 16, 3))
            return made.ram_bytes(whole(graph))

        # What an export was measured.
        self.assertBetween(ram(8, 2) / 13_840, 0.95, 1.1)
        # 16 and 8 channels take less than 16 and 16, as do 16 and 16.
        self.assertAlmostEqual(ram(16, 1) - ram(8, 1), 0, delta=256)

    def test_the_half_of_a_separable_convolution_with_channels_first(self):
        def half(layer, shape, first):
            made, graph = file_of(layer, shape=shape)
            lives = first, first + 1
            (found,) = (b for b in made.buffers if (b.first, b.last) == lives)
            return made.buffer_bytes(found, whole(graph))

        layer = LAYERS.SeparableConv2D(
            *(5, 3, 1, "same", "channels_first"), depth_multiplier=4
        )
        # Behind a turn.
        self.assertEqual(half(layer, (3, 8, 8), first=2), 64 * 12)
        steps = LAYERS.TimeDistributed(layer)
        # And behind a reshape.
        self.assertEqual(half(steps, (2, 3, 8, 8), first=3), 2 * 64 * 12)

    def test_loads_are_at_each_step(self):
        made, graph = file_of(
            LAYERS.Conv2D(16, 1), LAYERS.Conv2D(2, 1), LAYERS.Conv2D(4, 1)
        )
        loads = made.loads(whole(graph))
        self.assertLen(loads, 4)
        self.assertEqual(made.ram_bytes(whole(graph)), loads.max())
        # Of 64 positions: 3; 3 + 16; 16 + 2; 2 + 4 channels, what an op copies,
        # and what is kept for good. The 16 lie at the bottom; what was above
        # them stays there.
        kept = loads[1] - 64 * (3 + 16) - 16
        self.assertGreater(kept, 950)
        self.assertEqual(
            (loads - kept).tolist(),
            [64 * 19, 64 * 19 + 16, 64 * 18 + 4 * 16, 64 * 18],
        )

    def test_whole_numbers_stay_as_wide_as_they_are(self):
        inputs = keras.Input((1000,), dtype="int32")
        x = LAYERS.Embedding(5, 2)(inputs)
        graph = read.channel_graph(keras.Model(inputs, x))
        made = int8_file.Int8File(graph)
        by_size = {made.buffer_bytes(b, whole(graph)) for b in made.buffers}
        self.assertEqual(by_size, {4000, 2000})

    def test_a_removed_channel_frees_its_place(self):
        graph = graphs.chain(16, 64, 16, positions=10)
        made, keep = int8_file.Int8File(graph), np.ones(96, bool)
        before = made.ram_bytes(keep)
        keep[16:48] = False
        after = made.ram_bytes(keep)
        # 32 channels, 10 positions; 4 bytes of each are copied for products.
        self.assertAlmostEqual(before - after, 320 + 32 * (8 + 4), delta=16)


class RecurrentTest(parameterized.TestCase):
    """An op for each gate and time step, beside what exports were measured."""

    @parameterized.parameters(
        (LAYERS.LSTM(8), (16, 6), 3_872, 3_472),
        (LAYERS.LSTM(100), (128, 3), 46_480, 19_360),
        (LAYERS.LSTM(24, return_sequences=True), (20, 9), 6_512, 3_744),
        (LAYERS.LSTM(32, go_backwards=True), (50, 9), 9_584, 5_504),
        (LAYERS.Bidirectional(LAYERS.LSTM(32)), (50, 9), 17_760, 9_680),
        (
            LAYERS.Bidirectional(LAYERS.LSTM(32), merge_mode="sum"),
            (50, 9),
            17_376,
            8_576,
        ),
        (
            LAYERS.Bidirectional(LAYERS.LSTM(32, return_sequences=True)),
            (50, 9),
            17_472,
            12_112,
        ),
    )
    def test_an_lstm_holds_all_time_steps(self, layer, shape, flash, ram):
        more = [LAYERS.Dense(4, "softmax")]
        if layer.return_sequences and shape[0] == 50:
            more.insert(0, LAYERS.GlobalAveragePooling1D())
        made, graph = file_of(layer, *more, shape=shape)
        found = made.flash_bytes(whole(graph))
        self.assertBetween(found, 0.96 * flash, 1.04 * flash)
        found = made.ram_bytes(whole(graph))
        self.assertBetween(found, 0.98 * ram, 1.05 * ram)

    @parameterized.parameters(
        (LAYERS.GRU(6), 8, 27_744, 29_440),
        (LAYERS.GRU(20), 16, 74_256, 73_920),
        (LAYERS.GRU(20, return_sequences=True), 16, 71_168, 74_192),
        (LAYERS.SimpleRNN(6), 8, 7_456, 8_512),
        (LAYERS.Bidirectional(LAYERS.GRU(6)), 8, 53_184, 57_248),
        (LAYERS.RNN(LAYERS.GRUCell(6)), 8, 27_744, 29_440),
    )
    def test_steps_are_written_out(self, layer, steps, flash, ram):
        made, graph = file_of(layer, LAYERS.Dense(3), shape=(steps, 5))
        found = made.flash_bytes(whole(graph))
        self.assertBetween(found, 0.94 * flash, 1.06 * flash)
        found = made.ram_bytes(whole(graph))
        self.assertBetween(found, 0.97 * ram, 1.04 * ram)

    @parameterized.parameters(
        # The planner's tables are the peak, then the maps of the gates.
        (
            LAYERS.ConvLSTM2D(4, 3, padding="same"),
            *((8, 8, 8, 1), 32_976, 36_720),
        ),
        (
            LAYERS.ConvLSTM2D(16, 3, padding="same", return_sequences=True),
            *((4, 16, 16, 3), 32_640, 78_464),
        ),
        (
            LAYERS.ConvLSTM1D(4, 3, padding="same"),
            *((4, 8, 1), 22_528, 25_136),
        ),
    )
    def test_steps_of_maps_are_written_out(self, layer, shape, flash, ram):
        made, graph = file_of(layer, shape=shape)
        found = made.flash_bytes(whole(graph))
        self.assertBetween(found, 0.9 * flash, 1.08 * flash)
        found = made.ram_bytes(whole(graph))
        self.assertBetween(found, 0.95 * ram, 1.08 * ram)

    @parameterized.parameters(
        (LAYERS.LSTM(8), 16, 52_912, 66_960),
        (LAYERS.GRU(8), 16, 63_808, 69_856),
        (LAYERS.Bidirectional(LAYERS.LSTM(8)), 12, 73_584, 93_168),
    )
    def test_behind_a_mask_steps_are_written_out(self, layer, n, flash, ram):
        more = [LAYERS.Dense(4, "softmax")]
        made, graph = file_of(LAYERS.Masking(), layer, *more, shape=(n, 6))
        found = made.flash_bytes(whole(graph))
        self.assertBetween(found, 0.98 * flash, 1.1 * flash)
        found = made.ram_bytes(whole(graph))
        self.assertBetween(found, 0.96 * ram, 1.04 * ram)

    def test_masks_in_a_sequential_model(self):
        def kept(*layers):
            layers = [LAYERS.Masking(), *layers, LAYERS.Dense(4)]
            model = keras.Sequential([keras.Input((8, 6)), *layers])
            inputs = keras.Input((8, 6))
            x = inputs
            for layer in layers:
                x = layer(x)
            for net in (model, keras.Model(inputs, x)):
                graph = read.channel_graph(net)
                yield int8_file.Int8File(graph).ram_bytes(whole(graph))

        for layers in (
            [LAYERS.LSTM(8)],
            [LAYERS.LSTM(6, return_sequences=True), LAYERS.LSTM(8)],
            [LAYERS.Bidirectional(LAYERS.LSTM(8))],
        ):
            found, wanted = kept(*layers)
            self.assertBetween(found, 0.98 * wanted, 1.02 * wanted)

    def test_an_lstm_is_one_op_unless_something_is_unusual(self):
        def flash(**options):
            made, graph = file_of(LAYERS.LSTM(6, **options), shape=(8, 5))
            return made.flash_bytes(whole(graph))

        self.assertLess(flash(), 6_000)
        self.assertGreater(flash(activation="relu"), 20_000)

    def test_fewer_units_take_less_in_every_step(self):
        made, graph = file_of(LAYERS.GRU(20), shape=(16, 5))
        keep = whole(graph)
        before = made.ram_bytes(keep)
        group = max(graph.groups, key=lambda group: len(group.labels))
        keep[group.labels[:10]] = False
        # Two products for three gates, with a multiplier and a shift each; the
        # first step has one. Beside them, the sums of weights. 240 bytes become
        # 120, or 128 as they are aligned.
        saved = (16 * 2 - 1) * 3 * (240 - 128)
        self.assertBetween(before - made.ram_bytes(keep), saved, saved + 200)


class WrappedTest(absltest.TestCase):
    def test_masks_are_no_part_of_the_file(self):
        import tfprune

        inputs = keras.Input((6,))
        x = LAYERS.Dense(8, name="a")(inputs)
        model = keras.Model(inputs, LAYERS.Dense(3)(x))
        wrapped = tfprune.wrap(model, tfprune.methods.Masked())
        self.assertGreater(len(wrapped.weights), len(model.weights))
        found = []
        for net in (model, wrapped):
            graph = read.channel_graph(net)
            made = int8_file.Int8File(graph)
            found.append(made.flash_bytes(whole(graph)))
        self.assertEqual(found[0], found[1])


if __name__ == "__main__":
    absltest.main()
