"""Where gates can stand."""

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune import zoo
from tfprune.graph import read
from tfprune.methods import gates
from tfprune.methods import pcas
from tfprune.sparsity import method as method_lib
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend

layers = keras.layers
Gate = pcas.AttentionGate


def slot_of(model, path):
    return gates.layer_at(model, path).slots[method_lib.OUTPUTS]


class SitesTest(parameterized.TestCase):
    def test_gates_stand_after_the_activation_and_before_pooling(self):
        graph = read.channel_graph(small_nets.mixed())
        paths = [site.path for site in gates.sites(graph)]
        # relu: of the stem; sum: of the residual; down: fused.
        self.assertEqual(
            paths,
            [
                graph.model.layers[3].name,
                "depthwise",
                "sum",
                "down",
                "hidden",
            ],
        )
        skip = ("stem", "down")
        self.assertLen(gates.sites(graph, skip), 2)

    def test_channels_of_a_zoo_network_all_have_gates(self):
        graph = read.channel_graph(zoo.build("resnet20"))
        sites = gates.sites(graph)
        found = np.zeros(graph.size, bool)
        for site in sites:
            found[site.labels] = True
        np.testing.assert_array_equal(found & graph.removable, graph.removable)
        self.assertTrue(all("relu" in site.path for site in sites))

    def test_an_activation_that_many_share_has_no_gate(self):
        shared = layers.ReLU(name="shared")
        inputs = keras.Input((3,))
        x = shared(layers.Dense(4)(inputs))
        x = layers.ReLU(name="own")(layers.Dense(4, name="d")(x))
        x = shared(layers.Dense(5)(x))
        graph = read.channel_graph(keras.Model(inputs, layers.Dense(2)(x)))
        self.assertEqual([s.path for s in gates.sites(graph)], ["own"])
        with self.assertRaisesRegex(ValueError, "a layer of its own"):
            gates.attach(graph, Gate(), skip="d")

    def test_the_axis_is_that_of_each_layer(self):
        inputs = keras.Input((4, 5, 3))
        x = layers.Conv2D(6, 1, activation="relu", name="last")(inputs)
        x = layers.Permute((3, 1, 2))(layers.Conv2D(7, 1)(x))
        x = layers.ReLU(name="first")(x)
        x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
        graph = read.channel_graph(keras.Model(inputs, layers.Dense(2)(x)))
        axes = {s.path: s.axis for s in gates.sites(graph)}
        self.assertEqual(axes, {"last": -1, "first": -3})
        gated = gates.attach(graph, Gate())
        self.assertEqual(slot_of(gated, "first")["mean"].shape, (7,))

    def test_layers_in_nested_models_get_gates(self):
        inner = keras.Sequential(
            [
                keras.Input((3,)),
                layers.Dense(6, name="x"),
                layers.ReLU(name="y"),
                layers.Dense(5, activation="relu", name="z"),
            ],
            name="inner",
        )
        inner.trainable = False
        inputs = keras.Input((3,))
        model = keras.Model(inputs, layers.Dense(2)(inner(inputs)))
        graph = read.channel_graph(model)
        self.assertEqual(
            [s.path for s in gates.sites(graph)], ["inner/y", "inner/z"]
        )
        gated = gates.attach(graph, Gate())
        trained = gates.frozen(gated)
        self.assertLen(trained.trainable_variables, 8)
