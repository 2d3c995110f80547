"""Turns around layers whose channels are first, as read off exported files."""

import keras
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs import file_ops
from tfprune.graph import read

LAYERS = keras.layers
FIRST = {"data_format": "channels_first"}


def conv(filters, **options):
    return LAYERS.Conv2D(filters, 3, padding="same", **options, **FIRST)


def conv_of_rows(filters, **options):
    return LAYERS.Conv1D(filters, 3, **options, **FIRST)


def residual(x):
    x = conv(4)(x)
    return x + conv(4)(x)


def pooled(x):
    x = LAYERS.MaxPooling2D(2, **FIRST)(conv(4, activation="tanh")(x))
    return LAYERS.GlobalAveragePooling2D(**FIRST)(x)


def kinds_of(shape, body):
    inputs = keras.Input(shape)
    graph = read.channel_graph(keras.Model(inputs, body(inputs)))
    return " ".join(op.kind for op in file_ops.of(graph).ops)


class ChannelsLastTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("one", conv(4), "TRANSPOSE CONV_2D TRANSPOSE"),
        (
            "two",
            lambda x: conv(5)(LAYERS.BatchNormalization(1)(conv(4)(x))),
            "TRANSPOSE CONV_2D CONV_2D TRANSPOSE",
        ),
        ("residual", residual, "TRANSPOSE CONV_2D CONV_2D ADD TRANSPOSE"),
        (
            "pools",
            pooled,
            "TRANSPOSE CONV_2D TANH MAX_POOL_2D TRANSPOSE MEAN",
        ),
        (
            "flattened",
            lambda x: LAYERS.Flatten(**FIRST)(conv(4)(x)),
            "TRANSPOSE CONV_2D RESHAPE",
        ),
        (
            "flattened as it is",
            lambda x: LAYERS.Flatten()(conv(4)(x)),
            "TRANSPOSE CONV_2D TRANSPOSE RESHAPE",
        ),
    )
    def test_of_maps(self, body, kinds):
        self.assertEqual(kinds_of((3, 8, 8), body), kinds)

    @parameterized.named_parameters(
        ("one", conv_of_rows(4, activation="relu"), 1, ""),
        ("two", lambda x: conv_of_rows(5)(conv_of_rows(4)(x)), 2, ""),
        (
            "scaled",
            lambda x: LAYERS.BatchNormalization(1)(conv_of_rows(4)(x)),
            1,
            " MUL ADD",
        ),
    )
    def test_of_rows(self, body, times, behind):
        one = "RESHAPE TRANSPOSE CONV_2D TRANSPOSE RESHAPE ADD"
        kinds = " ".join([one] * times) + behind
        self.assertEqual(kinds_of((3, 9), body), kinds)


if __name__ == "__main__":
    absltest.main()
