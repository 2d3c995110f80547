import dataclasses
import importlib.util
import os
from unittest import mock

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.callbacks import prune_on_schedule
from tfprune.export.convert import mixed
from tfprune.export.file import weight_ops
from tfprune.export.run import interpreter
from tfprune.methods import bitpruning
from tfprune.methods import masked_channels
from tfprune.sparsity import chain
from tfprune.sparsity import wrapping
from tfprune.training import bit_lengths

layers = keras.layers
NEEDED = ("ai_edge_quantizer", "ai_edge_litert", "tensorflow")


def images(count=32):
    random = np.random.default_rng(0)
    return random.normal(size=(count, 8, 8, 3)).astype("float32")


def net():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU()(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depth")(x)
    y = layers.Conv2D(8, 1, name="conv_1")(x)
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
    x = layers.Dense(64, "relu", name="hidden")(x)
    model = keras.Model(inputs, layers.Dense(5, name="head")(x), name="net")
    random = np.random.default_rng(1)
    norm = model.get_layer("norm")
    norm.gamma.assign(random.normal(size=8))
    norm.moving_variance.assign(random.uniform(0.5, 2, 8))
    return model


def final(bits, method=None):
    model = wrapping.wrap(net(), method or bitpruning.BitPruning())
    model(images(), training=True)
    for (_, slot), n in zip(bit_lengths.places(model), bits, strict=True):
        slot["bit_length"].assign(n)
    return bit_lengths.finalize(model)


class MatchTest(absltest.TestCase):
    def op(self, rows, op="CONV_2D"):
        return weight_ops.WeightOp(op, "y", "float32", "float32", rows)

    def test_kernels_are_found_by_their_weights(self):
        random = np.random.default_rng(0)
        conv = random.normal(size=(3, 3, 2, 4))
        other = random.normal(size=(3, 3, 2, 4))
        depth = random.normal(size=(3, 3, 4, 2))
        scaled = other * np.array([2.0, -1.0, 0.1, 0.0])
        other[..., 3] = 0
        ops = [
            self.op(np.moveaxis(scaled, -1, 0).reshape(4, -1)),
            self.op(np.moveaxis(conv, -1, 0).reshape(4, -1)),
            self.op(depth.reshape(9, 8).T, "DEPTHWISE_CONV_2D"),
        ]
        layer = layers.Conv2D(4, 3)
        kernels = {
            "conv": (layer, "kernel", conv),
            "depth": (layers.DepthwiseConv2D(3), "kernel", depth),
            "other": (layer, "kernel", other),
            "gone": (layer, "kernel", conv + 1),
        }
        found = weight_ops.match(kernels, ops)
        self.assertEqual(found, {"conv": 1, "depth": 2, "other": 0})


class RefusalTest(parameterized.TestCase):
    def path(self):
        return os.path.join(self.create_tempdir(), "model.tflite")

    def test_the_extra_is_named_where_its_package_is_missing(self):
        real = importlib.util.find_spec
        with mock.patch.object(
            importlib.util,
            "find_spec",
            lambda name: None if name == "ai_edge_quantizer" else real(name),
        ):
            with self.assertRaisesRegex(ImportError, r"tfprune\[quantizer\]"):
                mixed.export_bits(net(), self.path(), images())

    def test_only_finalised_models(self):
        learned = wrapping.wrap(net(), bitpruning.BitPruning())
        with mock.patch.object(mixed.packages, "require"):
            for model in (net(), learned):
                with self.assertRaisesRegex(ValueError, "fixed.*'net'"):
                    mixed.export_bits(model, self.path(), images())


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, NEEDED)),
    reason="needs ai-edge-quantizer, ai-edge-litert and TensorFlow",
)
@pytest.mark.slow  # Converts and quantizes a model, three times.
class ExportTest(parameterized.TestCase):
    def path(self):
        return os.path.join(self.create_tempdir(), "model.tflite")

    def test_layers_are_stored_in_int4_int8_and_float(self):
        model = final([4, 8, 3, 8, 2, 8, 7, 8, 12, 5])
        path = self.path()
        stored = mixed.export_bits(model, path, images())
        self.assertEqual(
            [dataclasses.astuple(row) for row in stored.layers],
            [
                ("conv/kernel", 4, 8, "int4", "int8", ""),
                (
                    "depth/kernel",
                    *(3, 8, "int8", "int8"),
                    "weights of DEPTHWISE_CONV_2D are stored in 8 bits at "
                    "least",
                ),
                (
                    "conv_1/kernel",
                    *(2, 8, "int4", "int8"),
                    "weights of CONV_2D are stored in 4 bits at least",
                ),
                (
                    "hidden/kernel",
                    *(7, 8, "int8", "int8"),
                    "there is no type between int4 and int8",
                ),
                (
                    "head/kernel",
                    *(12, 5, "float32", "float32"),
                    "weights of more than 8 bits stay in float; activations "
                    "are stored as float32",
                ),
            ],
        )
        self.assertLen(stored.unmapped, 4)
        self.assertEqual(stored.file.file_bytes, os.path.getsize(path))

    # TFLite Micro has no kernel for dense layers in int4.
    @parameterized.parameters(("tflite", 4), ("reference", 4), ("micro", 8))
    def test_the_file_computes_what_the_model_does(self, runtime, dense_bits):
        if runtime == "micro" and not importlib.util.find_spec("tflite_micro"):
            self.skipTest("tflite_micro is not installed")
        model = final([4, 8, 8, 8, 4, 8, dense_bits, 8, 8, 8])
        path = self.path()
        mixed.export_bits(model, path, images())
        expected = np.asarray(model(images(), training=False))
        found = interpreter.run(path, images(), runtime)
        error = np.abs(found - expected).max()
        self.assertLess(error, 0.1 * np.ptp(expected))

    def test_channels_are_stripped_and_other_layers_are_said(self):
        methods = masked_channels.MaskedChannels(), bitpruning.BitPruning()
        inputs = keras.Input((6, 6, 3))
        x = layers.Conv2DTranspose(4, 3, name="up")(inputs)
        x = layers.Conv2D(8, 3, name="conv")(x)
        x = layers.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, layers.Dense(4, name="head")(x))
        model = wrapping.wrap(model, chain.Chain(methods))
        prune_on_schedule.prune_now(model, 0.5)
        for _, slot in bit_lengths.places(model):
            slot["bit_length"].assign(4)
        model = bit_lengths.finalize(model)
        x = images()[:, :6, :6]
        stored = mixed.export_bits(model, self.path(), x)
        found = {row.layer: row for row in stored.layers}
        self.assertIn("no convolution", found["up/kernel"].why)
        self.assertEqual(found["conv/kernel"].stored_weights, "int4")
        self.assertEqual(
            found["head/kernel"].why, "activations are stored as int8"
        )


if __name__ == "__main__":
    absltest.main()
