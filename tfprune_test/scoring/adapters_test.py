"""Weights with LoRA score as those of the merged model."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph import values
from tfprune.scoring import adapters
from tfprune.scoring import score

LAYERS = keras.layers


def network():
    inputs = keras.Input((6,))
    x = LAYERS.Embedding(12, 8)(inputs)
    x = LAYERS.MultiHeadAttention(2, 3)(x, x)
    x = LAYERS.EinsumDense("btc,cd->btd", (None, 5), bias_axes="d")(x)
    x = LAYERS.Conv1D(4, 3, padding="same", activation="relu")(x)
    x = LAYERS.GlobalAveragePooling1D()(x)
    x = LAYERS.Dense(8, "relu")(x)
    return keras.Model(inputs, LAYERS.Dense(2)(x))


def adapted_and_merged():
    adapted, rng = network(), np.random.default_rng(0)
    for layer in values.layers(adapted):
        if hasattr(layer, "enable_lora"):
            layer.enable_lora(2)
            for variable in layer.variables:
                if variable.name.startswith("lora_"):
                    variable.assign(rng.normal(size=variable.shape))
    merged = network()
    pairs = zip(values.layers(adapted), values.layers(merged), strict=True)
    for old, new in pairs:
        if hasattr(old, "enable_lora"):
            for variable in new.variables:
                variable.assign(getattr(old, variable.name))
    return adapted, merged


class AdaptersTest(parameterized.TestCase):
    @parameterized.parameters(
        *("l1", "l2", "fpgm", "lamp", "l1_greedy", "group_norm", "synflow"),
        *("taylor", "fisher"),
    )
    def test_scores_are_those_of_the_merged_model(self, name):
        rng = np.random.default_rng(0)
        data = rng.integers(0, 12, (8, 6)), rng.normal(size=(8, 2))
        scores = []
        for model in adapted_and_merged():
            model.compile(loss="mse")
            graph = read.channel_graph(model)
            found = score.channel_scores(graph, name, data)
            scores.append(found[graph.removable])
        np.testing.assert_allclose(*scores, rtol=1e-3, atol=1e-5)

    def test_the_greedy_choice_is_that_of_the_merged_model(self):
        kept = []
        for model in adapted_and_merged():
            graph = read.channel_graph(model)
            scores = score.channel_scores(graph, "l1")
            keep = scores >= np.median(scores)
            greedy = score.as_criterion("l1_greedy")
            kept.append(greedy.refine(graph, keep).tolist())
        self.assertEqual(*kept)

    def test_quantized_weights_are_left_out(self):
        inputs = keras.Input((6,))
        layer = LAYERS.Dense(4)
        model = keras.Model(inputs, layer(inputs))
        layer.quantize("int8")
        layer.enable_lora(2)
        self.assertEqual(adapters.merged(read.channel_graph(model)), {})


if __name__ == "__main__":
    absltest.main()
