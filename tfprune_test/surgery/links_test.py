import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune import zoo
from tfprune.graph import read
from tfprune.surgery import links
from tfprune.surgery import whole_blocks

LAYERS = keras.layers


def names(model):
    found = links.find(read.channel_graph(model))
    return [" ".join(step.layer for step in link) for link in found]


def plain(sequential=False):
    """Kernels of one shape, between others."""
    layers = [
        LAYERS.Conv2D(6, 3, name="stem"),
        LAYERS.ReLU(name="stem_relu"),
        LAYERS.Conv2D(6, 3, padding="same", name="first"),
        LAYERS.BatchNormalization(name="first_norm"),
        LAYERS.ReLU(name="first_relu"),
        LAYERS.DepthwiseConv2D(3, padding="same", name="depth"),
        LAYERS.BatchNormalization(name="depth_norm"),
        LAYERS.Conv2D(6, 1, name="second"),
        LAYERS.ReLU(name="second_relu"),
        LAYERS.ZeroPadding2D(1, name="padding"),
        LAYERS.Conv2D(6, 3, name="third"),
        LAYERS.Dropout(0.5, name="dropout"),
        LAYERS.Conv2D(8, 3, padding="same", name="wider"),
        LAYERS.GlobalAveragePooling2D(name="mean"),
        LAYERS.Dense(8, name="dense"),
        LAYERS.Dense(8, name="classes"),
    ]
    if sequential:
        return keras.Sequential([keras.Input((12, 12, 3)), *layers])
    inputs = x = keras.Input((12, 12, 3))
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


PLAIN = [
    "first first_norm first_relu",
    "depth depth_norm second second_relu",
    "padding third",
    "dense",
]


class FindTest(parameterized.TestCase):
    @parameterized.parameters(False, True)
    def test_a_link_reaches_to_the_next_kernel(self, sequential):
        self.assertEqual(names(plain(sequential)), PLAIN)

    def test_the_links_of_a_keyword_network(self):
        found = names(zoo.build("ds_cnn"))
        self.assertLen(found, 4)
        for link in found:
            self.assertStartsWith(link, "depthwise_conv2d")
            self.assertNotIn("dropout", link)

    def test_what_something_else_reads_is_no_link(self):
        inputs = keras.Input((8, 8, 4))
        x = LAYERS.Conv2D(4, 3, padding="same", name="a")(inputs)
        y = LAYERS.ReLU(name="a_relu")(x)
        z = LAYERS.Conv2D(4, 3, padding="same", name="b")(y)
        model = keras.Model(inputs, LAYERS.Concatenate()([x, z]))
        self.assertEqual(names(model), ["a", "b"])

    def test_a_shared_layer_and_an_output_are_none(self):
        inputs = keras.Input((4,))
        shared = LAYERS.Dense(4)
        x = LAYERS.Dense(4, name="one")(shared(shared(inputs)))
        self.assertEqual(names(keras.Model(inputs, x)), [])


class RemovalTest(parameterized.TestCase):
    @parameterized.parameters(False, True)
    def test_the_chain_closes(self, sequential):
        model = plain(sequential)
        x = np.random.default_rng(0).normal(size=(5, 12, 12, 3))
        x = x.astype("float32")
        graph = read.channel_graph(model)
        found = whole_blocks.find(graph)
        small = whole_blocks.without(graph, [found[0], found[1], found[3]])
        self.assertIsInstance(small, type(model))
        self.assertEqual(names(small), ["padding third"])
        expected = x
        gone = " ".join((PLAIN[0], PLAIN[1], PLAIN[3])).split()
        for layer in model.layers:
            is_input = isinstance(layer, LAYERS.InputLayer)
            if layer.name not in gone and not is_input:
                expected = layer(expected)
        np.testing.assert_allclose(
            small.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6
        )

    @parameterized.parameters(False, True)
    def test_the_link_that_changes_least_goes_first(self, sequential):
        model = plain(sequential)
        kernel = np.zeros((3, 3, 6, 6), "float32")
        kernel[1, 1] = np.eye(6)
        model.get_layer("first").kernel.assign(kernel)
        x = np.random.default_rng(0).normal(size=(5, 12, 12, 3))
        small = tfprune.prune(model, tfprune.Budget(depth=3), data=x)
        self.assertEqual(names(small), PLAIN[1:])

    def test_kernels_that_shrink_maps_of_any_size_stay(self):
        inputs = keras.Input((None, None, 4))
        x = LAYERS.Conv2D(4, 3, padding="same", name="same")(inputs)
        x = LAYERS.Conv2D(4, 3, name="smaller")(x)
        x = LAYERS.ReLU()(LAYERS.Conv2D(4, 3, 2, name="half")(x))
        x = LAYERS.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        small = tfprune.prune(model, tfprune.Budget(depth=0))
        left = [layer.name for layer in small.layers]
        self.assertNotIn("same", left)
        self.assertContainsSubset(["smaller", "half"], left)

    @parameterized.parameters(80, 800)
    def test_long_kernels_on_inputs_of_any_size(self, length):
        inputs = keras.Input((None, 1))
        x = LAYERS.Conv1D(4, length, 4, name="long")(inputs)
        x = LAYERS.Conv1D(4, 3, padding="same", name="same")(x)
        x = LAYERS.Conv1D(4, 3, name="smaller")(x)
        x = LAYERS.GlobalAveragePooling1D()(x)
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        x = np.random.default_rng(0).normal(size=(2, 1000, 1))
        for data in (x, None):
            small = tfprune.prune(model, tfprune.Budget(depth=0), data=data)
            left = [layer.name for layer in small.layers]
            self.assertNotIn("same", left)
            self.assertContainsSubset(["long", "smaller"], left)

    @parameterized.parameters(("valid", 2000), ("same", 100))
    def test_strides_over_series_of_any_length(self, padding, length):
        inputs = keras.Input((None, 4))
        x = LAYERS.Conv1D(4, 3, padding="same", name="same")(inputs)
        for count in (4, 8, 8, 8):
            x = LAYERS.Conv1D(count, 5, strides=4, padding=padding)(x)
        x = LAYERS.GlobalAveragePooling1D()(x)
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        x = np.random.default_rng(0).normal(size=(3, length, 4))
        small = tfprune.prune(model, tfprune.Budget(depth=0), data=x)
        left = [layer.name for layer in model.layers if layer.name != "same"]
        self.assertEqual([layer.name for layer in small.layers], left)

    def test_none_may_stay_and_channels_go_as_well(self):
        model = zoo.build("ds_cnn")
        work = tfprune.cost(model).macs
        budget = tfprune.Budget(depth=0, macs=0.1)
        small = tfprune.prune(model, budget)
        self.assertEqual(names(small), [])
        self.assertLessEqual(tfprune.cost(small).macs, 0.1 * work)


if __name__ == "__main__":
    absltest.main()
