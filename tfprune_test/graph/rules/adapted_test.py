"""Layers with LoRA, and layers that were quantized."""

import keras
import numpy as np
from absl.testing import parameterized

import tfprune
from tfprune.graph import read
from tfprune.graph import values
from tfprune_test import exactness

LAYERS = keras.layers


def network():
    inputs = keras.Input((6,), dtype="int32")
    x = LAYERS.Embedding(20, 8, name="table")(inputs)
    x = LAYERS.EinsumDense("btc,cd->btd", (6, 6), bias_axes="d")(x)
    x = x + LAYERS.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = LAYERS.Conv1D(6, 3, padding="same", activation="relu")(x)
    x = LAYERS.GlobalAveragePooling1D()(x)
    x = LAYERS.Dense(8, "relu", name="wide")(x)
    return keras.Model(inputs, LAYERS.Dense(2, name="scores")(x))


def with_lora():
    model, rng = network(), np.random.default_rng(0)
    attention = model.get_layer("attention")
    for layer in [*values.layers_of(model), attention.query_dense]:
        if hasattr(layer, "enable_lora"):
            layer.enable_lora(2)
            for variable in layer.variables:
                if "lora" in variable.name:
                    variable.assign(rng.normal(size=variable.shape))
    return model


def quantized(mode):
    inputs = keras.Input((4,))
    x = LAYERS.Dense(8, "relu", name="first")(inputs)
    x = LAYERS.Dense(8, "relu", name="second")(x)
    x = LAYERS.Dense(8, "relu", name="third")(x)
    model = keras.Model(inputs, LAYERS.Dense(2)(x))
    model.get_layer("third").quantize(mode)
    return model


class LoraTest(exactness.ExactnessTestCase):
    def test_channels_go_through_the_adapters(self):
        found = self.assert_exact(with_lora())
        wide = found.small.get_layer("wide")
        self.assertTrue(wide.lora_enabled)
        self.assertEqual(wide.lora_kernel_b.shape, (2, wide.units))

    def test_a_kernel_of_zeros_beside_adapters_writes(self):
        model = with_lora()
        for layer in model.layers:
            for variable in layer.weights:
                if variable.name == "kernel":
                    variable.assign(keras.ops.zeros_like(variable))
        x = np.arange(12).reshape(2, 6)
        np.testing.assert_allclose(tfprune.strip(model)(x), model(x), atol=1e-5)

    def test_wrapping_names_what_it_leaves_out(self):
        model = with_lora()
        with self.assertLogs("absl", "WARNING") as logs:
            wrapped = tfprune.wrap(model, tfprune.methods.Masked())
        self.assertIn("table, einsum_dense", logs.output[0])
        x = np.arange(12).reshape(2, 6)
        np.testing.assert_allclose(wrapped(x), model(x), atol=1e-5)


class QuantizedTest(parameterized.TestCase):
    @parameterized.parameters("int8", "int4", "float8")
    def test_what_is_quantized_stays_and_the_rest_goes(self, mode):
        model = quantized(mode)
        graph = read.channel_graph(model)
        (reason,) = {r for _, path, r in graph.reasons if path == "third"}
        self.assertIn(f"quantized to {mode}; prune the model in float", reason)
        small = tfprune.prune(model, 0.5)
        units = [layer.units for layer in small.layers[1:]]
        self.assertEqual(units, [4, 8, 8, 2])
        x = np.ones((2, 4), "float32")
        again = tfprune.strip(model)
        np.testing.assert_allclose(again(x), model(x), atol=1e-5)
        wrapped = tfprune.wrap(model, tfprune.methods.Masked())
        self.assertIs(type(wrapped.get_layer("third")), keras.layers.Dense)
