"""Fused batch normalization computes what Keras' layer does."""

import os

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune import zoo
from tfprune.graph import values
from tfprune.methods import autoprune
from tfprune.methods import masked
from tfprune.methods import slimming
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.training import fused_normalization

layers = keras.layers
on_tensorflow = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="an op of TensorFlow"
)


def network(width=4):
    keras.utils.set_random_seed(0)
    model = zoo.build("resnet20", width=width, input_shape=(8, 8, 3))
    rng = np.random.default_rng(0)
    for variable in model.variables:
        noise = rng.uniform(0.5, 1.5, variable.shape)
        if not variable.path.endswith("kernel"):
            variable.assign(noise)
    return model


def gradients(model, x):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(x, training=True) ** 2)
    return [
        np.asarray(g) for g in tape.gradient(loss, model.trainable_variables)
    ]


def kinds(model):
    return {type(layer) for layer in model.layers}


@pytest.mark.any_backend
class CopyTest(absltest.TestCase):
    def test_the_original_stays_when_the_copy_is_trained(self):
        x = inputs = keras.Input((4, 4, 2))
        x = keras.layers.BatchNormalization()(keras.layers.Conv2D(3, 1)(x))
        model = keras.Model(inputs, keras.layers.Flatten()(x))
        images = np.ones((2, 4, 4, 2), "float32")
        expected = model.predict(images, verbose=0)
        quick = fused_normalization.fast(model)
        quick.compile("sgd", "mse")
        quick.fit(images, np.zeros((2, 48)), verbose=0)
        trained = quick.predict(images, verbose=0)
        plain = fused_normalization.plain(quick)
        plain.compile("sgd", "mse")
        plain.fit(images, np.zeros((2, 48)), verbose=0)
        for each, outputs in ((model, expected), (quick, trained)):
            found = each.predict(images, verbose=0)
            np.testing.assert_allclose(found, outputs, atol=1e-6)


@on_tensorflow
class FastTest(parameterized.TestCase):
    @parameterized.parameters(
        dict(), dict(scale=False), dict(center=False, momentum=0.9)
    )
    def test_a_layer_gives_outputs_gradients_and_statistics_of_keras(
        self, **options
    ):
        import tensorflow as tf

        rng = np.random.default_rng(1)
        x = tf.constant(rng.normal(2.0, 3.0, (2, 3, 2, 5)), "float32")
        weight = tf.constant(rng.normal(size=x.shape), "float32")
        found = []
        for cls in (
            keras.layers.BatchNormalization,
            fused_normalization.FusedBatchNormalization,
        ):
            layer = cls(epsilon=1e-3, **options)
            layer.build(x.shape)
            values = np.random.default_rng(2)
            for variable in layer.variables:
                variable.assign(values.uniform(0.5, 2.0, variable.shape))
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, training=True)
                loss = tf.reduce_sum(weight * y)
            slopes = tape.gradient(
                loss, [x, *(v.value for v in layer.trainable_variables)]
            )
            found.append([y, *slopes, *(v.value for v in layer.variables)])
        for keras_value, value in zip(*found, strict=True):
            np.testing.assert_allclose(value, keras_value, 1e-4, 1e-4)

    def test_a_network_has_the_gradients_and_statistics_of_keras(self):
        model = network()
        quick = fused_normalization.fast(model)
        x = np.random.default_rng(1).normal(size=(16, 8, 8, 3))
        for _ in range(2):
            expected = gradients(model, x)
            for ours, theirs in zip(gradients(quick, x), expected, strict=True):
                scale = np.abs(theirs).max()
                np.testing.assert_allclose(ours, theirs, atol=1e-3 * scale)
        for ours, theirs in zip(
            quick.get_weights(), model.get_weights(), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, 1e-4, 1e-5)

    def test_names_weights_and_inference_stay(self):
        model = network()
        quick = fused_normalization.fast(model)
        self.assertIn(fused_normalization.FusedBatchNormalization, kinds(quick))
        self.assertNotIn(keras.layers.BatchNormalization, kinds(quick))
        self.assertEqual(
            [v.path for v in quick.variables],
            [v.path for v in model.variables],
        )
        x = np.random.default_rng(1).normal(size=(4, 8, 8, 3))
        np.testing.assert_array_equal(quick(x), model(x))

    @parameterized.parameters(
        dict(dtype="float16"), dict(dtype="float64"), dict(renorm=True)
    )
    def test_layers_of_all_settings_train_as_those_of_keras(self, **options):
        normalization = keras.layers.BatchNormalization(**options)
        shape, dtype = (4, 4, 3), normalization.compute_dtype
        model = keras.Sequential(
            [keras.Input(shape, dtype=dtype), normalization]
        )
        quick = fused_normalization.fast(model)
        x = np.random.default_rng(1).normal(2.0, 3.0, (2, *shape))
        x = x.astype(dtype)
        for _ in range(3):
            expected, found = model(x, training=True), quick(x, training=True)
        np.testing.assert_allclose(found, expected, 1e-2, 1e-2)
        for ours, theirs in zip(quick.weights, model.weights, strict=True):
            np.testing.assert_allclose(ours, theirs, 1e-2, 1e-2)

    @pytest.mark.slow  # Trains.
    def test_plain_gives_back_the_trained_weights_in_layers_of_keras(self):
        quick = fused_normalization.fast(network(), "mixed_bfloat16")
        quick.compile("sgd", "mse", jit_compile=False)
        x = np.random.default_rng(1).normal(size=(8, 8, 8, 3))
        quick.fit(x, np.zeros((8, 10)), verbose=0)
        back = fused_normalization.plain(quick)
        self.assertEqual(kinds(back), kinds(network()))
        self.assertEqual(
            {layer.compute_dtype for layer in back.layers}, {"float32"}
        )
        for ours, theirs in zip(
            back.get_weights(), quick.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)

    def test_mixed_precision_leaves_the_outputs_in_float32(self):
        quick = fused_normalization.fast(network(), "mixed_bfloat16")
        y = quick(np.ones((2, 8, 8, 3), "float32"), training=True)
        self.assertEqual(keras.backend.standardize_dtype(y.dtype), "float32")
        self.assertEqual(quick.get_layer("stem_bn").compute_dtype, "bfloat16")

    def test_the_last_layer_of_a_sequential_model_makes_the_outputs(self):
        head = keras.Sequential([layers.Dense(3), layers.Softmax()])
        model = keras.Sequential([keras.Input((4,)), layers.Dense(5), head])
        quick = fused_normalization.fast(model, "mixed_bfloat16")
        dtypes = [layer.compute_dtype for layer in quick.layers[-1].layers]
        self.assertEqual(dtypes, ["bfloat16", "float32"])
        self.assertEqual(quick.layers[0].compute_dtype, "bfloat16")
        y = quick(np.ones((2, 4), "float32"))
        self.assertEqual(keras.backend.standardize_dtype(y.dtype), "float32")

    def test_integers_stay_integers_in_mixed_precision(self):
        inputs = keras.Input((3,), dtype="int64")
        x = layers.Embedding(4, 2)(layers.Hashing(4)(inputs))
        first = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
        second = keras.Sequential(
            [keras.Input((3,)), layers.Dense(4), layers.Dense(2)]
        )
        for layer in second.layers:
            layer.quantize("int8")
        for model in first, second:
            quick = fused_normalization.fast(model, "mixed_bfloat16")
            x = np.array([[1, 2, 3]])
            np.testing.assert_allclose(quick(x), model(x), atol=0.05)
        self.assertEqual(quick.layers[0].dtype_policy.name, "int8_from_float32")

    def test_layers_within_others_compute_in_mixed_precision(self):
        inputs = keras.Input((6, 8))
        x = layers.TimeDistributed(layers.Dense(8))(inputs)
        x = layers.Bidirectional(layers.GRU(4, return_sequences=True))(x)
        x = layers.RNN(layers.SimpleRNNCell(5))(x)
        model = keras.Model(inputs, layers.Dense(3)(x))
        model = wrapping.wrap(model, masked.Masked())
        quick = fused_normalization.fast(model, dtype="mixed_bfloat16")
        back = fused_normalization.plain(quick)
        held = (layers.Dense, layers.GRU, layers.SimpleRNNCell)
        for each, dtypes in (
            (quick, ["bfloat16"] * 4),
            (back, ["float32"] * 4),
        ):
            found = [x for x in values.layers(each) if isinstance(x, held)]
            found = [x.compute_dtype for x in found]
            self.assertCountEqual(found, [*dtypes, "float32"])

    @on_tensorflow
    def test_wrapped_layers_train_fused_and_as_those_of_keras(self):
        method = slimming.Slimming(0.1)
        model = wrapping.wrap(network(), method, where=wrapping.normalizations)
        quick = fused_normalization.fast(model)
        for each, kind in (
            (quick, fused_normalization.FusedBatchNormalization),
            (fused_normalization.plain(quick), layers.BatchNormalization),
        ):
            found = {type(wrapper.layer) for wrapper in wrapper_lib.find(each)}
            self.assertEqual(found, {kind})
        rng = np.random.default_rng(0)
        x = rng.normal(size=(8, *model.input_shape[1:])).astype("float32")
        y = np.zeros((8, *model.output_shape[1:]))
        for each in (model, quick):
            each.compile(keras.optimizers.SGD(1e-3), "mse", jit_compile=False)
            for _ in range(2):
                each.train_on_batch(x, y)
        for one, other in zip(model.variables, quick.variables, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
        self.assertLen(wrapper_lib.find(tfprune.strip(quick)), 0)

    def test_wrappers_that_share_variables_share_copies_of_them(self):
        inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3)(layers.Conv2D(4, 3)(inputs))
        x = layers.Dense(2)(layers.Flatten()(x))
        model = keras.Model(inputs, x)
        model = wrapping.wrap(model, autoprune.AutoPruneChannels())
        quick = fused_normalization.fast(model)
        back = fused_normalization.plain(quick)
        known = {id(variable) for variable in model.variables}
        for each in (quick, back):
            self.assertLen(each.variables, len(model.variables))
            self.assertEmpty(known & {id(v) for v in each.variables})
            shared = {id(w.shared) for w in wrapper_lib.find(each)}
            self.assertLen(shared, 1)

    def test_it_is_saved_and_loaded(self):
        quick = fused_normalization.fast(network())
        path = os.path.join(self.create_tempdir().full_path, "m.keras")
        quick.save(path)
        loaded = keras.saving.load_model(path)
        self.assertEqual(kinds(loaded), kinds(quick))
        x = np.random.default_rng(1).normal(size=(4, 8, 8, 3))
        np.testing.assert_array_equal(loaded(x), quick(x))

    @pytest.mark.slow  # Trains.
    def test_it_is_stripped_and_pruned(self):
        model = network()
        budget = tfprune.Budget(params=0.5)
        expected = tfprune.prune(model, budget)
        small = tfprune.prune(fused_normalization.fast(model), budget)
        self.assertIn(fused_normalization.FusedBatchNormalization, kinds(small))
        again = fused_normalization.plain(tfprune.strip(small))
        for ours, theirs in zip(
            again.get_weights(), expected.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)

    def test_frozen_layers_keep_their_statistics(self):
        model = network()
        model.get_layer("stem_bn").trainable = False
        quick = fused_normalization.fast(model)
        quick(np.ones((2, 8, 8, 3)), training=True)
        np.testing.assert_array_equal(
            quick.get_layer("stem_bn").moving_mean,
            model.get_layer("stem_bn").moving_mean,
        )

    def test_nested_models_are_copied_as_well(self):
        inner = network()
        model = keras.Sequential([keras.Input((8, 8, 3)), inner])
        quick = fused_normalization.fast(model)
        self.assertIn(
            fused_normalization.FusedBatchNormalization, kinds(quick.layers[-1])
        )
        quick(np.ones((2, 8, 8, 3)), training=True)
        self.assertIn(
            keras.layers.BatchNormalization,
            kinds(fused_normalization.plain(quick).layers[-1]),
        )


class FastErrorsTest(absltest.TestCase):
    def test_a_subclassed_model_is_refused(self):
        class Own(keras.Model):
            def call(self, x):
                return x

        with self.assertRaisesRegex(TypeError, "Functional or Sequential"):
            fused_normalization.fast(Own())


if __name__ == "__main__":
    absltest.main()
