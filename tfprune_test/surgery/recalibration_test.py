"""Batch normalisation measured anew."""

import keras
import numpy as np
from absl.testing import absltest

from tfprune.graph import values
from tfprune.methods import slimming
from tfprune.sparsity import wrapping
from tfprune.surgery import recalibration

layers = keras.layers


def net(momentum=0.99, trainable=True):
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(5, 3, name="conv")(inputs)
    x = layers.BatchNormalization(
        name="bn", momentum=momentum, trainable=trainable
    )(x)
    x = layers.Dropout(0.5)(layers.ReLU()(x))
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


def images(count=50, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(1, 2, size=(count, 4, 4, 3)).astype("float32")


def statistics(model, name="bn"):
    layer = model.get_layer(name)
    return [
        np.array(values.numpy(v))
        for v in (layer.moving_mean, layer.moving_variance)
    ]


class RecalibrationTest(absltest.TestCase):
    def test_one_batch_gives_its_mean_and_variance(self):
        model = net()
        small = recalibration.recalibrate(model, images())
        view = keras.Model(model.input, model.get_layer("conv").output)
        y = values.numpy(view(images())).reshape(-1, 5)
        mean, variance = statistics(small)
        np.testing.assert_allclose(mean, y.mean(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(variance, y.var(0), rtol=2e-2)

    def test_statistics_that_are_nan_are_measured_anew_weights_are_not(self):
        model = net()
        wanted = statistics(recalibration.recalibrate(model, images()))
        mean = model.get_layer("bn").moving_mean
        mean.assign(np.full(mean.shape, np.nan))
        found = statistics(recalibration.recalibrate(model, images()))
        np.testing.assert_array_equal(found, wanted)
        model.get_layer("conv").bias.assign([np.nan] * 5)
        with self.assertRaisesRegex(ValueError, "Finite .*conv/bias of"):
            recalibration.recalibrate(model, images())

    def test_batches_count_by_their_samples(self):
        model = net()
        x = images()
        found = statistics(recalibration.recalibrate(model, x, batch_size=20))
        parts = [
            statistics(recalibration.recalibrate(model, x[rows]))
            for rows in (slice(0, 20), slice(20, 40), slice(40, 50))
        ]
        for k in range(2):
            expected = sum(
                n * part[k] for n, part in zip((20, 20, 10), parts, strict=True)
            )
            np.testing.assert_allclose(found[k], expected / 50, rtol=1e-4)

    def test_the_second_layer_sees_what_the_first_one_normalised(self):
        inputs = keras.Input((3,))
        x = layers.BatchNormalization(name="first", epsilon=0)(inputs)
        x = layers.BatchNormalization(name="second")(x)
        model = keras.Model(inputs, layers.Dense(1)(x))
        x = np.random.default_rng(0).normal(5, 3, (64, 3)).astype("float32")
        small = recalibration.recalibrate(model, x)
        mean, variance = statistics(small, "second")
        np.testing.assert_allclose(mean, np.zeros(3), atol=1e-4)
        np.testing.assert_allclose(variance, np.ones(3), rtol=2e-2)

    def test_layers_of_nested_models_are_measured(self):
        inputs = keras.Input((4, 4, 3))
        inner = net()
        model = keras.Model(inputs, layers.Dense(1)(inner(inputs)))
        small = recalibration.recalibrate(model, images())
        expected = statistics(recalibration.recalibrate(inner, images()))
        found = statistics(small.get_layer(inner.name))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)

    def test_layers_inside_of_wrappers_are_measured(self):
        x = np.random.default_rng(0).normal(2, 3, (60, 2, 3)).astype("float32")
        inputs = keras.Input((2, 3))
        bn = layers.BatchNormalization()
        inner = keras.Sequential([keras.Input((3,)), bn])
        for outer in (
            layers.TimeDistributed(bn),
            layers.TimeDistributed(inner),
        ):
            model = keras.Model(inputs, layers.Flatten()(outer(inputs)))
            small = recalibration.recalibrate(model, x)
            found = small.weights[2:4]
            rows = x.reshape(-1, 3)
            np.testing.assert_allclose(found[0], rows.mean(0), rtol=1e-4)
            np.testing.assert_allclose(found[1], rows.var(0), rtol=5e-2)
        plain = net()
        wrapped = wrapping.wrap(
            plain, slimming.Slimming(), where=wrapping.normalizations
        )
        small = recalibration.recalibrate(wrapped, images())
        expected = statistics(recalibration.recalibrate(plain, images()))
        found = statistics(wrapping.unwrap(small))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)

    def test_images_are_not_augmented(self):
        inputs = keras.Input((4, 4, 3))
        x = layers.RandomFlip()(inputs)
        x = layers.Conv2D(5, 3, name="conv")(x)
        x = layers.BatchNormalization(name="bn")(x)
        model = keras.Model(inputs, layers.Flatten()(x))
        x = images()
        mean, variance = statistics(recalibration.recalibrate(model, x))
        made = values.numpy(model.get_layer("conv")(x))
        np.testing.assert_allclose(mean, made.mean((0, 1, 2)), atol=1e-4)
        np.testing.assert_allclose(variance, made.var((0, 1, 2)), rtol=1e-4)

    def test_layers_called_by_keyword_are_measured(self):
        found = []
        for by_name in (False, True):
            keras.utils.set_random_seed(0)
            norm = layers.BatchNormalization(name="bn")
            inputs = keras.Input((4, 4, 3))
            x = layers.Conv2D(5, 3, name="conv")(inputs)
            x = norm(inputs=x) if by_name else norm(x)
            model = keras.Model(inputs, layers.Flatten()(x))
            found.append(statistics(recalibration.recalibrate(model, images())))
        np.testing.assert_allclose(*found, rtol=1e-5)

    def test_a_layer_called_twice_gets_the_mean_of_both_calls(self):
        inputs = keras.Input((3,))
        bn = layers.BatchNormalization(name="bn")
        both = layers.Add()([bn(inputs), bn(inputs * 5 + 1)])
        x = np.random.default_rng(0).normal(2, 3, (60, 3)).astype("float32")
        small = recalibration.recalibrate(
            keras.Model(inputs, both), x, batch_size=30
        )
        mean, variance = statistics(small)
        calls = [x, 5 * x + 1]
        expected = np.mean([call.mean(0) for call in calls], 0)
        np.testing.assert_allclose(mean, expected, rtol=1e-4)
        parts = [half.var(0) for c in calls for half in (c[:30], c[30:])]
        np.testing.assert_allclose(variance, np.mean(parts, 0), rtol=5e-2)

    def test_the_model_and_everything_but_statistics_stays(self):
        model = net()
        before = [np.array(values.numpy(v)) for v in model.variables]
        small = recalibration.recalibrate(model, images())
        for old, variable in zip(before, model.variables, strict=True):
            np.testing.assert_array_equal(old, values.numpy(variable))
        for old, new in zip(model.variables, small.variables, strict=True):
            same = np.array_equal(values.numpy(old), values.numpy(new))
            self.assertEqual(same, not old.name.startswith("moving"))

    def test_frozen_layers_are_measured_and_stay_frozen(self):
        model = net(momentum=0.7, trainable=False)
        small = recalibration.recalibrate(model, images())
        self.assertGreater(np.abs(statistics(small)[0]).max(), 0.1)
        layer = small.get_layer("bn")
        self.assertFalse(layer.trainable)
        self.assertEqual(layer.momentum, 0.7)

    def test_shifted_statistics_come_back(self):
        model = net()
        good = recalibration.recalibrate(model, images(400), batch_size=400)
        bad = recalibration.recalibrate(good, 3 * images(10))
        again = recalibration.recalibrate(bad, images(400), batch_size=400)
        x = images(20, seed=5)
        np.testing.assert_allclose(again(x), good(x), atol=1e-4)
        self.assertGreater(float(np.abs(bad(x) - good(x)).max()), 0.1)

    def test_a_model_without_normalisation_is_copied(self):
        inputs = keras.Input((3,))
        model = keras.Model(inputs, layers.Dense(1)(inputs))
        small = recalibration.recalibrate(model, np.ones((2, 3), "float32"))
        self.assertIsNot(small, model)
        np.testing.assert_array_equal(
            values.numpy(small.layers[-1].kernel),
            values.numpy(model.layers[-1].kernel),
        )

    def test_without_data_there_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "Data are needed for the rec"):
            recalibration.recalibrate(net(), None)
