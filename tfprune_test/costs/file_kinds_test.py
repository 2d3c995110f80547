"""Ops that are predicted, against those of exported files."""

import pathlib

import keras
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs import code_size
from tfprune.costs import file_kinds
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


class FileKindsTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("lstm", recurrent(LAYERS.LSTM)),
        ("gru", recurrent(LAYERS.GRU)),
        ("both ways", recurrent(LAYERS.LSTM, LAYERS.Bidirectional)),
        ("attention", attention),
        ("grouped attention", grouped_attention),
        ("squeezed", squeezed),
        ("on sequences", on_sequences),
        ("of each value", of_each_value),
    )
    def test_the_code_is_that_of_the_file(self, build):
        model = build()
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        small_models.export(model, path, "int8", small_models.samples(model, 9))
        wanted = code_size.of(set(map(str, model_file.read(path).ops)))
        found = code_size.of(file_kinds.of(read.channel_graph(model)))
        # Which op the converter takes for the same thing may vary.
        self.assertAlmostEqual(found.op_bytes / wanted.op_bytes, 1, delta=0.1)


if __name__ == "__main__":
    absltest.main()
