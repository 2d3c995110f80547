"""Layers of a user's own without a rule: followed where each channel stays."""

import keras
import numpy as np
from absl.testing import parameterized

import tfprune
from tfprune_test import exactness

LAYERS = keras.layers
ops = keras.ops


class Affine(LAYERS.Layer):
    def build(self, shape):
        self.factor = self.add_weight((shape[-1],), "random_normal")
        self.offset = self.add_weight((shape[-1],), "random_normal")

    def call(self, x):
        return x * self.factor + self.offset


class Limited(Affine):
    """Mixes the channels where they are large."""

    def call(self, x):
        norm = ops.norm(x, axis=-1, keepdims=True)
        return x * self.factor * ops.minimum(1.0, 50 / (norm + 1))


class Position(LAYERS.Layer):
    def build(self, shape):
        self._grid = self.add_weight((1, *shape[1:]), "random_normal")

    def call(self, x):
        return x + self._grid


class Sized(LAYERS.Layer):
    """Its config has the number of channels, and others of that size."""

    def __init__(self, sizes, power=8, **kwargs):
        super().__init__(**kwargs)
        self.sizes, self.power = sizes, power

    def build(self, shape):
        self.factors = [self.add_weight((self.sizes["out"],), "random_normal")]

    def call(self, x):
        return x * self.factors[0] + self.power

    def get_config(self):
        config = super().get_config()
        return {**config, "sizes": self.sizes, "power": self.power}


class WeightedSum(LAYERS.Layer):
    def build(self, shapes):
        self.weight = self.add_weight((len(shapes),), "random_normal")

    def call(self, tensors):
        return sum(x * self.weight[i] for i, x in enumerate(tensors))


class Pooled(LAYERS.Layer):
    """A learned weight of each place: the output has another rank."""

    def build(self, shape):
        self.places = self.add_weight((*shape[1:-1], 1), "random_normal")

    def call(self, x):
        return ops.sum(x * self.places, (1, 2))


class Mixing(LAYERS.Layer):
    """Starts as the identity, as an adapter does."""

    def build(self, shape):
        self.kernel = self.add_weight((shape[-1], shape[-1]), "zeros")

    def call(self, x):
        return x + ops.matmul(x, self.kernel)


class Averaging(LAYERS.Layer):
    def build(self, shape):
        self.factor = self.add_weight((shape[-1],), "ones")

    def call(self, x):
        return x * self.factor - ops.mean(x, -1, keepdims=True)


class Counting(LAYERS.Layer):
    def build(self, shape):
        self.factor = self.add_weight((shape[-1],), "ones")

    def call(self, x):
        return x * self.factor / x.shape[-1]


class FirstApart(LAYERS.Layer):
    def build(self, shape):
        self.factor = self.add_weight((shape[-1],), "ones")

    def call(self, x):
        first = ops.one_hot(0, x.shape[-1])
        return x * (self.factor + first)


class Rolling(LAYERS.Layer):
    def build(self, shape):
        self.factor = self.add_weight((shape[-1],), "ones")

    def call(self, x):
        return x * self.factor + ops.roll(x, 1, -1)


class Remembering(LAYERS.Layer):
    def build(self, shape):
        self.last = self.add_weight((shape[-1],), "zeros", trainable=False)

    def call(self, x):
        self.last.assign(ops.mean(x, tuple(range(len(x.shape) - 1))))
        return x * self.last


def around(*layers):
    """A network in which 8 channels come to a layer."""
    inputs = keras.Input((6, 6, 3))
    found = [
        LAYERS.Conv2D(8, 3, activation="relu", name=f"before_{i}")(inputs)
        for i in range(2 if isinstance(layers[0], WeightedSum) else 1)
    ]
    x = found if len(found) > 1 else found[0]
    for layer in layers:
        x = layer(x)
    if len(x.shape) == 4:
        x = LAYERS.Conv2D(5, 2, name="after")(x)
        x = LAYERS.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, LAYERS.Dense(2)(x))


class ChannelwiseTest(exactness.ExactnessTestCase):
    @parameterized.parameters(
        [[Affine()]],
        [[Position()]],
        [[Sized({"out": 8, "in": 3})]],
        [[WeightedSum()]],
        [[Pooled()]],
        [[Affine(), Position(), Affine()]],
    )
    def test_what_treats_each_channel_alone_is_followed(self, layers):
        model = around(*layers)
        self.assertEmpty(tfprune.channel_graph(model).unknown)
        self.assert_exact(model)
        small = tfprune.prune(model, 0.5)
        self.assertEqual(small.get_layer("before_0").filters, 4)
        x = np.random.default_rng(0).normal(size=(2, 6, 6, 3))
        self.assertEqual(small(x).shape, (2, 2))

    def test_only_the_number_that_counts_channels_changes(self):
        small = tfprune.prune(around(Sized({"out": 8}, name="own")), 0.5)
        layer = small.get_layer("own")
        self.assertEqual((layer.sizes, layer.power), ({"out": 4}, 8))

    @parameterized.parameters(
        Mixing,
        Averaging,
        Limited,
        Counting,
        FirstApart,
        Rolling,
        Remembering,
    )
    def test_what_does_more_stays(self, kind):
        model = around(kind(name="own"))
        graph = tfprune.channel_graph(model)
        self.assertEqual(graph.unknown, {"own": kind.__name__})
        small = tfprune.prune(model, 0.5)
        self.assertEqual(small.get_layer("before_0").filters, 8)
        self.assertLess(small.get_layer("after").filters, 5)

    def test_the_layer_itself_is_not_touched(self):
        layer = Affine()
        model = around(layer)
        before = [np.array(v) for v in layer.get_weights()]
        tfprune.channel_graph(model)
        for old, new in zip(before, layer.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


if __name__ == "__main__":
    parameterized.absltest.main()
