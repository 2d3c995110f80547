import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.surgery import stripping
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers
OPS = keras.ops


class Mish(LAYERS.Layer):
    def call(self, x):
        return x * OPS.tanh(OPS.softplus(x))


class Residual(LAYERS.Layer):
    """A block with layers of its own, one of them a composite."""

    def __init__(self, filters=6, **kwargs):
        super().__init__(**kwargs)
        self.first = LAYERS.Conv2D(5, 3, padding="same")
        self.norm = LAYERS.BatchNormalization()
        self.second = LAYERS.Conv2D(filters, 3, padding="same")
        self.mish = Mish()
        self.dropout = LAYERS.Dropout(0.2)

    def build(self, shape):
        self.first.build(shape)
        shape = self.first.compute_output_shape(shape)
        self.norm.build(shape)
        self.second.build(shape)
        self.built = True

    def call(self, x, training=None):
        y = self.mish(self.norm(self.first(x), training=training))
        y = self.dropout(y, training=training)
        return self.mish(self.second(y) + x)


class Stage(LAYERS.Layer):
    """Two inputs, a flag and two outputs; blocks in a list."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Residual(), Residual()]
        self.last = LAYERS.Conv2D(5, 1)

    def build(self, x_shape, y_shape=None):
        for block in self.blocks:
            block.build(x_shape)
        self.last.build(x_shape)
        self.built = True

    def call(self, x, y=None, double=False):
        for block in self.blocks:
            x = block(x)
        if y is not None:
            x = x + y
        x = x * 2 if double else x
        return self.last(x), OPS.mean(x, axis=(1, 2))


class Scaled(LAYERS.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.factor - OPS.mean(x, -1, keepdims=True)


class Halved(LAYERS.Layer):
    """Other numbers in training, the same ops."""

    def call(self, x, training=None):
        x = x - OPS.mean(x, -1, keepdims=True)
        return x * (0.5 if training else 0.75)


class Concrete(LAYERS.Layer):
    """Needs arrays, not symbols."""

    def compute_output_shape(self, shape):
        return shape

    def call(self, x):
        return OPS.convert_to_tensor(x.numpy()[..., ::-1])


class MaskedMean(LAYERS.Layer):
    """Gets the mask of an embedding by itself."""

    supports_masking = True

    def call(self, x, mask=None):
        if mask is None:
            return OPS.mean(x, axis=1)
        weights = OPS.cast(mask, x.dtype)[..., None]
        return OPS.sum(x * weights, axis=1)


class SelfAttention(LAYERS.Layer):
    """Heads by reshapes, with sizes that are read off the input."""

    def __init__(self, heads=3, width=4, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.width = heads, width
        self.query, self.key, self.value = (
            LAYERS.Dense(heads * width) for _ in range(3)
        )
        self.last = LAYERS.Dense(8)

    def build(self, shape):
        for layer in (self.query, self.key, self.value):
            layer.build(shape)
        self.last.build((*shape[:-1], self.heads * self.width))
        self.built = True

    def call(self, x):
        batch, steps, _ = OPS.shape(x)
        shape = batch, steps, self.heads, self.width
        query, key, value = (
            OPS.transpose(OPS.reshape(layer(x), shape), (0, 2, 1, 3))
            for layer in (self.query, self.key, self.value)
        )
        scores = query @ OPS.transpose(key, (0, 1, 3, 2)) * self.width**-0.5
        y = OPS.transpose(OPS.softmax(scores) @ value, (0, 2, 1, 3))
        return self.last(OPS.reshape(y, (batch, -1, self.heads * self.width)))


class Narrow(LAYERS.MultiHeadAttention):
    """Takes an argument that the method for shapes does not know."""

    def call(self, query, value, cache=None):
        if cache is not None:
            raise ValueError("no cache is expected")
        return super().call(query, value)


class Cached(LAYERS.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = Narrow(2, 3)

    def build(self, shape):
        self.attention.build(shape, shape)
        self.built = True

    def call(self, x):
        return self.attention(x, x, cache=None)


class Dotted(LAYERS.Layer):
    """Keras takes the sizes of its output in the wrong order."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = LAYERS.EinsumDense("...c,cd->...d", (4,))
        self.after = LAYERS.Conv2D(2, 1)

    def build(self, shape):
        self.dense.build(shape)
        self.after.build((*shape[:-1], 4))
        self.built = True

    def call(self, x):
        return self.after(self.dense(x))


class Backbone(keras.Model):
    """Writes a config of its own, as backbones of model libraries do."""

    def __init__(self, length=None):
        inputs = keras.Input((length, 5))
        x = SelfAttention()(LAYERS.Dense(8)(inputs))
        super().__init__(inputs, LAYERS.Dense(6)(x))
        self.length = length

    def get_config(self):
        return {"length": self.length}


def two_inputs():
    inputs = keras.Input(models.IMAGE)
    x, y = LAYERS.Conv2D(6, 1)(inputs), LAYERS.Conv2D(6, 1)(inputs)
    outputs = Stage()(x, y=y, double=True)
    return keras.Model(inputs, [LAYERS.Dense(2)(x) for x in outputs])


def shared():
    block = Residual()
    return models.around(lambda x: block(block(x)))


def sequential():
    layers = [LAYERS.Conv2D(6, 1), Residual(), Mish(), LAYERS.Flatten()]
    return keras.Sequential(
        [keras.Input(models.IMAGE), *layers, LAYERS.Dense(2)]
    )


def nested():
    inner = keras.Sequential([keras.Input((6, 6, 6)), Residual(), Mish()])
    return models.around(inner)


def function():
    layer = LAYERS.Lambda(lambda x: x * 2 + OPS.relu(x))
    return models.around(layer)


def masked():
    inputs = keras.Input((7,), dtype="int32")
    x = LAYERS.Embedding(20, 8, mask_zero=True)(inputs)
    return keras.Model(inputs, LAYERS.Dense(2)(MaskedMean()(x)))


def of_fixed_length():
    inputs = keras.Input((7, 5))
    return keras.Model(inputs, LAYERS.Dense(2)(Backbone()(inputs)))


class OpeningTest(exactness.ExactnessTestCase):
    @parameterized.parameters(
        (lambda: models.around(Mish()), 6 + 4),
        (lambda: models.around(Residual()), 6 + 5 + 4),
        (two_inputs, 6 + 5 + 5 + 5),
        (shared, 6 + 5 + 4),
        (sequential, 6 + 5),
        (nested, 6 + 5 + 4),
        (function, 6 + 4),
    )
    def test_what_layers_call_is_read(self, build, removable):
        for silence in (0.0, 0.3):
            found = self.assert_exact(build(), silence=silence)
            self.assertEqual(int(found.graph.removable.sum()), removable)

    @parameterized.parameters(
        (Scaled, "weights of its own"),
        (Halved, "something else in training"),
        (Concrete, "cannot be traced"),
    )
    def test_what_stays_whole_and_why(self, cls, reason):
        if cls is Concrete and keras.backend.backend() != "tensorflow":
            self.skipTest("a tensor of TensorFlow has numpy()")
        model = models.around(cls(name="whole"))
        found = self.assert_exact(model, unknown=[cls.__name__])
        self.assertEqual(int(found.graph.removable.sum()), 4)
        self.assertIn(reason, str(found.graph))
        self.assertIsInstance(found.small.get_layer("whole"), cls)

    def test_masks_that_keras_hands_on(self):
        model = masked()
        found = self.assert_exact(model, removes=False, unknown=["MaskedMean"])
        self.assertIn("hands masks", str(found.graph))

    def test_a_trace_that_is_not_the_layer(self):
        inputs = keras.Input((1, 5, 3))
        x = LAYERS.Flatten()(Dotted()(inputs))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = exactness.strip_masked(model)
        self.assertLess(found.error, exactness.TOLERANCE)

    def test_heads_made_by_reshapes(self):
        model = keras.Sequential(
            [
                keras.Input((7, 5)),
                LAYERS.Dense(6),
                SelfAttention(name="attention"),
                LAYERS.Dense(2),
            ]
        )
        found = self.assert_exact(model, silence=0.3)
        # Units before, heads, and what comes out.
        self.assertEqual(int(found.graph.removable.sum()), 6 + 3 + 8)

    def test_a_model_that_writes_its_own_config(self):
        found = self.assert_exact(of_fixed_length())
        self.assertEqual(int(found.graph.removable.sum()), 8 + 3 + 8 + 6)
        # Of unknown length, its blocks cannot be traced.
        model = Backbone()
        found = self.assert_exact(
            model, removes=None, unknown=["SelfAttention"]
        )
        self.assertNotIsInstance(found.small, Backbone)

    def test_arguments_that_the_shapes_do_not_depend_on(self):
        inputs = keras.Input((7, 5))
        block = Cached(name="cached")
        x = block(LAYERS.Dense(8)(inputs))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = self.assert_exact(model)
        self.assertEqual(int(found.graph.removable.sum()), 2 + 8 + 8)
        self.assertNotIn("compute_output_spec", vars(block.attention))

    def test_names_and_the_model_itself(self):
        model = two_inputs()
        config, weights = exactness.snapshot(model)
        small = stripping.strip(model)
        self.assertEqual(
            [layer.name for layer in small.layers],
            [layer.name for layer in model.layers],
        )
        stage = next(x for x in small.layers if x.name.startswith("stage"))
        self.assertIsInstance(stage, keras.Model)
        again, same = exactness.snapshot(model)
        self.assertEqual(str(again), str(config))
        for a, b in zip(weights, same, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_frozen_layers_stay_frozen(self):
        model = two_inputs()
        model.layers[1].trainable = False
        stage = next(x for x in model.layers if isinstance(x, Stage))
        stage.last.trainable = False
        before = [v.path for v in model.trainable_variables]
        small = stripping.strip(model)
        self.assertEqual([v.path for v in model.trainable_variables], before)
        self.assertFalse(small.get_layer(model.layers[1].name).trainable)
        inner = small.get_layer(stage.name).get_layer(stage.last.name)
        self.assertFalse(inner.trainable)
        self.assertLen(small.trainable_variables, len(before))
        model.trainable = False
        model.layers[2].trainable = True
        read.channel_graph(model)
        self.assertTrue(model.layers[2].trainable)

    def test_paths_lead_into_the_block(self):
        graph = read.channel_graph(models.around(Residual(name="block")))
        self.assertIn("block/", " ".join(graph.layers))


def shared_by(names=("one", "two"), inner="inner"):
    """Two nested models and the outer one, which share a layer."""
    shared = LAYERS.Dense(6, activation="relu", name="shared")
    inputs = keras.Input((4,))
    x = shared(LAYERS.Dense(6, name="first")(inputs))
    for i, name in enumerate(names):
        given = keras.Input((6,))
        last = LAYERS.Dense(6, name=inner.format(i))(shared(given))
        x = keras.Model(given, last, name=name)(x)
    return keras.Model(inputs, LAYERS.Dense(2, name="last")(x))


class Given(LAYERS.Layer):
    """A block that calls a layer that it was given."""

    def __init__(self, shared, **kwargs):
        super().__init__(**kwargs)
        self.own = LAYERS.Dense(5)
        self.shared = shared

    def build(self, shape):
        self.own.build(shape)
        self.built = True

    def call(self, x):
        return self.shared(self.own(x))


class SharedTest(exactness.ExactnessTestCase):
    def test_a_layer_that_models_share_stays_shared(self):
        model = shared_by(inner="inner{}")
        model.compile("sgd", "mse")
        found = self.assert_exact(model, silence=0.3)
        self.assertLen(found.small.trainable_weights, 2 * 5)
        self.assertTrue(found.small.compiled)
        self.assertLen(found.small.get_layer("shared").kernel.shape, 2)

    def test_a_nested_model_that_models_share_stays_shared(self):
        inputs = keras.Input((6,))
        inner = keras.Model(inputs, LAYERS.Dense(6, name="a")(inputs), name="i")
        outer = keras.Model(inputs, LAYERS.Dense(6, name="b")(inner(inputs)))
        model = keras.Sequential([keras.Input((6,)), outer, inner])
        found = self.assert_exact(model, removes=None)
        self.assertLen(found.small.trainable_weights, 4)

    def test_a_layer_that_blocks_were_given_stays_shared(self):
        shared = LAYERS.Dense(6, name="shared")
        inputs = keras.Input((6,))
        x = Given(shared)(Given(shared)(inputs))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = self.assert_exact(model, silence=0.3)
        self.assertLen(found.small.trainable_weights, 2 * 4)

    def test_names_that_come_together(self):
        with self.assertRaisesRegex(ValueError, "with one, two: .*inner"):
            read.channel_graph(shared_by())


if __name__ == "__main__":
    absltest.main()
