import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.costs import counting
from tfprune.graph import read
from tfprune.graph import rulebook
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers


class Factor(LAYERS.Layer):
    """Multiplies each channel by a weight; Keras knows no such layer."""

    def build(self, shape):
        self.gamma = self.add_weight(shape=(shape[-1],), name="gamma")

    def call(self, inputs):
        return inputs * self.gamma


class Centred(Factor):
    """Mixes the channels."""

    def call(self, inputs):
        mean = keras.ops.mean(inputs, -1, keepdims=True)
        return inputs * self.gamma - mean


class Dense(Centred):
    """Called as a layer of Keras is."""


class OwnWeight(keras.Model):
    """Multiplies by a weight of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.layer = LAYERS.Dense(6)
        self.factor = self.add_weight(shape=(6,), name="factor")

    def call(self, inputs):
        return self.layer(inputs) * self.factor


class Noisy(keras.Model):
    """Its trace has one draw, the model a new one each time."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator(0)
        self.dense = LAYERS.Dense(3)

    def call(self, x):
        return self.dense(x + keras.random.normal((4,), seed=self.seed))


class Particular(keras.Model):
    """Takes only inputs of 7."""

    def __init__(self, own=False, **kwargs):
        super().__init__(**kwargs)
        self.factor = self.add_weight(shape=(2,), name="factor") if own else 1
        self.layers_in_turn = [LAYERS.Dense(4), LAYERS.Dense(2)]

    def call(self, x):
        if not isinstance(x, keras.KerasTensor) and np.any(np.array(x) != 7):
            raise ValueError("not 7")
        first, second = self.layers_in_turn
        return second(first(x)) * self.factor


class TiedTable(keras.Model):
    """Reads a layer's weights."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.layer = LAYERS.Dense(6)

    def call(self, inputs):
        x = self.layer(inputs)
        return keras.ops.matmul(x, keras.ops.transpose(self.layer.kernel))


@keras.saving.register_keras_serializable("tfprune_test")
class Ruled(Factor):
    """As `Factor`, with the rule below."""


@tfprune.rule("tfprune_test>Ruled")
def ruled(call):
    channels = call.channels(-1)
    call.bind("gamma", 0, channels)
    return call.x.labels


class Net(keras.Model):
    """A subclassed model: layers and raw operations in its `call`."""

    def __init__(self, width=6, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.conv = LAYERS.Conv2D(width, 3)
        self.norm = LAYERS.BatchNormalization()
        self.twin = LAYERS.Conv2D(width, 1)
        self.dense = LAYERS.Dense(2)

    def build(self, shape):
        self.call(keras.Input(shape[1:]))
        super().build(shape)

    def get_config(self):
        return {"width": self.width, "name": self.name}

    def call(self, inputs):
        x = keras.ops.relu(self.norm(self.conv(inputs)))
        x = x * 0.5 + self.twin(x)
        return self.dense(keras.ops.mean(x, axis=(1, 2)))


class Untraceable(keras.Model):
    """Runs on arrays alone, once it is built."""

    def call(self, inputs):
        if isinstance(inputs, keras.KerasTensor) and self.built:
            raise RuntimeError("no symbols")
        return inputs


class Held(keras.Model):
    """A Functional graph made by a constructor of its own."""

    def __init__(self, width):
        inputs = keras.Input(models.IMAGE)
        x = LAYERS.Conv2D(width, 3)(inputs)
        super().__init__(inputs, models.head(x))


class Owned(keras.Model):
    """A Functional model under a class of the user."""

    def steps(self):
        return 3


def nested(inner, outer=None):
    """Conv, a nested model on 6 channels, conv and classifier."""
    return models.around(lambda x: inner(x))


def functional():
    inputs = keras.Input((6, 6, 6))
    x = LAYERS.ReLU()(LAYERS.BatchNormalization()(inputs))
    return keras.Model(inputs, x + LAYERS.Conv2D(6, 3, padding="same")(x))


def sequential():
    return keras.Sequential(
        [keras.Input((6, 6, 6)), LAYERS.BatchNormalization(), LAYERS.ReLU()]
    )


def shared_at_two_resolutions():
    inner = keras.Sequential(
        [
            keras.Input((None, None, 6)),
            LAYERS.Conv2D(5, 3),
            LAYERS.BatchNormalization(),
        ]
    )
    inputs = keras.Input((8, 8, 3))
    x = LAYERS.Conv2D(6, 1)(inputs)
    ends = [
        LAYERS.GlobalAveragePooling2D()(LAYERS.Conv2D(4, 1)(y))
        for y in (inner(x), inner(LAYERS.MaxPooling2D()(x)))
    ]
    return keras.Model(inputs, LAYERS.Dense(2)(LAYERS.Add()(ends)))


def shared_slice(stop):
    """A nested model without weights; both calls must lose the same."""
    inputs = keras.Input((6, 6, 6))
    inner = keras.Model(inputs, inputs[..., 1:stop])
    inputs = keras.Input(models.IMAGE)
    sides = [inner(LAYERS.Conv2D(6, 3, padding="same")(inputs)) for _ in "ab"]
    ends = [LAYERS.GlobalMaxPooling2D()(LAYERS.Conv2D(3, 1)(s)) for s in sides]
    return keras.Model(inputs, LAYERS.Dense(2)(LAYERS.Concatenate()(ends)))


def shared_reshape():
    """One Reshape on two tensors whose sizes agree and channels do not."""
    inputs = keras.Input(models.IMAGE)
    reshape = LAYERS.Reshape((4, 12))
    wide = LAYERS.Conv2D(12, 3, 2)(inputs)  # (2, 2, 12)
    flat = LAYERS.Flatten()(LAYERS.Conv2D(3, 3)(inputs))
    flat = LAYERS.Dense(48)(flat)
    ends = [LAYERS.Conv1D(3, 1)(reshape(x)) for x in (wide, flat)]
    x = LAYERS.Flatten()(LAYERS.Concatenate()(ends))
    return keras.Model(inputs, LAYERS.Dense(2)(x))


def twice():
    conv = LAYERS.Conv2D(6, 3, padding="same")
    return models.around(lambda x: conv(LAYERS.ReLU()(conv(x))) + x)


def two_inputs(as_dict):
    a, b = keras.Input(models.IMAGE, name="a"), keras.Input((4,), name="b")
    x = LAYERS.Conv2D(6, 3)(a)
    gate = LAYERS.Dense(6, activation="sigmoid")(LAYERS.Dense(5)(b))
    x = x * LAYERS.Reshape((1, 1, 6))(gate)
    x, y = models.head(x), models.head(gate)
    if as_dict:
        return keras.Model({"b": b, "a": a}, {"y": y, "x": x})
    return keras.Model([b, a], [y, x])


def mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return models.around(
            lambda x: LAYERS.BatchNormalization()(LAYERS.Conv2D(6, 3)(x))
        )
    finally:
        keras.config.set_dtype_policy("float32")


def owned():
    model = models.around(LAYERS.Conv2D(6, 3))
    return Owned(model.inputs, model.outputs, name="mine")


def built(model):
    model.build((None, *models.IMAGE))
    return model


STRUCTURES = (
    ("functional_in_functional", lambda: nested(functional())),
    ("sequential_in_functional", lambda: nested(sequential())),
    (
        "functional_in_sequential",
        lambda: keras.Sequential(
            [
                keras.Input(models.IMAGE),
                LAYERS.Conv2D(6, 1),
                functional(),
                LAYERS.Conv2D(4, 3),
                LAYERS.Flatten(),
                LAYERS.Dense(2),
            ]
        ),
    ),
    (
        "three_deep",
        lambda: nested(
            keras.Sequential([keras.Input((6, 6, 6)), functional()])
        ),
    ),
    ("shared_layer", twice),
    ("shared_model_at_two_resolutions", shared_at_two_resolutions),
    ("shared_slice", lambda: shared_slice(5)),
    ("shared_reshape", shared_reshape),
    ("lists_of_inputs_and_outputs", lambda: two_inputs(False)),
    ("dicts_of_inputs_and_outputs", lambda: two_inputs(True)),
    ("subclassed", lambda: built(Net())),
    ("class_of_the_user", owned),
    ("constructor_of_the_user", lambda: Held(6)),
    (
        "built_late",
        lambda: built(
            keras.Sequential(
                [LAYERS.Conv2D(6, 3), LAYERS.Flatten(), LAYERS.Dense(2)]
            )
        ),
    ),
    (
        "called_by_keyword",
        lambda: models.around(lambda x: LAYERS.Conv2D(6, 3)(inputs=x)),
    ),
    (
        "unknown_sizes",
        lambda: keras.Sequential(
            [
                keras.Input((None, None, 3)),
                LAYERS.Conv2D(6, 3),
                LAYERS.Conv2D(6, 3, padding="same"),
                LAYERS.GlobalMaxPooling2D(),
                LAYERS.Dense(2),
            ]
        ),
    ),
)


class StructureTest(exactness.ExactnessTestCase):
    @parameterized.named_parameters(*STRUCTURES)
    def test_masked_channels_are_removed(self, make):
        self.assert_exact(make())

    @parameterized.named_parameters(*STRUCTURES)
    def test_silent_channels_are_removed(self, make):
        self.assert_exact(make(), silence=0.4, rate=0.3)

    def test_half_precision(self):
        found = exactness.strip_masked(mixed_precision())
        self.assertLess(found.error, 1e-2)
        self.assertEqual(found.params, found.small.count_params())
        self.assertGreater(found.removed, 0)
        for layer in found.small.layers[1:]:
            self.assertEqual(layer.dtype_policy.name, "mixed_float16")

    def test_both_calls_of_a_shared_model_lose_the_same(self):
        graph = read.channel_graph(shared_slice(5))
        shared = [len(g) for g in graph.groups if len(g.writers) == 2]
        self.assertEqual(shared, [2, 4])  # never read, and read by both


class UnknownTest(exactness.ExactnessTestCase):
    @parameterized.parameters(Centred, Dense)
    def test_a_class_without_a_rule_is_named_and_kept(self, cls):
        model = models.around(lambda x: cls(name="mine")(x))
        graph = read.channel_graph(model)
        self.assertEqual(graph.unknown, {"mine": cls.__name__})
        (group,) = (
            g for g in graph.groups if "conv2d" in g.name and len(g) == 6
        )
        reason = f"no rule for {cls.__name__}, and it has weights of its own"
        self.assertEqual(group.frozen, ("mine", reason))
        text = str(graph).split("layer without a rule")[1]
        self.assertEqual(text.split()[-2:], ["mine", cls.__name__])
        self.assert_exact(model, unknown=[cls.__name__])

    def test_a_rule_of_the_user_is_followed(self):
        found = self.assert_exact(models.around(lambda x: Ruled()(x)))
        (layer,) = (x for x in found.small.layers if isinstance(x, Ruled))
        self.assertLess(layer.gamma.shape[0], 6)

    def test_a_rule_is_registered_once(self):
        with self.assertRaisesRegex(ValueError, "already registered.*'Conv2D'"):
            rulebook.rule("Conv2D")(ruled)

    def test_a_nested_subclassed_model_is_opened(self):
        model = models.around(lambda x: Net(4)(x)[:, None, None, :])
        self.assert_exact(model)


class BadModelTest(parameterized.TestCase):
    @parameterized.parameters(None, "model.keras", 3, keras.layers.Dense(3))
    def test_not_a_model(self, value):
        with self.assertRaisesRegex(TypeError, "built keras.Model is required"):
            read.channel_graph(value)

    def test_an_unbuilt_model(self):
        model = keras.Sequential([LAYERS.Dense(2)], name="raw")
        with self.assertRaisesRegex(ValueError, "built model.*'raw'"):
            read.channel_graph(model)

    def test_an_unbuilt_subclassed_model(self):
        with self.assertRaisesRegex(ValueError, "built model.*'net'"):
            read.channel_graph(Net(name="net"))

    def test_a_model_that_cannot_be_traced(self):
        model = Untraceable(name="odd")
        model(np.zeros((1, *models.IMAGE)))
        with self.assertRaisesRegex(
            ValueError, "'odd' of class Untraceable.*RuntimeError: no symbols"
        ):
            read.channel_graph(model)

    def test_a_model_whose_ops_use_weights(self):
        for model, names in (
            (OwnWeight(name="odd"), "use odd/factor"),
            (TiedTable(name="odd"), "use weights of its layers"),
        ):
            model(np.zeros((1, 4)))
            with self.assertWarnsRegex(UserWarning, f"'odd' of .*{names}"):
                graph = read.channel_graph(model)
            x = np.ones((2, 4), "float32")
            np.testing.assert_array_equal(graph.model(x), model(x))

    def test_a_model_that_is_particular_about_its_inputs(self):
        model = Particular(name="net")
        model(np.full((1, 4), 7.0))
        self.assertEqual(int(read.channel_graph(model).removable.sum()), 4)
        # What ops use is told all the same.
        model = Particular(own=True, name="net")
        model(np.full((1, 4), 7.0))
        with self.assertWarnsRegex(UserWarning, "use net/factor"):
            read.channel_graph(model)

    def test_a_trace_that_gives_other_outputs(self):
        model = Noisy(name="odd")
        model(np.zeros((1, 4)))
        with self.assertRaisesRegex(ValueError, "'odd' of .* other outputs"):
            read.channel_graph(model)

    def test_the_mask_of_a_mean_stays(self):
        inputs = keras.Input((8, 3))
        heard = LAYERS.Dense(8, activation="relu")(LAYERS.Flatten()(inputs))
        x = LAYERS.GlobalAveragePooling1D()(
            LAYERS.Dense(6)(inputs), mask=heard > 0
        )
        graph = read.channel_graph(keras.Model(inputs, LAYERS.Dense(2)(x)))
        self.assertEqual(int(graph.removable.sum()), 6)

    def test_input_shapes_of_the_wrong_number(self):
        model = models.around(LAYERS.ReLU())
        several = [(6, 6, 3), (6, 6, 3)]
        for shape in ((6, 6), several, (None, 6, 6, 3), (-1, 6, 3), 6, "6,6,3"):
            with self.assertRaisesRegex(ValueError, "One shape per model inp"):
                read.channel_graph(model, shape)

    def test_sizes_that_layers_do_not_take(self):
        inputs = keras.Input((6, 6, 3))
        x = LAYERS.Flatten()(LAYERS.Conv2D(4, 3)(inputs))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        for shape in ((6, 6, 4), (8, 8, 3)):
            with self.assertRaisesRegex(ValueError, "sizes that the layers ta"):
                read.channel_graph(model, shape)

    def test_a_rule_that_binds_too_few_channels(self):
        @keras.saving.register_keras_serializable("tfprune_test")
        class Short(Factor):
            pass

        @tfprune.rule("tfprune_test>Short")
        def short(call):
            call.bind("gamma", 0, call.channels(-1)[:2])
            return call.x.labels

        model = models.around(lambda x: Short(name="short")(x))
        with self.assertRaisesRegex(
            ValueError, r"'gamma' of shape \(6,\), axis=0, 2 channels.*Short"
        ):
            read.channel_graph(model)


class InputShapeTest(absltest.TestCase):
    def test_costs_of_an_unknown_size(self):
        inputs = keras.Input((None, None, 3))
        x = LAYERS.Conv2D(4, 3)(inputs)
        x = LAYERS.GlobalAveragePooling2D()(LAYERS.Conv2D(5, 1, 2)(x))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        cost = counting.cost(model, input_shape=(10, 12, 3))
        self.assertEqual(cost.macs, 80 * 27 * 4 + 20 * 4 * 5 + 10)
        # Input and first map, then both maps: the first one is the largest.
        self.assertEqual(cost.peak_bytes, 4 * (80 * 4 + 10 * 12 * 3))


if __name__ == "__main__":
    absltest.main()
