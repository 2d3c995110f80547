"""Values and gradients inside a model, seen without a change to it."""

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph import values
from tfprune.scoring import probe

layers = keras.layers

LAYERS = keras.layers


def net(frozen=False, **kwargs):
    """Convolution, normalisation, dropout, classifier; random statistics."""
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(4, 3, name="conv", trainable=not frozen, **kwargs)(inputs)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.Dropout(0.5)(layers.ReLU()(x))
    x = layers.Dense(3, name="logits")(layers.Flatten()(x))
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(1)
    model.get_layer("bn").moving_mean.assign(rng.normal(size=4))
    model.get_layer("bn").moving_variance.assign(rng.uniform(1, 2, size=4))
    return model


def samples(count=6):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(count, 4, 4, 3)).astype("float32")
    return x, rng.integers(0, 3, count)


LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def slope(model, variable, index, x, y, step=0.01):
    """The derivative of the loss by one weight, from two evaluations."""
    value = np.array(values.numpy(variable))
    losses = []
    for side in (step, -step):
        moved = value.copy()
        moved[index] += side
        variable.assign(moved)
        losses.append(float(LOSS(y, model(x, training=False))))
    variable.assign(value)
    return (losses[0] - losses[1]) / (2 * step)


class Own(layers.ReLU):
    """A layer that Keras does not know."""


class ProbeTest(parameterized.TestCase):
    def test_every_call_is_shown_in_order_with_its_arrays(self):
        model = net()
        graph = read.channel_graph(model)
        events = []
        (output,) = probe.play(graph, [samples()[0]], events.append)
        self.assertEqual([e.step for e in events], list(graph.steps))
        for event in events:
            for array, tensor in zip(
                event.tensors, event.step.inputs, strict=True
            ):
                self.assertEqual(array.shape[1:], tensor.shape[1:])
        expected = model(samples()[0], training=False)
        np.testing.assert_array_equal(values.numpy(output), expected)

    def test_raw_ops_are_shown_with_their_tensors_alone(self):
        inputs = keras.Input((2,))
        x = layers.Dense(2)(inputs)
        model = keras.Model(inputs, layers.Dense(1)(x * np.ones(2) + x))
        events = []
        graph = read.channel_graph(model)
        probe.play(graph, [np.ones((1, 2), "float32")], events.append)
        counts = {e.step.op: len(e.tensors) for e in events}
        self.assertEqual(counts, {"Dense": 1, "Multiply": 1, "Add": 2})

    def test_variables_have_other_values_for_one_run_only(self):
        model = net()
        bias = model.get_layer("logits").bias
        graph, x = read.channel_graph(model), samples()[0]
        (plain,) = probe.play(graph, [x], lambda event: None)
        (moved,) = probe.play(graph, [x], lambda _: None, [(bias, np.ones(3))])
        np.testing.assert_allclose(moved - plain, np.ones((6, 3)), atol=1e-5)
        np.testing.assert_array_equal(bias, np.zeros(3))

    @parameterized.parameters(
        ("conv", "kernel", (1, 2, 0, 3)),
        ("bn", "gamma", (1,)),
        ("logits", "kernel", (5, 2)),
        ("logits", "bias", (1,)),
    )
    def test_gradients_are_the_slopes_of_the_loss(self, layer, name, index):
        model = net()
        variable = getattr(model.get_layer(layer), name)
        x, y = samples()
        found = list(
            probe.gradients(
                read.channel_graph(model), (x, y), "a test", LOSS, batch_size=4
            )
        )
        self.assertEqual([count for _, count in found], [4, 2])
        for (gradients, _), rows in zip(
            found, (slice(0, 4), slice(4, 6)), strict=True
        ):
            self.assertAlmostEqual(
                float(gradients[id(variable)][index]),
                slope(model, variable, index, x[rows], y[rows]),
                delta=1e-3,
            )

    def test_frozen_layers_and_penalties_make_no_difference(self):
        model = net()
        other = net(frozen=True, kernel_regularizer="l2")
        other.set_weights(model.get_weights())
        found = []
        for each in (model, other):
            graph = read.channel_graph(each)
            ((gradients, _),) = probe.gradients(graph, samples(), "", LOSS)
            found.append(gradients[id(each.get_layer("conv").kernel)])
        np.testing.assert_allclose(*found, rtol=1e-5)
        self.assertFalse(other.get_layer("conv").trainable)

    @parameterized.parameters(
        lambda: layers.ActivityRegularization(l2=9.0),
        lambda: Own(activity_regularizer="l2"),
    )
    def test_penalties_on_activities_make_no_difference(self, make):
        found = []
        for layer in (layers.ReLU(), make()):
            x = inputs = keras.Input((3,))
            x = layers.Dense(2, kernel_initializer="ones", name="first")(x)
            x = layer(x)
            x = layers.Dense(1, kernel_initializer="ones")(x)
            model = keras.Model(inputs, x)
            graph = read.channel_graph(model)
            data = np.ones((4, 3)), np.zeros((4, 1))
            ((gradients, _),) = probe.gradients(graph, data, "", "mse")
            found.append(gradients[id(model.get_layer("first").kernel)])
        np.testing.assert_allclose(*found, rtol=1e-5)

    @parameterized.parameters("mixed_float16", "mixed_bfloat16", "float16")
    def test_half_precision_gives_gradients_in_full_precision(self, policy):
        model = net()
        config = model.get_config()
        for entry in config["layers"][1:]:
            entry["config"]["dtype"] = policy
        half = keras.Model.from_config(config)
        half.set_weights(model.get_weights())
        found = []
        for each in (model, half):
            graph = read.channel_graph(each)
            ((gradients, _),) = probe.gradients(graph, samples(), "", LOSS)
            found.append(gradients[id(each.get_layer("conv").kernel)])
        self.assertIn(half.get_layer("conv").compute_dtype, policy)
        np.testing.assert_allclose(*found, rtol=0.02, atol=1e-3)

    @parameterized.named_parameters(
        ("a wrapper", lambda **k: LAYERS.TimeDistributed(LAYERS.Dense(2, **k))),
        ("both ways", lambda **k: LAYERS.Bidirectional(LAYERS.GRU(2, **k))),
        ("a cell", lambda **k: LAYERS.RNN([LAYERS.GRUCell(2, **k)])),
    )
    def test_layers_within_layers_are_as_others(self, make):
        inputs = keras.Input((3, 2))
        other = {
            "kernel_regularizer": "l2",
            "dtype": "float16",
            "trainable": False,
        }
        found = []
        for options in ({}, other):
            layer = make(**options)
            model = keras.Model(inputs, layer(inputs))
            rng = np.random.default_rng(0)
            model.set_weights([rng.normal(size=w.shape) for w in model.weights])
            x = rng.normal(size=(4, *inputs.shape[1:]))
            y = np.zeros((4, *model.output_shape[1:]))
            graph = read.channel_graph(model)
            ((gradients, _),) = probe.gradients(graph, (x, y), "", "mse")
            found.append(gradients[id(model.weights[0])])
        self.assertGreater(np.abs(found[0]).max(), 0)
        # The weights themselves are rounded.
        np.testing.assert_allclose(*found, rtol=0.02, atol=2e-3)

    def test_weights_of_samples_are_those_of_their_losses(self):
        model = net()
        graph = read.channel_graph(model)
        x, y = samples(4)
        kernel = id(model.get_layer("conv").kernel)
        ((half, _),) = probe.gradients(graph, (x[:2], y[:2]), "", LOSS)
        data = x, y, np.array([1.0, 1, 0, 0])
        ((found, _),) = probe.gradients(graph, data, "", LOSS)
        np.testing.assert_allclose(2 * found[kernel], half[kernel], rtol=1e-5)
        ((found, _),) = probe.gradients(graph, [data], "", LOSS, limit=2)
        np.testing.assert_allclose(found[kernel], half[kernel], rtol=1e-5)

    @parameterized.parameters("sum", "none")
    def test_losses_are_means(self, reduction):
        model = net()
        graph = read.channel_graph(model)
        kernel = id(model.get_layer("conv").kernel)
        loss = keras.losses.MeanSquaredError()
        y = np.zeros((6, *model.output_shape[1:]))
        data = samples()[0], y
        ((mean, _),) = probe.gradients(graph, data, "", loss)
        loss = keras.losses.MeanSquaredError(reduction=reduction)
        model.compile(loss=loss)
        ((found, _),) = probe.gradients(graph, data, "")
        np.testing.assert_allclose(found[kernel], mean[kernel], rtol=1e-5)
        self.assertEqual(loss.reduction, reduction)

    @parameterized.parameters("sum", "none", "mean_with_sample_weight")
    def test_weights_of_samples_count_in_batches_of_any_size(self, reduction):
        model = net()
        graph = read.channel_graph(model)
        kernel = id(model.get_layer("conv").kernel)
        x, y = samples()[0][:4], np.zeros((4, *model.output_shape[1:]))
        data = x, y, np.arange(1.0, 5)
        whole, single = (
            np.mean(
                [
                    found[kernel]
                    for found, _ in probe.gradients(
                        graph, data, "", loss, batch_size
                    )
                ],
                axis=0,
            )
            for loss, batch_size in (
                (keras.losses.MeanSquaredError(), 4),
                (keras.losses.MeanSquaredError(reduction=reduction), 1),
            )
        )
        np.testing.assert_allclose(single, whole, rtol=1e-4, atol=1e-7)

    def test_images_are_not_augmented(self):
        class Augmentation(layers.Layer):
            def __init__(self):
                super().__init__()
                self.flip = layers.RandomFlip()

            def call(self, inputs):
                return self.flip(inputs)

        inputs = keras.Input((4, 4, 3))
        inner = keras.Sequential(
            [layers.RandomFlip(), layers.RandomRotation(1)]
        )
        x = Augmentation()(inner(layers.RandomFlip()(inputs)))
        model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
        x, _ = samples()
        (found,) = probe.play(
            read.channel_graph(model), [x], lambda event: None
        )
        expected = values.numpy(model(x, training=False))
        np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_a_loss_that_the_class_computes_is_named(self):
        class Own(keras.Model):
            def compute_loss(self, *args, **kwargs):
                return 0.0

        plain = net()
        model = Own(plain.inputs, plain.outputs[0], name="own")
        model.compile(loss=LOSS)
        graph = read.channel_graph(model)
        with self.assertWarnsRegex(UserWarning, "compute_loss of model 'own'"):
            list(probe.gradients(graph, samples(), "a test"))

    def test_the_loss_and_weights_of_the_compiled_model_are_taken(self):
        model = net()
        graph = read.channel_graph(model)
        kernel = id(model.get_layer("conv").kernel)
        ((given, _),) = probe.gradients(graph, samples(), "", LOSS)
        model.compile(loss=LOSS, loss_weights=3.0)
        ((found, _),) = probe.gradients(graph, samples(), "")
        np.testing.assert_allclose(found[kernel], 3 * given[kernel], rtol=1e-5)

    def test_nothing_in_the_model_changes(self):
        model = net()
        before = [np.array(values.numpy(v)) for v in model.variables]
        graph = read.channel_graph(model)
        for _ in probe.gradients(graph, samples(), "a test", LOSS):
            pass
        probe.play(graph, [samples()[0]], lambda event: None)
        for old, variable in zip(before, model.variables, strict=True):
            np.testing.assert_array_equal(old, values.numpy(variable))

    def test_without_a_loss_there_is_an_error(self):
        graph = read.channel_graph(net())
        with self.assertRaisesRegex(ValueError, "A loss is needed for taylor"):
            next(probe.gradients(graph, samples(), "taylor"))
