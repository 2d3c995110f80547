"""Ops that are predicted, against those of exported files."""

import collections
import functools
import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.costs import core_steps
from tfprune.costs import counting
from tfprune.costs import file_ops
from tfprune.export.file import model_file
from tfprune.graph import read
from tfprune_test.export import small_models

LAYERS = keras.layers


def recurrent(layer, wrapper=None):
    def build():
        inputs = keras.Input((6, 3))
        own = layer(4) if wrapper is None else wrapper(layer(4))
        return keras.Model(inputs, LAYERS.Dense(2)(own(inputs)))

    return build


def attention():
    inputs = keras.Input((6, 4))
    x = LAYERS.MultiHeadAttention(2, 4)(inputs, inputs) + inputs
    x = LAYERS.LayerNormalization()(x)
    x = LAYERS.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, LAYERS.Dense(2, "softmax")(x))


def grouped_attention():
    inputs = keras.Input((6, 4))
    x = LAYERS.GroupQueryAttention(4, 4, 2)(inputs, inputs)
    return keras.Model(inputs, LAYERS.Dense(2)(x))


def causal():
    inputs = keras.Input((24, 6))
    x = LAYERS.MultiHeadAttention(4, 4)(inputs, inputs, use_causal_mask=True)
    x = LAYERS.Dense(6)(x)
    x = LAYERS.AdditiveAttention()([x, x], use_causal_mask=True)
    x = LAYERS.MultiHeadAttention(1, 4)(x, x)
    return keras.Model(inputs, LAYERS.Dense(2)(x))


def squeezed():
    inputs = keras.Input((8, 8, 2))
    x = LAYERS.Conv2D(4, 3)(inputs)
    x = LAYERS.Activation("hard_swish")(LAYERS.BatchNormalization()(x))
    s = LAYERS.GlobalAveragePooling2D(keepdims=True)(x)
    s = LAYERS.Dense(4, "sigmoid")(LAYERS.Dense(2, "relu")(s))
    x = LAYERS.DepthwiseConv2D(3)(x * s)
    return keras.Model(inputs, LAYERS.Dense(2)(LAYERS.Flatten()(x)))


def on_sequences():
    inputs = keras.Input((16, 2))
    x = LAYERS.Conv1D(4, 3, activation="gelu")(inputs)
    x = LAYERS.GlobalAveragePooling1D()(LAYERS.MaxPooling1D()(x))
    return keras.Model(inputs, LAYERS.Dense(2, "silu")(x))


def of_each_value():
    inputs = keras.Input((8, 8, 2))
    x = LAYERS.Conv2D(4, 3, activation=LAYERS.LeakyReLU())(inputs)
    x = LAYERS.ReLU(max_value=4)(LAYERS.Conv2D(4, 1)(x))
    x = keras.ops.square(LAYERS.Conv2D(4, 1)(x))
    return keras.Model(inputs, LAYERS.MaxPooling2D()(x))


def normalized(layer):
    def build():
        inputs = keras.Input((8, 8, 2))
        x = layer()(LAYERS.Conv2D(4, 3, activation="silu")(inputs))
        return keras.Model(inputs, LAYERS.Conv2D(2, 1)(x))

    return build


def separable():
    inputs = keras.Input((12, 12, 3))
    x = LAYERS.SeparableConv2D(6, 3, activation="tanh")(inputs)
    x = LAYERS.ReLU()(LAYERS.Maximum()([x, LAYERS.ReLU()(x)]))
    x = LAYERS.UpSampling2D(2)(x)
    x = LAYERS.Conv2DTranspose(2, 3, activation="relu")(x)
    return keras.Model(inputs, LAYERS.Flatten()(x))


def added_attention():
    inputs = keras.Input((6, 4))
    pair = [LAYERS.Dense(4)(inputs), LAYERS.Dense(4)(inputs)]
    x = LAYERS.AdditiveAttention(use_scale=False)(pair)
    return keras.Model(inputs, LAYERS.UnitNormalization()(x))


def scaled():
    inputs = keras.Input((8, 8, 2))
    x = LAYERS.Conv2D(4, 3)(LAYERS.Rescaling(0.5, -1)(inputs))
    x = 1 - LAYERS.Conv2D(4, 3)(x / 2)
    return keras.Model(inputs, LAYERS.Flatten()(x))


def in_time():
    inputs = keras.Input((3, 8, 8, 2))
    x = LAYERS.TimeDistributed(LAYERS.Conv2D(4, 3, activation="relu"))(inputs)
    x = LAYERS.TimeDistributed(LAYERS.Dropout(0.1))(x)
    x = LAYERS.TimeDistributed(LAYERS.MaxPooling2D())(x)
    x = LAYERS.TimeDistributed(LAYERS.Flatten())(x)
    return keras.Model(inputs, LAYERS.Dense(2)(x))


def of_many_axes():
    inputs = keras.Input((3, 2, 4, 2))
    x = LAYERS.Permute((4, 3, 2, 1))(LAYERS.Dense(3)(inputs))
    x = LAYERS.Permute((2, 1, 3))(LAYERS.Reshape((3, 1, 24))(x))
    return keras.Model(inputs, x)


def deviations():
    inputs = keras.Input((8, 8, 2))
    x = LAYERS.Conv2D(4, 3)(inputs)
    found = keras.ops.var(x, (1, 2)), keras.ops.std(inputs, (1, 2))
    return keras.Model(inputs, [LAYERS.Dense(3)(x) for x in found])


def divided():
    inputs = keras.Input((8, 8, 2))
    x, y = (LAYERS.Conv2D(4, 3)(inputs) for _ in range(2))
    x = LAYERS.Conv2D(4, 3)(x / (keras.ops.abs(y) + 1))
    x = keras.ops.divide_no_nan(LAYERS.Conv2D(4, 1)(x), x)
    x = LAYERS.Conv2D(4, 3)(x)
    return keras.Model(inputs, LAYERS.Conv2D(4, 1)(x) % x)


def to_floats(x):
    return keras.ops.cast(x, "float32")


def of_integers(dtype, in_floats):
    def build():
        inputs = keras.Input((8, 8, 2), dtype=dtype)
        x = LAYERS.Conv2D(4, 3)(in_floats(inputs))
        return keras.Model(inputs, LAYERS.Conv2D(2, 1)(x))

    return build


def composed():
    inputs = keras.Input((8, 8, 2))
    x, y = (LAYERS.Conv2D(4, 3)(inputs) for _ in range(2))
    x = LAYERS.Conv2D(4, 1)(keras.ops.hypot(x, y))
    x = LAYERS.Conv2D(4, 1)(keras.ops.logaddexp(x, LAYERS.Conv2D(4, 1)(x)))
    x = LAYERS.Conv2D(4, 1)(keras.ops.fmod(x, LAYERS.Conv2D(4, 1)(x)))
    return keras.Model(inputs, LAYERS.Conv2D(2, 1)(x))


def limited():
    inputs = keras.Input((8, 8, 2))
    x, y = (LAYERS.Conv2D(n, 3)(inputs) for n in (4, 1))
    x = LAYERS.Conv2D(4, 1)(keras.ops.maximum(x, y))
    x = LAYERS.Minimum()([x, LAYERS.Conv2D(4, 3, padding="same")(x)])
    x = LAYERS.Conv2D(4, 1)(keras.ops.clip(x, -0.5, 0.5) * x)
    x = LAYERS.ReLU(max_value=4)(x) + x
    return keras.Model(inputs, LAYERS.Conv2D(2, 1)(x))


def celus():
    inputs = keras.Input((6, 8))
    x = LAYERS.Dense(8, activation="celu")(inputs)
    x = LAYERS.BatchNormalization()(LAYERS.Dense(8)(x))
    x = LAYERS.Conv1D(4, 3)(LAYERS.Activation("celu")(x))
    return keras.Model(inputs, LAYERS.Dense(2)(keras.ops.celu(x)))


def of_one():
    """Functions that are looked up at once, whatever they are made of."""
    ops = keras.ops
    inputs = keras.Input((8, 8, 2))
    x = LAYERS.Conv2D(4, 3)(inputs)
    x = LAYERS.Conv2D(4, 1)(ops.where(x > 0, x, x * 0.1))
    x = LAYERS.Conv2D(4, 1)(ops.log(ops.abs(x) + 1))
    x = LAYERS.Conv2D(4, 1)(x / (ops.abs(x) + 1))
    chosen = ops.where(ops.logical_and(x > 0, x < 1), x, x * 0.5)
    x = LAYERS.Conv2D(4, 1)(chosen) * LAYERS.Conv2D(4, 1)(ops.sqrt(ops.abs(x)))
    return keras.Model(inputs, LAYERS.Conv2D(2, 1)(x))


def compared():
    inputs = keras.Input((8, 8, 2))
    x = LAYERS.Conv2D(4, 3)(inputs)
    x = LAYERS.Conv2D(4, 1)(x * to_floats(keras.ops.greater(x, 0.2)))
    x = LAYERS.Conv2D(4, 1)(to_floats(LAYERS.Conv2D(4, 1)(x) < x))
    return keras.Model(inputs, LAYERS.Conv2D(2, 1)(x))


def along_axes():
    ops = keras.ops
    inputs = keras.Input((8, 8, 2))
    x = LAYERS.Conv2D(4, 3)(inputs)
    x = LAYERS.Conv2D(4, 1)(ops.softmax(x, 1))
    first, rest = ops.split(LAYERS.Conv2D(6, 1)(x), [2], -1)
    x = LAYERS.Conv2D(4, 1)(ops.concatenate([rest, first], -1))
    x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
    x = LAYERS.Conv2D(4, 1)(ops.diff(LAYERS.Conv2D(4, 1)(x), axis=1))
    x = LAYERS.Conv2D(4, 1)(ops.norm(x, axis=-1, keepdims=True))
    x = LAYERS.Conv2D(4, 1)(ops.logsumexp(x, -1, keepdims=True))
    x = LAYERS.Conv2D(4, 1)(ops.cumsum(x, 1))
    return keras.Model(inputs, LAYERS.Conv2D(2, 1)(x))


def products():
    ops, rng = keras.ops, np.random.default_rng(0)
    rows, square = rng.normal(size=(6, 5)), rng.normal(size=(4, 6))
    inputs = keras.Input((8, 8, 2))
    x = LAYERS.Conv2D(4, 3)(inputs)
    x = ops.einsum("bhwc,hk->bkwc", x, rows.astype("float32"))
    x = LAYERS.Conv2D(4, 1)(ops.matmul(square.astype("float32"), x))
    x = ops.tensordot(x, rows.astype("float32"), axes=[[1], [1]])
    return keras.Model(inputs, LAYERS.Conv2D(2, 1)(x))


def reduced():
    ops = keras.ops
    inputs = keras.Input((8, 8, 2))
    x = LAYERS.Conv2D(4, 3)(inputs)
    for reduction in (ops.nansum, ops.nanmean):
        x = LAYERS.Conv2D(4, 3, padding="same")(x)
        x = x + reduction(x, axis=1, keepdims=True)
    x = LAYERS.Conv2D(4, 1)(x)
    x = LAYERS.Conv2D(4, 1)(ops.nanmax(x, axis=1, keepdims=True) * x)
    x, y = (LAYERS.Conv2D(4, 1)(x) for _ in range(2))
    ends = ops.trace(x, axis1=1, axis2=2), ops.trapezoid(y, axis=1)
    return keras.Model(inputs, [LAYERS.Dense(2)(end) for end in ends])


NETS = (
    ("reduced", reduced),
    ("products", products),
    ("functions of one", of_one),
    ("compared", compared),
    ("along axes", along_axes),
    ("celus", celus),
    ("limited", limited),
    ("divided", divided),
    ("composed", composed),
    ("uint8", of_integers("uint8", LAYERS.Rescaling(1 / 255))),
    ("uint16", of_integers("uint16", LAYERS.Rescaling(1 / 255, -1))),
    ("int64", of_integers("int64", LAYERS.Rescaling(1 / 255))),
    ("int16", of_integers("int16", lambda x: to_floats(x) / 255)),
    ("truths", of_integers("bool", lambda x: to_floats(to_floats(x)))),
    ("deviations", deviations),
    ("of many axes", of_many_axes),
    ("lstm", recurrent(LAYERS.LSTM)),
    ("gru", recurrent(LAYERS.GRU)),
    ("rnn", recurrent(LAYERS.SimpleRNN)),
    ("both ways", recurrent(LAYERS.LSTM, LAYERS.Bidirectional)),
    ("attention", attention),
    ("grouped attention", grouped_attention),
    ("added attention", added_attention),
    ("causal attention", causal),
    ("squeezed", squeezed),
    ("on sequences", on_sequences),
    ("of each value", of_each_value),
    ("group normalization", normalized(lambda: LAYERS.GroupNormalization(2))),
    ("scaled", scaled),
    ("in time", in_time),
    ("separable", separable),
)


def conv(x, padding="same"):
    return LAYERS.Conv2D(2, 3, padding=padding)(x)


def both(x):
    return LAYERS.Concatenate()([conv(x), x])


def limited_twice(x):
    x = conv(x)
    return keras.ops.maximum(LAYERS.Reshape((72,))(x), 1) * LAYERS.Flatten()(x)


def kinds_of(shape, body):
    """How many ops of each kind a small net becomes."""
    inputs = keras.Input(shape)
    found = collections.Counter()
    graph = read.channel_graph(keras.Model(inputs, body(inputs)))
    for op in file_ops.of(graph).ops:
        found[op.kind] += op.times
    return dict(found)


class ConstantsTest(parameterized.TestCase):
    """What kernels take over, as read off exported files."""

    @parameterized.named_parameters(
        ("scaled input", lambda x: conv(LAYERS.Rescaling(0.1)(x))),
        ("in a window", lambda x: conv(LAYERS.Rescaling(0.1, -1)(x), "valid")),
        ("divided", lambda x: conv(x) / 2),
        ("scaled ahead", lambda x: conv(0.5 * x)),
    )
    def test_what_is_part_of_a_convolution(self, body):
        self.assertEqual(kinds_of((6, 6, 2), body), {"CONV_2D": 1})

    @parameterized.named_parameters(
        ("offset", lambda x: conv(LAYERS.Rescaling(1, -1)(x)), "ADD"),
        ("difference", lambda x: conv(1 - conv(x)), "SUB"),
        ("of places", lambda x: conv(x) * np.ones((6, 1, 1), "f"), "MUL"),
        ("of channels", lambda x: conv(x * np.ones(2, "f")), "MUL"),
        ("read twice", lambda x: both(LAYERS.Rescaling(0.5)(x)), "MUL"),
    )
    def test_what_is_not(self, body, kind):
        self.assertEqual(kinds_of((6, 6, 2), body)[kind], 1)

    def test_dense_layers_take_over_what_is_before_them(self):
        def body(x):
            x = LAYERS.Dense(4, "relu")(x)
            return LAYERS.Dense(2)(LAYERS.BatchNormalization()(x))

        self.assertEqual(kinds_of((6,), body), {"FULLY_CONNECTED": 2})

    def test_a_relu_of_what_others_read_stands_alone(self):
        def body(x):
            x = conv(x)
            return x + LAYERS.ReLU()(LAYERS.Dropout(0.1)(x))

        kinds = {"CONV_2D": 1, "RELU": 1, "ADD": 1}
        self.assertEqual(kinds_of((6, 6, 2), body), kinds)


class LimitsTest(absltest.TestCase):
    """Those of what is read elsewhere, too, leave it a scale of its own."""

    def test_what_others_read(self):
        kinds = kinds_of((6, 6, 2), lambda x: keras.ops.maximum(conv(x), 1))
        self.assertEqual(kinds, {"CONV_2D": 1, "MAXIMUM": 1})
        kinds = {"CONV_2D": 1, "RESHAPE": 2, "SUB": 1, "ADD": 1, "MUL": 1}
        found = kinds_of((6, 6, 2), limited_twice)
        self.assertEqual(found, kinds)

    def test_the_second_is_less_the_first_where_it_is_larger(self):
        inputs = keras.Input((6, 6, 2))
        mean = keras.ops.mean(inputs, axis=-1, keepdims=True)
        for limit, order in (("maximum", 1), ("minimum", -1)):
            outputs = getattr(keras.ops, limit)(mean, inputs)
            graph = read.channel_graph(keras.Model(inputs, outputs))
            difference = file_ops.of(graph).ops[1]
            self.assertEqual(difference.kind, "SUB")
            sizes = [x.shape[-1] for x in difference.inputs[::order]]
            self.assertEqual(sizes, [2, 1])

    def test_whole_numbers_have_no_scale(self):
        inputs = keras.Input((6,), dtype="int32")
        outputs = keras.ops.maximum(inputs, 1) + inputs
        graph = read.channel_graph(keras.Model(inputs, outputs))
        kinds = [op.kind for op in file_ops.of(graph).ops]
        self.assertEqual(kinds, ["MAXIMUM", "ADD"])


class TimeDistributedTest(parameterized.TestCase):
    """Maps of all time steps are rows of one batch, between reshapes."""

    def kinds_of(self, *layers):
        def body(x):
            for layer in layers:
                x = LAYERS.TimeDistributed(layer)(x)
            return x

        return kinds_of((3, 8, 8, 2), body)

    def test_of_maps(self):
        kinds = {"RESHAPE": 2, "CONV_2D": 1}
        self.assertEqual(self.kinds_of(LAYERS.Conv2D(4, 3)), kinds)

    @parameterized.parameters(
        (LAYERS.Softmax(), "SOFTMAX"),
        (LAYERS.UnitNormalization(), "L2_NORMALIZATION"),
        (LAYERS.UnitNormalization(axis=1), "SUM"),
    )
    def test_along_an_axis(self, layer, kind):
        found = self.kinds_of(layer)
        self.assertEqual((found["RESHAPE"], found[kind]), (2, 1))

    def test_one_reshape_between_two(self):
        kinds = {"RESHAPE": 3, "CONV_2D": 1, "MAX_POOL_2D": 1}
        found = self.kinds_of(LAYERS.Conv2D(4, 3), LAYERS.MaxPooling2D())
        self.assertEqual(found, kinds)

    def test_of_each_value(self):
        self.assertEqual(self.kinds_of(LAYERS.Dropout(0.1)), {})
        kinds = {"FULLY_CONNECTED": 1, "RESHAPE": 2}  # Of five axes.
        self.assertEqual(self.kinds_of(LAYERS.Dense(4)), kinds)


class RewrittenTest(absltest.TestCase):
    def test_a_dense_layer_of_one_unit_reads_rows(self):
        kinds = {"FULLY_CONNECTED": 1, "RESHAPE": 2}
        self.assertEqual(kinds_of((6, 8), LAYERS.Dense(1)), kinds)
        self.assertEqual(
            kinds_of((8,), LAYERS.Dense(1)), {"FULLY_CONNECTED": 1}
        )

    def test_heads_of_attention_that_make_one_channel_are_rows(self):
        def behind(width):
            layer = LAYERS.MultiHeadAttention(2, width, output_shape=1)
            inputs = keras.Input((5, 3))
            model = keras.Model(inputs, layer(inputs, inputs))
            ops = file_ops.of(read.channel_graph(model)).ops
            return [op.kind for op in ops[-2:]]

        self.assertEqual(behind(2), ["FULLY_CONNECTED", "RESHAPE"])
        self.assertEqual(behind(3), ["RESHAPE", "FULLY_CONNECTED"])

    def test_a_product_of_one_number_has_no_axes(self):
        inputs = keras.Input((6,))
        x = LAYERS.Dense(4)(inputs)
        outputs = LAYERS.EinsumDense("ab,b->a", ())(x)
        graph = read.channel_graph(keras.Model(inputs, outputs))
        kinds = [op.kind for op in file_ops.of(graph).ops]
        self.assertEqual(kinds, ["FULLY_CONNECTED"] * 2)
        self.assertGreater(counting.Meter(graph).cost().flash_bytes, 0)

    def test_transpositions_of_rows_in_the_batch_move_all_of_them(self):
        inputs = keras.Input((6, 6, 4))
        x = LAYERS.Conv2D(4, 1)(inputs)
        x = keras.ops.reshape(x, (-1, 2, 3, 3, 4))  # Two rows a sample.
        for order in ((0, 4, 2, 3, 1), (0, 1, 4, 3, 2)):
            x = keras.ops.transpose(x, order)
        x = keras.ops.reshape(x, (-1, 6 * 6 * 4))
        graph = read.channel_graph(keras.Model(inputs, LAYERS.Dense(2)(x)))
        keep = np.ones(graph.size, bool)
        moved = [
            op.places * op.writes
            for op in core_steps.sizes(graph, keep)
            if op.kind in ("RESHAPE", "TRANSPOSE")
        ]
        self.assertEqual(set(moved), {6 * 6 * 4})

    def test_reshapes_in_a_row_are_one(self):
        def body(x):
            return LAYERS.Flatten()(LAYERS.Conv1D(2, 3)(x))

        kinds = {"RESHAPE": 2, "CONV_2D": 1}
        self.assertEqual(kinds_of((8, 2), body), kinds)

    def test_resizing_to_the_nearest(self):
        for how, kind in (
            ("nearest", "RESIZE_NEAREST_NEIGHBOR"),
            ("bilinear", "RESIZE_BILINEAR"),
        ):
            layer = LAYERS.Resizing(4, 4, interpolation=how)
            self.assertEqual(kinds_of((8, 8, 2), layer), {kind: 1})
            resize = functools.partial(
                keras.ops.image.resize, size=(4, 4), interpolation=how
            )
            self.assertEqual(kinds_of((8, 8, 2), resize), {kind: 1})


class StoredTest(absltest.TestCase):
    def test_scores_are_scaled_and_masked(self):
        layer = LAYERS.Attention(use_scale=True)
        found = kinds_of((6, 4), lambda x: layer([x, x], use_causal_mask=True))
        kinds = {"BATCH_MATMUL": 2, "MUL": 1, "SELECT_V2": 1, "SOFTMAX": 1}
        self.assertEqual(found, kinds)

    def test_a_mask_of_each_pair_is_in_the_file(self):
        x = keras.Input((64, 8))
        sizes = []
        for masked in (False, True):
            layer = LAYERS.MultiHeadAttention(4, 2)
            made = layer(x, x, use_causal_mask=masked)
            sizes.append(tfprune.cost(keras.Model(x, made)).flash_bytes)
        more = sizes[1] - sizes[0] - 4 * 64 * 64
        self.assertBetween(more, 0, 500)


class ExportedTest(parameterized.TestCase):
    @parameterized.named_parameters(*NETS)
    def test_the_ops_and_the_arena_are_those_of_the_file(self, build):
        # The numbers decide whether a normalization is one of floats.
        keras.utils.set_random_seed(0)
        model = build()
        rng = np.random.default_rng(0)
        for weight in model.weights:  # What is zero would be left out.
            weight.assign_add(rng.uniform(0.01, 0.1, weight.shape))
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        small_models.export(model, path, "int8", small_models.samples(model, 9))
        graph = read.channel_graph(model)
        found = collections.Counter()
        for op in file_ops.of(graph).ops:
            found[op.kind] += op.times
        self.assertEqual(found, dict(model_file.read(path).ops))
        needed = tfprune.export.arena_bytes(path)
        share = tfprune.cost(model).ram_bytes / needed
        self.assertBetween(share, 0.97, 1.1)  # These are very small.

    def test_the_arena_is_that_of_the_kernels_of_a_core(self):
        inputs = keras.Input((16, 16, 3))
        x = LAYERS.Conv2D(16, 3, 2, padding="same", activation="relu")(inputs)
        for _ in range(2):
            x = LAYERS.DepthwiseConv2D(5, padding="same")(x)
            x = LAYERS.Conv2D(24, 1, activation="relu")(x)
        x = LAYERS.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, LAYERS.Dense(4, "softmax")(x))
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        small_models.export(model, path, "int8", small_models.samples(model, 9))
        found = {}
        for core in ("cortex-m0plus", "cortex-m4", "cortex-m55", "esp32-s3"):
            budget = tfprune.Budget(ram_bytes=1.0, target=core)
            meter = budget.meter(tfprune.channel_graph(model))
            found[core] = meter.ram_bytes()
            needed = tfprune.export.arena_bytes(path, core=core)
            self.assertBetween(found[core] / needed, 0.98, 1.03)
        self.assertLess(found["cortex-m4"], 0.8 * found["cortex-m55"])
        for options in ({"board": "nano-33-ble"}, {"core": "Cortex-M4F"}):
            budget = tfprune.Budget(ram_bytes=40_000, **options)
            meter = budget.meter(tfprune.channel_graph(model))
            self.assertEqual(meter.ram_bytes(), found["cortex-m4"])
        with self.assertRaisesRegex(ValueError, "Did you mean 'cortex-m4'"):
            tfprune.Budget(ram_bytes=40_000, core="cortex-m44")


if __name__ == "__main__":
    absltest.main()
