"""Reading weights that make up for removed channels."""

import dataclasses

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.graph import values
from tfprune.selection import cut as cut_lib
from tfprune.surgery import pruning
from tfprune.surgery import reconstruction
from tfprune.surgery import shrinking
from tfprune.surgery import verification
from tfprune_test import small_nets

layers = keras.layers
INPUTS = reconstruction.INPUTS


def distance(a, b, x):
    """Mean squared difference of two models' outputs."""
    return float(np.square(np.asarray(a(x)) - np.asarray(b(x))).mean())


def without(model, name, count):
    """A keep vector without the first channels of one group; the graph."""
    group, graph = small_nets.group(model, name)
    keep = np.ones(graph.size, bool)
    keep[group.labels[:count]] = False
    return keep, graph


class ReconstructionTest(parameterized.TestCase):
    @parameterized.parameters(*INPUTS)
    def test_nothing_changes_where_nothing_is_removed(self, inputs):
        model = small_nets.mixed()
        graph = read.channel_graph(model)
        keep = np.ones(graph.size, bool)
        small = reconstruction.reconstruct(
            cut_lib.Cut(graph, keep), small_nets.samples(), inputs=inputs
        )
        for a, b in zip(model.get_weights(), small.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)

    @parameterized.product(
        name=("stem", "inner", "down", "hidden"), inputs=INPUTS
    )
    def test_outputs_come_nearer_on_images_that_were_not_seen(
        self, name, inputs
    ):
        model = small_nets.mixed()
        keep, graph = without(model, name, 2)
        x, _ = small_nets.samples(128)
        test, _ = small_nets.samples(64, seed=9)
        fitted = reconstruction.reconstruct(
            cut_lib.Cut(graph, keep), x, inputs=inputs
        )
        plain = rebuild.shrink(graph, keep)
        self.assertEqual(fitted.count_params(), plain.count_params())
        self.assertLess(
            distance(fitted, model, test), 0.9 * distance(plain, model, test)
        )

    @parameterized.parameters(*INPUTS)
    def test_the_residual_of_every_layer_falls(self, inputs):
        model = small_nets.mixed()
        graph = read.channel_graph(model)
        keep = cut_lib.choose(graph, 0.5).keep
        settings = reconstruction.Reconstruction(inputs=inputs)
        changes, fits = settings.solve(
            cut_lib.Cut(graph, keep), small_nets.samples(64)
        )
        self.assertEqual(
            [fit.layer for fit in fits],
            ["inner", "outer", "down", "hidden", "logits"],
        )
        for fit in fits:
            self.assertGreater(fit.before, 0.01)
            self.assertLess(fit.after, fit.before)
        # A kernel and a bias for each of them.
        self.assertLen(changes, 10)

    @parameterized.parameters(*INPUTS)
    def test_a_channel_that_repeats_another_is_made_up_for_exactly(
        self, inputs
    ):
        model = small_nets.mixed()
        self.repeat(model, "inner")
        keep, graph = without(model, "inner", 1)
        x, _ = small_nets.samples(64)
        fitted = reconstruction.reconstruct(
            cut_lib.Cut(graph, keep), x, inputs=inputs, ridge=1e-7
        )
        plain = rebuild.shrink(graph, keep)
        self.assertGreater(distance(plain, model, x), 1e-4)
        self.assertLess(distance(fitted, model, x), 1e-8)

    def repeat(self, model, name):
        """Makes channel 1 the same as channel 0, up to the reader."""
        weights = {
            name: ("kernel", "bias"),
            f"{name}_bn": ("gamma", "beta", "moving_mean", "moving_variance"),
        }
        for layer, attributes in weights.items():
            for attribute in attributes:
                variable = getattr(model.get_layer(layer), attribute)
                value = np.array(values.numpy(variable))
                value[..., 1] = value[..., 0]
                variable.assign(value)
        depthwise = model.get_layer("depthwise")
        value = np.array(values.numpy(depthwise.kernel))
        value[:, :, 1] = value[:, :, 0]
        depthwise.kernel.assign(value)

    def test_a_constant_channel_goes_into_the_bias(self):
        inputs = keras.Input((4,))
        x = layers.Dense(3, name="writer", activation="relu")(inputs)
        model = keras.Model(inputs, layers.Dense(2, name="reader")(x))
        kernel = np.array(values.numpy(model.get_layer("writer").kernel))
        kernel[:, 0] = 0
        model.get_layer("writer").kernel.assign(kernel)
        model.get_layer("writer").bias.assign([2.0, 0.1, 0.2])
        keep, graph = without(model, "writer", 1)
        x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        small = reconstruction.reconstruct(
            cut_lib.Cut(graph, keep), x, ridge=1e-7
        )
        np.testing.assert_allclose(
            values.numpy(small.get_layer("reader").bias),
            2 * values.numpy(model.get_layer("reader").kernel)[0],
            atol=1e-3,
        )

    def test_the_weights_are_those_of_least_squares(self):
        inputs = keras.Input((3,))
        x = layers.Dense(4, name="writer")(inputs)
        outputs = layers.Dense(2, use_bias=False, name="reader")(x)
        model = keras.Model(inputs, outputs)
        keep, graph = without(model, "writer", 1)
        x = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
        settings = reconstruction.Reconstruction(ridge=0.0)
        changes, (fit,) = settings.solve(cut_lib.Cut(graph, keep), x)
        a = np.asarray(model.get_layer("writer")(x), float)
        w = values.numpy(model.get_layer("reader").kernel)
        expected, *_ = np.linalg.lstsq(a[:, 1:], a @ w, rcond=None)
        found = changes[id(model.get_layer("reader").kernel)]
        np.testing.assert_allclose(found[1:], expected, rtol=1e-3)
        np.testing.assert_array_equal(found[0], 0)
        left = np.square(a @ w - a[:, 1:] @ expected).sum()
        self.assertAlmostEqual(
            fit.after, left / np.square(a @ w).sum(), places=5
        )

    def test_one_input_less_is_the_step_of_the_optimal_brain_surgeon(self):
        # X^T X = H = [[2, 1], [1, 2]] and w = [1, 1]: without input 0, OBS
        # gives w - w_0 / [H^-1]_00 * H^-1[:, 0] = [0, 1.5], and the error
        # w_0^2 / [H^-1]_00 = 1.5, that is 0.75 of the loss 1/2 w'Hw.
        model = small_nets.chain()
        x = np.array([[1, 1], [1, 0], [0, 1]], "float32")
        inverse = np.linalg.inv(x.T @ x)
        step = 1 / inverse[0, 0] * inverse[:, 0]
        keep, graph = without(model, "writer", 1)
        settings = reconstruction.Reconstruction(ridge=0.0)
        changes, (fit,) = settings.solve(cut_lib.Cut(graph, keep), x)
        kernel = changes[id(model.get_layer("reader0").kernel)]
        np.testing.assert_allclose(kernel[:, 0], [0, 1.5], atol=1e-6)
        np.testing.assert_allclose(kernel[:, 0], 1 - step, atol=1e-6)
        # The outputs in full are [2, 1, 1].
        self.assertAlmostEqual(fit.after, 1.5 / 6, places=6)
        self.assertEqual(fit.unknowns, 1)

    @parameterized.parameters(*INPUTS)
    def test_weights_with_lora_are_fitted_as_a_whole(self, inputs):
        def net():
            keras.utils.set_random_seed(0)
            x = start = keras.Input((4,))
            for units in (8, 6):
                x = layers.Dense(units, activation="relu")(x)
            return keras.Model(start, layers.Dense(3)(x))

        x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        adapted, whole, found = net(), net(), []
        for i in (2, 3):
            layer = adapted.layers[i]
            layer.enable_lora(2)
            sizes = layer.lora_kernel_b.shape
            layer.lora_kernel_b.assign(np.ones(sizes, "float32"))
            whole.layers[i].kernel.assign(layer.kernel)
        keep = cut_lib.choose(read.channel_graph(whole), 0.5).keep
        for model in (adapted, whole):
            graph = read.channel_graph(model)
            cut = reconstruction.Reconstruction(inputs=inputs).refit(
                cut_lib.Cut(graph, keep), x
            )
            found.append(values.numpy(shrinking.apply(cut)(x)))
        np.testing.assert_allclose(*found, atol=1e-4)

    def test_data_read_once_serve_for_any_channels(self):
        model = small_nets.mixed()
        x, _ = small_nets.samples(64)
        settings = reconstruction.Reconstruction(inputs="dense")
        prepared = settings.prepare(read.channel_graph(model), x)
        for name in ("stem", "inner", "hidden"):
            keep, graph = without(model, name, 2)
            changes, fits = prepared.solve(keep)
            alone, fits_alone = settings.solve(cut_lib.Cut(graph, keep), x)
            self.assertNotEmpty(changes)
            self.assertEqual(set(changes), set(alone))
            for key, value in changes.items():
                np.testing.assert_allclose(value, alone[key], atol=1e-5)
            for one, other in zip(fits, fits_alone, strict=True):
                self.assertEqual(one.layer, other.layer)
                self.assertAlmostEqual(one.after, other.after, places=5)
                self.assertLess(one.after, one.before)

    def test_prune_fits_the_weights_that_are_left(self):
        model = small_nets.mixed()
        x, _ = small_nets.samples(64)
        plain = pruning.prune(model, 0.5)
        fitted = pruning.prune(model, 0.5, reconstruct=x)
        self.assertEqual(plain.count_params(), fitted.count_params())
        self.assertLess(
            distance(fitted, model, x), distance(plain, model, x) / 2
        )

    def test_the_same_data_and_seed_give_the_same_weights(self):
        model = small_nets.mixed()
        keep, graph = without(model, "stem", 2)
        x, _ = small_nets.samples()
        a, b = (
            reconstruction.reconstruct(cut_lib.Cut(graph, keep), x, positions=3)
            for _ in range(2)
        )
        self.assertEqual(verification.check_equal(a, b), 0.0)

    def test_layers_that_do_not_read_by_patches_are_named(self):
        model = small_nets.mixed()
        keep, graph = without(model, "stem", 1)
        graph.bindings = tuple(
            dataclasses.replace(b, input_axis=None) if b.layer == "down" else b
            for b in graph.bindings
        )
        settings = reconstruction.Reconstruction()
        with self.assertWarnsRegex(UserWarning, "are not refitted.*: down"):
            _, fits = settings.solve(
                cut_lib.Cut(graph, keep), small_nets.samples()
            )
        self.assertEqual([fit.layer for fit in fits], ["inner"])

    def test_too_few_data_are_reported(self):
        model = small_nets.mixed()
        keep, graph = without(model, "stem", 1)
        with self.assertWarnsRegex(UserWarning, "too few for inner, down"):
            reconstruction.reconstruct(
                cut_lib.Cut(graph, keep), small_nets.samples(4)
            )

    def test_wrong_settings_and_data_are_errors(self):
        model = small_nets.mixed()
        keep, graph = without(model, "stem", 1)
        with self.assertRaisesRegex(ValueError, "must be one of pruned, dense"):
            reconstruction.Reconstruction(inputs="both")
        with self.assertRaisesRegex(ValueError, "several times"):
            batches = iter([small_nets.samples()])
            reconstruction.reconstruct(cut_lib.Cut(graph, keep), batches)
        with self.assertRaisesRegex(TypeError, "a Cut. .* of type Functional"):
            reconstruction.reconstruct(model, small_nets.samples())
        with self.assertRaisesRegex(ValueError, "Data are needed for the rec"):
            reconstruction.reconstruct(cut_lib.Cut(graph, keep), None)
