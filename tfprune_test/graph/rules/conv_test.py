import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs import counting
from tfprune.graph import read
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers
OPS = keras.ops
FIRST = {"padding": "same", "data_format": "channels_first"}
IMAGE, SERIES, VOLUME = (6, 6, 3), (8, 3), (4, 4, 4, 3)

CONVOLUTIONS = (
    ("valid", IMAGE, lambda: LAYERS.Conv2D(5, 3)),
    ("same", IMAGE, lambda: LAYERS.Conv2D(5, 3, padding="same")),
    ("strided", IMAGE, lambda: LAYERS.Conv2D(5, 3, strides=2)),
    ("dilated", IMAGE, lambda: LAYERS.Conv2D(5, (2, 3), dilation_rate=(2, 1))),
    ("without_bias", IMAGE, lambda: LAYERS.Conv2D(5, 1, use_bias=False)),
    ("activated", IMAGE, lambda: LAYERS.Conv2D(5, 1, activation="swish")),
    ("1d", SERIES, lambda: LAYERS.Conv1D(5, 3, padding="same")),
    ("1d_causal", SERIES, lambda: LAYERS.Conv1D(5, 3, padding="causal")),
    ("1d_dilated", SERIES, lambda: LAYERS.Conv1D(5, 3, dilation_rate=2)),
    ("3d", VOLUME, lambda: LAYERS.Conv3D(5, 2)),
    ("3d_strided", VOLUME, lambda: LAYERS.Conv3D(5, 2, 2, "same")),
    ("two_groups", IMAGE, lambda: LAYERS.Conv2D(8, 3, groups=2)),
    ("three_groups", IMAGE, lambda: LAYERS.Conv2D(9, 1, groups=3)),
    ("1d_groups", SERIES, lambda: LAYERS.Conv1D(8, 3, groups=2)),
    ("group_each", IMAGE, lambda: LAYERS.Conv2D(6, 3, groups=6)),
    ("group_each_doubled", IMAGE, lambda: LAYERS.Conv2D(12, 3, groups=6)),
    ("transposed", IMAGE, lambda: LAYERS.Conv2DTranspose(5, 3)),
    ("transposed_strided", IMAGE, lambda: LAYERS.Conv2DTranspose(5, 3, 2)),
    ("transposed_same", IMAGE, lambda: LAYERS.Conv2DTranspose(5, 2, 2, "same")),
    ("transposed_1d", SERIES, lambda: LAYERS.Conv1DTranspose(5, 3, 2)),
    ("transposed_3d", VOLUME, lambda: LAYERS.Conv3DTranspose(5, 2)),
    ("depthwise", IMAGE, lambda: LAYERS.DepthwiseConv2D(3)),
    (
        "depthwise_doubled",
        IMAGE,
        lambda: LAYERS.DepthwiseConv2D(3, 2, "same", 2),
    ),
    (
        "depthwise_dilated",
        IMAGE,
        lambda: LAYERS.DepthwiseConv2D(2, dilation_rate=2),
    ),
    (
        "depthwise_1d",
        SERIES,
        lambda: LAYERS.DepthwiseConv1D(3, depth_multiplier=3),
    ),
    ("separable", IMAGE, lambda: LAYERS.SeparableConv2D(5, 3)),
    (
        "separable_doubled",
        IMAGE,
        lambda: LAYERS.SeparableConv2D(5, 3, depth_multiplier=2),
    ),
    (
        "separable_strided",
        IMAGE,
        lambda: LAYERS.SeparableConv2D(5, 3, 2, "same"),
    ),
    (
        "separable_1d",
        SERIES,
        lambda: LAYERS.SeparableConv1D(5, 3, depth_multiplier=2),
    ),
)


class ConvTest(exactness.ExactnessTestCase):
    @parameterized.named_parameters(*CONVOLUTIONS)
    def test_masked_channels_are_removed(self, shape, layer):
        self.assert_exact(models.around(lambda x: layer()(x), shape))

    @parameterized.named_parameters(*CONVOLUTIONS)
    def test_silent_channels_are_removed(self, shape, layer):
        model = models.around(lambda x: layer()(x), shape)
        self.assert_exact(model, rate=0.0, silence=0.5, removes=None)

    @parameterized.parameters(
        (LAYERS.Conv1D, (3, 8), 6),
        (LAYERS.Conv2D, (3, 8, 8), 6),
        (LAYERS.Conv2DTranspose, (3, 4, 4), 6),
        (LAYERS.SeparableConv2D, (3, 8, 8), 6),
    )
    def test_a_bias_that_keras_adds_along_the_width(self, kind, shape, filters):
        """It does on TensorFlow, where channels are as many as columns."""
        if keras.backend.backend() != "tensorflow":
            self.skipTest("adds it as numpy does")
        inputs = keras.Input(shape)
        x = kind(filters, 3, data_format="channels_first")(inputs)
        self.assertEqual(x.shape[-1], filters)
        x = LAYERS.Flatten(data_format="channels_first")(LAYERS.ReLU()(x))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = exactness.strip_masked(model)
        self.assertEqual(exactness.faults(found), [])
        self.assertEqual(int(found.graph.removable.sum()), 0)

    @parameterized.parameters(
        lambda: LAYERS.Conv1D(8, 3, **FIRST),
        lambda: LAYERS.Conv2D(8, 3, **FIRST),
        lambda: LAYERS.Conv2DTranspose(8, 3, **FIRST),
        lambda: LAYERS.DepthwiseConv2D(3, depth_multiplier=2, **FIRST),
        lambda: LAYERS.SeparableConv2D(8, 3, **FIRST),
    )
    def test_as_many_channels_as_columns_are_not_left(self, layer):
        """Keras on TensorFlow would add the bias along the width."""
        layer = layer()
        one = isinstance(layer, LAYERS.Conv1D)
        inputs = keras.Input((3, 6) if one else (3, 5, 6))
        x = inputs
        if isinstance(layer, LAYERS.DepthwiseConv2D):
            x = LAYERS.Conv2D(4, 1, use_bias=False, **FIRST)(x)
        x = LAYERS.Flatten(data_format="channels_first")(layer(x))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        for seed in range(3):
            for rate in (0.25, 0.4):
                found = exactness.strip_masked(model, rate, seed)
                self.assertEqual(exactness.faults(found), [])
                self.assertTrue(found.graph.removable.any())

    @parameterized.named_parameters(
        ("conv", lambda: LAYERS.Conv2D(5, 3, data_format="channels_first")),
        (
            "groups",
            lambda: LAYERS.Conv2D(6, 3, data_format="channels_first", groups=2),
        ),
        (
            "depthwise",
            lambda: LAYERS.DepthwiseConv2D(
                3, data_format="channels_first", depth_multiplier=2
            ),
        ),
        (
            "separable",
            lambda: LAYERS.SeparableConv2D(5, 3, data_format="channels_first"),
        ),
        (
            "transposed",
            lambda: LAYERS.Conv2DTranspose(5, 3, data_format="channels_first"),
        ),
    )
    def test_channels_first_counts_as_channels_last(self, layer):
        # Its kernels do not run on a CPU: the reading is compared.
        config = layer().get_config()
        twin = type(layer()).from_config(
            config | {"data_format": "channels_last"}
        )

        def model(shape, first, layer, data_format):
            inputs = keras.Input(shape)
            x = LAYERS.Conv2D(6, 1, data_format=data_format)(inputs)
            x = LAYERS.Conv2D(4, 1, data_format=data_format)(layer(x))
            x = LAYERS.GlobalAveragePooling2D(data_format=data_format)(x)
            return keras.Model(inputs, LAYERS.Dense(2)(x))

        before = model((3, 7, 9), True, layer(), "channels_first")
        after = model((7, 9, 3), False, twin, "channels_last")
        a, b = read.channel_graph(before), read.channel_graph(after)
        self.assertEqual(_summary(a), _summary(b))
        first, last = (vars(counting.Meter(g).cost()) for g in (a, b))
        # Only a file has turns, from and to kernels with channels last.
        in_file = ("flash_bytes", "ram_bytes", "image_bytes")
        for name in first:
            if name in in_file:
                self.assertGreater(first[name], last[name])
            else:
                self.assertEqual(first[name], last[name], name)

    def test_multiply_adds_of_each_kind(self):
        inputs = keras.Input((8, 8, 6))
        outputs = [
            LAYERS.Conv2D(4, 3)(inputs),  # 6*6 positions
            LAYERS.Conv2D(4, 3, 2, "same", groups=2)(inputs),  # 4*4
            LAYERS.DepthwiseConv2D(3, depth_multiplier=2)(inputs),
            LAYERS.SeparableConv2D(4, 3, depth_multiplier=2)(inputs),
            LAYERS.Conv2DTranspose(4, 3, 2)(inputs),
        ]
        rows = counting.Meter(
            read.channel_graph(keras.Model(inputs, outputs))
        ).by_layer()
        self.assertEqual(
            [row.macs for row in rows],
            [
                36 * 9 * 6 * 4,
                16 * 9 * 3 * 4,
                36 * 9 * 12,
                36 * 9 * 12 + 36 * 12 * 4,
                64 * 9 * 6 * 4,
            ],
        )


def filters(*shape):
    values = np.random.default_rng(0).normal(size=shape)
    return values.astype("float32")


class OpsTest(exactness.ExactnessTestCase):
    @parameterized.parameters(
        (IMAGE, lambda x: OPS.depthwise_conv(x, filters(3, 3, 6, 1), 2)),
        (IMAGE, lambda x: OPS.depthwise_conv(x, filters(2, 2, 6, 2))),
        (SERIES, lambda x: OPS.depthwise_conv(x, filters(3, 6, 1))),
    )
    def test_arrays_that_blur_lose_channels(self, shape, body):
        found = self.assert_exact(models.around(body, shape), silence=0.2)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 4)

    @parameterized.parameters(
        (lambda x: OPS.conv(x, filters(3, 3, 6, 6)), 16 * 9 * 36),
        (lambda x: OPS.depthwise_conv(x, filters(3, 3, 6, 2)), 16 * 9 * 12),
    )
    def test_work(self, body, macs):
        graph = read.channel_graph(models.around(body))
        self.assertEmpty(graph.unknown)
        rows = counting.Meter(graph).by_layer()
        self.assertEqual(rows[1].macs, macs)

    def test_an_array_that_reads_channels_keeps_them(self):
        model = models.around(lambda x: OPS.conv(x, filters(3, 3, 6, 6)))
        graph = read.channel_graph(model)
        self.assertEqual(int(graph.removable.sum()), 4)
        reasons = {reason for _, _, reason in graph.reasons}
        self.assertIn("channels meet in a convolution", reasons)


def _summary(graph):
    return [
        (len(g), len(g.writers), len(g.readers), bool(g.frozen))
        for g in graph.groups
        if not g.frozen
    ]


if __name__ == "__main__":
    absltest.main()
