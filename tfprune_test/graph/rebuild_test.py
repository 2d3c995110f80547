import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.graph import rulebook
from tfprune.graph import values
from tfprune.methods import masked
from tfprune.selection import candidates as candidates_lib
from tfprune.selection import cut as cut_lib
from tfprune.sparsity import wrapping
from tfprune.surgery import pruning
from tfprune.surgery import shrinking
from tfprune.surgery import stripping
from tfprune.surgery import verification
from tfprune_test import exactness
from tfprune_test import models
from tfprune_test.graph import read_test

LAYERS = keras.layers


def doubled(x):
    return keras.ops.relu(x) * 2.0


class Smooth(keras.regularizers.Regularizer):
    def __call__(self, x):
        return keras.ops.sum(keras.ops.square(x)) * 1e-3

    def get_config(self):
        return {}


def of_everything():
    """Frozen layers, regularizers, initializers, names, unknown layers."""
    inputs = keras.Input((8, 8, 3), name="picture")
    x = LAYERS.Conv2D(
        6,
        3,
        name="first",
        trainable=False,
        kernel_initializer=keras.initializers.HeNormal(seed=3),
        kernel_regularizer=keras.regularizers.L2(0.1),
        kernel_constraint=keras.constraints.MaxNorm(2.0),
        bias_initializer=keras.initializers.Constant(0.5),
    )(inputs)
    x = LAYERS.BatchNormalization(name="norm", momentum=0.9)(x)
    x = LAYERS.Conv2D(
        6, 3, activation=doubled, activity_regularizer=Smooth(), name="second"
    )(x)
    x = LAYERS.Conv2D(5, 1, dtype="float64", name="wide")(x)
    # Of symbolic tensors it makes nothing, so that it stays a Lambda.
    x = LAYERS.Lambda(
        lambda y: None if isinstance(y, keras.KerasTensor) else y * 0.5,
        name="half",
    )(x)
    x = LAYERS.Conv2D(4, 1, name="third", kernel_regularizer="l1")(x)
    x = LAYERS.Reshape((16, 4), name="series")(x)
    x = LAYERS.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = LAYERS.LSTM(5, return_sequences=True, name="lstm")(x)
    x = LAYERS.Bidirectional(LAYERS.GRU(3), name="both")(x)
    return keras.Model(inputs, LAYERS.Dense(2, name="last")(x), name="all")


def compiled():
    model = models.around(LAYERS.Conv2D(6, 3))
    model.compile(
        keras.optimizers.SGD(0.25, momentum=0.5),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def half(model, seed=0):
    """A model without half of its channels, by `prune`'s own way."""
    graph = read.channel_graph(model)
    rng = np.random.default_rng(seed)
    keep = graph.frozen | (rng.random(graph.size) < 0.5)
    return rebuild.shrink(graph, candidates_lib.restored(graph, keep))


def settings(model):
    """What a layer's config holds, without the numbers of channels."""
    return {layer.name: _settings(layer.get_config()) for layer in model.layers}


def _settings(config):
    if not isinstance(config, dict):
        return config
    return {k: _settings(v) for k, v in config.items() if k not in NUMBERS}


NUMBERS = (
    *("filters", "units", "target_shape", "groups", "build_config"),
    *("num_heads", "key_dim", "value_dim"),
)


class Tied(LAYERS.Layer):
    """Turns what another layer makes back, by the weights of that layer."""

    def __init__(self, to, **kwargs):
        super().__init__(**kwargs)
        self.to = to

    def build(self, _):
        self.bias = self.add_weight((self.to.kernel.shape[0],))

    def call(self, x):
        kernel = keras.ops.transpose(self.to.kernel)
        return keras.ops.matmul(x, kernel) + self.bias

    def get_config(self):
        to = keras.saving.serialize_keras_object(self.to)
        return {**super().get_config(), "to": to}

    @classmethod
    def from_config(cls, config):
        to = keras.saving.deserialize_keras_object(config["to"])
        return cls(**{**config, "to": to})


class Without(LAYERS.Layer):
    """Takes neither a name nor other settings of Keras."""

    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units))

    def call(self, x):
        return keras.ops.matmul(x, self.kernel)


class Swallowing(Without):
    """Takes all settings, and hands none of them on."""

    def __init__(self, units, **kwargs):
        super().__init__(units)


class Handing(LAYERS.Layer):
    """Hands its settings on to a layer within."""

    def __init__(self, mark, **kwargs):
        super().__init__()
        self.mark = mark
        self.inner = LAYERS.Conv2D(**kwargs)

    def build(self, shape):
        self.inner.build(shape)
        self.scale = self.add_weight(shape=(1,), initializer="ones")

    def call(self, x):
        return self.scale * self.inner(x)


class Half(LAYERS.Dense):
    """A layer of Keras with fewer settings."""

    def __init__(self, units):
        super().__init__(units, activation="relu")

    def call(self, x):
        return 0.5 * super().call(x)


OWN = {
    "without": lambda: Without(5),
    "swallowing": lambda: Swallowing(5),
    "handing": lambda: Handing("a", filters=5, kernel_size=1),
    "subclass": lambda: Half(5),
    "within": lambda: LAYERS.TimeDistributed(Half(5)),
}
ALL = (("everything", of_everything), *read_test.STRUCTURES)


class RebuildTest(parameterized.TestCase):
    @parameterized.named_parameters(*ALL)
    def test_keeping_all_gives_the_model_back(self, make):
        model = make()
        exactness.randomize(model, np.random.default_rng(0))
        graph = read.channel_graph(model)
        same = rebuild.shrink(graph, np.ones(graph.size, bool))
        inputs = verification.random_inputs(graph.model)
        self.assertEqual(exactness.difference(model, same, inputs), 0.0)

    @parameterized.named_parameters(*ALL)
    def test_the_model_is_not_changed(self, make):
        model = make()
        has_config = "constructor" not in self.id()
        config = model.get_config() if has_config else None
        before = [np.array(v.numpy()) for v in model.variables]
        graph = read.channel_graph(model)
        pruning.prune(model, 0.5)
        masked = shrinking.masked(cut_lib.Cut(graph, graph.frozen))
        stripping.strip(masked)
        stripping.strip(model)
        after = [np.array(v.numpy()) for v in model.variables]
        for a, b in zip(before, after, strict=True):
            self.assertEqual(a.tobytes(), b.tobytes())
        if has_config:
            self.assertEqual(str(model.get_config()), str(config))

    def test_names_settings_and_flags_are_kept(self):
        model = of_everything()
        small = half(model)
        self.assertLess(small.count_params(), model.count_params())
        self.assertEqual(small.name, "all")
        self.assertEqual(
            [layer.name for layer in small.layers],
            [layer.name for layer in model.layers],
        )
        self.assertEqual(str(settings(small)), str(settings(model)))
        self.assertEqual(
            [layer.trainable for layer in small.layers],
            [layer.trainable for layer in model.layers],
        )
        self.assertLen(small.losses, len(model.losses))
        self.assertEqual(
            [type(layer).__name__ for layer in small.layers],
            [type(layer).__name__ for layer in model.layers],
        )

    def test_a_nested_model_that_is_frozen_stays_frozen(self):
        inputs = keras.Input((4,))
        x = keras.layers.Dense(6, name="a")(inputs)
        nested = keras.Model(inputs, keras.layers.Dense(6, name="b")(x))
        x = keras.layers.Dense(6, name="c")(nested(inputs))
        model = keras.Model(inputs, keras.layers.Dense(2, name="d")(x))
        nested.trainable = False
        nested.get_layer("b").trainable = True
        small = pruning.prune(model, macs=0.6)
        inner = small.get_layer(nested.name)
        self.assertFalse(inner.trainable)
        self.assertFalse(inner.get_layer("a").trainable)
        self.assertTrue(inner.get_layer("b").trainable)
        self.assertTrue(small.trainable)
        self.assertLen(small.trainable_weights, len(model.trainable_weights))

    def test_a_part_of_attention_that_is_frozen_stays_frozen(self):
        inputs = keras.Input((5, 4))
        x = keras.layers.Dense(6)(inputs)
        attention = keras.layers.MultiHeadAttention(2, 4, name="attention")
        model = keras.Model(inputs, keras.layers.Dense(2)(attention(x, x)))
        attention.query_dense.trainable = False
        small = pruning.prune(model, macs=0.6)
        inner = small.get_layer("attention")
        self.assertFalse(inner.query_dense.trainable)
        self.assertTrue(inner.key_dense.trainable)
        self.assertLen(small.trainable_weights, len(model.trainable_weights))

    @parameterized.parameters(0, 1)
    def test_one_of_two_cells_is_frozen(self, place):
        cells = [LAYERS.GRUCell(3, name="c"), LAYERS.GRUCell(3, name="c")]
        inputs = keras.Input((3, 4))
        x = LAYERS.RNN(cells)(LAYERS.Dense(6)(inputs))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        cells[place].trainable = False
        graph = read.channel_graph(model)
        new = rebuild.shrink(graph, np.ones(graph.size, bool))
        self.assertLen(new.trainable_weights, len(model.trainable_weights))
        found = [cell.trainable for cell in new.layers[2].cell.cells]
        self.assertEqual(found, [place == 1, place == 0])

    def test_a_weight_that_is_frozen_stays_frozen(self):
        layer = keras.layers.Dense(6, name="layer")
        model = models.around(layer)
        layer.bias.trainable = False
        small = pruning.prune(model, 0.5).get_layer("layer")
        self.assertTrue(small.kernel.trainable)
        self.assertFalse(small.bias.trainable)

    @parameterized.parameters(0, 1)
    def test_functions_and_classes_of_one_name(self, number):
        def activation(factor):
            def times(x):
                return x * factor

            return LAYERS.Activation(times)

        def scale(factor):
            class Scale(keras.layers.Layer):
                def call(self, x):
                    self.add_loss(keras.ops.sum(x))  # It stays a layer.
                    return keras.ops.sort(x) * factor

            return Scale()

        make = (activation, scale)[number]
        one, other = make(2.0), make(-3.0)
        model = keras.Sequential([keras.Input((4,)), one, other])
        graph = read.channel_graph(model)
        same = rebuild.shrink(graph, np.ones(graph.size, bool))
        wrapped = wrapping.wrap(
            keras.Sequential([keras.Input((4,)), LAYERS.Dense(4), one, other]),
            masked.Masked(),
        )
        dense, *_ = wrapped.layers
        dense.layer.kernel.assign(np.eye(4))
        inputs = verification.random_inputs(model)
        for copy in (same, wrapped):
            error = exactness.difference(model, copy, inputs)
            self.assertEqual(error, 0.0)

    def test_functions_called_as_those_of_keras(self):
        def gelu(x):
            return x * keras.ops.sigmoid(1.702 * x)

        each = LAYERS.TimeDistributed(LAYERS.Dense(6, activation=gelu))
        model = keras.Sequential(
            [keras.Input((3, 4)), each, LAYERS.Activation(gelu)]
        )
        graph = read.channel_graph(model)
        same = rebuild.shrink(graph, np.ones(graph.size, bool))
        inputs = verification.random_inputs(model)
        self.assertEqual(exactness.difference(model, same, inputs), 0.0)

    def test_a_layer_that_another_one_holds_is_made_once(self):
        to = LAYERS.Dense(6, name="to")
        inputs = keras.Input((4,))
        x = LAYERS.Dense(5)(LAYERS.Dense(7)(inputs))
        x = LAYERS.Dense(8)(Tied(to, name="tied")(to(x)))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = exactness.strip_masked(model)
        self.assertLess(found.error, exactness.TOLERANCE)
        self.assertEqual(int(found.graph.removable.sum()), 7 + 8)
        small = found.small
        self.assertIs(small.get_layer("tied").to, small.get_layer("to"))
        self.assertLen(small.weights, len(model.weights))

    @parameterized.parameters(0.0, 0.3)
    def test_a_layer_at_every_step_and_by_itself(self, silence):
        layer = LAYERS.Dense(6, name="layer")
        inputs = keras.Input((3, 4))
        x = LAYERS.Dense(5)(inputs)
        y = keras.ops.max(LAYERS.Dense(5)(inputs), 1)
        x = LAYERS.TimeDistributed(layer, name="each")(x)
        x = keras.ops.mean(x, 1) * layer(y)
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = exactness.strip_masked(model, silence=silence)
        self.assertLess(found.error, exactness.TOLERANCE)
        small = found.small
        self.assertIs(small.get_layer("each").layer, small.get_layer("layer"))
        self.assertEqual(found.params, small.count_params())

    def test_cells_of_one_name_stay_two(self):
        cells = [LAYERS.LSTMCell(4, name="cell") for _ in range(2)]
        model = keras.Sequential(
            [
                keras.Input((3, 4)),
                LAYERS.Dense(4),
                LAYERS.RNN(cells),
                LAYERS.Dense(2),
            ]
        )
        graph = read.channel_graph(model)
        same = rebuild.shrink(graph, np.ones(graph.size, bool))
        self.assertLen(same.weights, len(model.weights))
        verification.check_equal(model, same)
        self.assertLess(half(model).count_params(), model.count_params())

    def test_cells_of_one_name_are_shared_as_they_were(self):
        a, b = (LAYERS.LSTMCell(4, name="cell") for _ in range(2))
        inputs = keras.Input((3, 4))
        x = LAYERS.Dense(4)(inputs)
        x = LAYERS.RNN([a, b, a], return_sequences=True)(x)
        x = LAYERS.Dense(2)(LAYERS.RNN([b])(x))
        model = keras.Model(inputs, x)
        small = half(model)
        self.assertLen(small.weights, len(model.weights))
        found = exactness.strip_masked(model, silence=0.0)
        self.assertLess(found.error, exactness.TOLERANCE)
        self.assertEqual(found.params, found.small.count_params())

    def test_a_name_that_a_config_leaves_out(self):
        class Rest(keras.layers.Layer):
            def __init__(self, **rest):
                super().__init__(**rest)

            def call(self, x):
                self.add_loss(keras.ops.sum(x))  # It stays a layer.
                return keras.ops.sort(x)

        layer = Rest(name="rest")
        self.assertNotIn("name", layer.get_config())
        small = pruning.prune(models.around(layer), 0.5)
        self.assertIn("rest", [layer.name for layer in small.layers])

    @parameterized.parameters(*OWN)
    def test_a_layer_that_takes_less_than_its_config(self, name):
        layer = OWN[name]()
        model = models.around(layer)
        small = half(model)
        self.assertIn(layer.name, [x.name for x in small.layers])
        self.assertLess(small.count_params(), model.count_params())
        verification.check_equal(model, stripping.strip(model))

    def test_a_layer_that_makes_others_by_a_static_method(self):
        class Static(keras.layers.Layer):
            @staticmethod
            def from_config(config):
                return Static(**config)

            def call(self, x):
                self.add_loss(keras.ops.sum(x))  # It stays a layer.
                return keras.ops.sort(x)

        model = models.around(Static(name="static"))
        wrapped = wrapping.wrap(model, masked.Masked())
        for copy in (pruning.prune(model, 0.5), wrapped):
            self.assertIsInstance(copy.get_layer("static"), Static)

    @parameterized.parameters(*OWN)
    def test_a_layer_without_a_name_in_a_sequential_model(self, name):
        layer = OWN[name]()
        first, last = LAYERS.Conv2D(4, 1), LAYERS.Conv2D(3, 1)
        model = keras.Sequential([keras.Input(models.IMAGE), first, layer])
        inputs = keras.Input(models.IMAGE)
        nested = keras.Model(inputs, last(model(inputs)))
        for net in (model, nested):
            small = half(net)
            names = [x.name for x in values.layers_of(small)]
            self.assertIn(layer.name, names)

    def test_compile_settings_are_kept(self):
        model = compiled()
        small = half(model)
        self.assertEqual(
            str(small.get_compile_config()), str(model.get_compile_config())
        )
        self.assertEqual(float(small.optimizer.learning_rate), 0.25)
        x = np.random.default_rng(0).normal(size=(8, *models.IMAGE))
        small.fit(x, np.arange(8) % 2, verbose=0)
        self.assertIsNot(small.optimizer, model.optimizer)

    def test_a_loss_that_no_file_could_hold_is_shared(self):
        model = models.around(LAYERS.ReLU())
        model.compile("sgd", lambda y, z: keras.ops.mean(z))
        small = half(model)
        self.assertTrue(small.compiled)
        self.assertIs(small.loss, model.loss)

    def test_sequential_stays_sequential(self):
        model = keras.Sequential(
            [keras.Input((3,)), LAYERS.Dense(6), LAYERS.Dense(2)], name="s"
        )
        small = half(model)
        self.assertIs(type(small), keras.Sequential)
        self.assertEqual(small.name, "s")

    def test_a_class_of_the_user_stays(self):
        small = half(read_test.owned())
        self.assertIs(type(small), read_test.Owned)
        self.assertEqual(small.steps(), 3)

    def test_a_traced_model_becomes_functional(self):
        small = half(read_test.built(read_test.Net(name="traced")))
        self.assertEqual(small.name, "traced")
        self.assertIn("input_layers", small.get_config())

    def test_a_single_input_stays_single(self):
        small = half(read_test.Held(6))
        self.assertIsInstance(small.input, keras.KerasTensor)
        self.assertIsInstance(small.output, keras.KerasTensor)

    def test_structures_of_inputs_and_outputs_stay(self):
        model = read_test.two_inputs(True)
        small = half(model)
        self.assertEqual(set(small.input), {"a", "b"})
        self.assertEqual(set(small.output), {"x", "y"})

    @parameterized.named_parameters(
        ("functional", lambda: read_test.nested(read_test.functional())),
        ("two_inputs", lambda: read_test.two_inputs(True)),
        ("compiled", compiled),
        (
            "sequential",
            lambda: keras.Sequential(
                [keras.Input((3,)), LAYERS.Dense(6), LAYERS.Dense(2)]
            ),
        ),
    )
    def test_a_saved_result_loads_as_it_was(self, make):
        small = half(make())
        path = pathlib.Path(self.create_tempdir()) / "small.keras"
        small.save(path)
        self.assertNotIn("tfprune", str(small.get_config()))
        loaded = keras.saving.load_model(path)
        inputs = verification.random_inputs(small)
        self.assertEqual(exactness.difference(small, loaded, inputs), 0.0)

    def test_a_result_trains(self):
        model = half(compiled())
        x = np.random.default_rng(0).normal(size=(16, *models.IMAGE))
        history = model.fit(x, np.arange(16) % 2, epochs=5, verbose=0)
        self.assertLess(history.history["loss"][-1], history.history["loss"][0])

    def test_a_forgotten_weight_is_named(self):
        @keras.saving.register_keras_serializable("tfprune_test")
        class Forgotten(read_test.Factor):
            pass

        @rulebook.rule("tfprune_test>Forgotten")
        def forgotten(call):
            return call.x.labels

        model = models.around(lambda x: Forgotten(name="odd")(x))
        with self.assertRaisesRegex(
            ValueError, "'.*odd/gamma'.*Fix the rule of Forgotten"
        ):
            half(model)


class LayersOfTest(absltest.TestCase):
    def test_nested_and_shared_layers_come_once(self):
        model = read_test.shared_at_two_resolutions()
        names = [type(x).__name__ for x in values.layers_of(model)]
        self.assertEqual(names.count("BatchNormalization"), 1)
        self.assertEqual(names.count("Sequential"), 1)
        self.assertEqual(names.count("Conv2D"), 4)


class MemoryTest(parameterized.TestCase):
    @parameterized.parameters("float32", "bfloat16", "float16")
    def test_weights_that_are_cut_part_by_part(self, dtype):
        # One matrix of 12 MB and more, cut along both axes.
        inputs = keras.Input((60,), dtype=dtype)
        x = LAYERS.Dense(1500, dtype=dtype)(inputs)
        x = LAYERS.Dense(4100, dtype=dtype)(x)
        outputs = LAYERS.Dense(2, dtype=dtype)(x)
        graph = read.channel_graph(keras.Model(inputs, outputs))
        cut = cut_lib.choose(graph, 0.5)
        wide = graph.model.layers[2].kernel
        rows, columns = (cut.keep[b.labels] for b in graph.bound(wide))
        found = shrinking.apply(cut).layers[2].kernel
        self.assertEqual(found.dtype, dtype)
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(found),
            keras.ops.convert_to_numpy(wide)[rows][:, columns],
        )
        self.assertLess(found.shape[0], 1500)
        self.assertLess(found.shape[1], 4100)

    def test_an_activation_with_weights_keeps_them(self):
        inputs = keras.Input((6,))
        x = LAYERS.Dense(7, activation="relu")(inputs)
        # Keras builds it by its first call on data.
        x = LAYERS.Dense(5, activation=LAYERS.PReLU(), name="own")(x)
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        data = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
        model(data)
        (alpha,) = model.get_layer("own").activation.variables
        alpha.assign(np.arange(5) * 0.3)
        reader = model.get_layer("own").kernel
        zeroed = (
            keras.ops.convert_to_numpy(reader) * (np.arange(7) > 2)[:, None]
        )
        reader.assign(zeroed)
        small = stripping.strip(model)
        self.assertEqual(small.layers[1].units, 4)
        np.testing.assert_allclose(
            *(keras.ops.convert_to_numpy(m(data)) for m in (small, model)), 1e-5
        )

    def test_training_the_result_leaves_the_original_as_it_was(self):
        model = keras.Sequential(
            [
                LAYERS.Input((6, 6, 3)),
                LAYERS.Conv2D(8, 3),
                LAYERS.BatchNormalization(),
                LAYERS.GlobalAveragePooling2D(),
                LAYERS.Dense(2),
            ]
        )
        images = np.random.default_rng(0).normal(size=(8, 6, 6, 3))
        images = images.astype("float32")
        before = keras.ops.convert_to_numpy(model(images))
        smaller = stripping.strip(model), pruning.prune(model, 0.5)
        for small in smaller:
            small.compile("sgd", "mse")
            small.fit(images, np.zeros((8, 2)), epochs=2, verbose=0)
        after = keras.ops.convert_to_numpy(model(images))
        np.testing.assert_array_equal(after, before)


if __name__ == "__main__":
    absltest.main()
