import dataclasses
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.methods import autoprune
from tfprune.methods import bitpruning
from tfprune.methods import masked
from tfprune.methods import rigl
from tfprune.methods import slimming
from tfprune.methods import soft_threshold
from tfprune.patterns import weight_patterns
from tfprune.sparsity import chain
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import weights
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.surgery import stripping

pytestmark = pytest.mark.any_backend

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy

# Layer, and the shape of its input without the batch axis.
LAYERS = (
    (lambda: layers.Conv1D(4, 3, padding="same"), (6, 8)),
    (lambda: layers.Conv2D(4, 3, groups=2, activation="relu"), (6, 6, 8)),
    (lambda: layers.Conv3D(2, 2), (3, 3, 3, 4)),
    (lambda: layers.Conv1DTranspose(4, 3), (6, 8)),
    (lambda: layers.Conv2DTranspose(4, 3, strides=2), (4, 4, 8)),
    (lambda: layers.DepthwiseConv1D(3, depth_multiplier=2), (6, 4)),
    (lambda: layers.DepthwiseConv2D(3), (6, 6, 8)),
    (lambda: layers.SeparableConv1D(4, 3), (6, 8)),
    (lambda: layers.SeparableConv2D(4, 3), (6, 6, 8)),
    (lambda: layers.Dense(4), (8,)),
    (lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 3)), (5, 8)),
    (lambda: layers.Embedding(9, 4), (5,)),
    (lambda: layers.LSTM(4), (5, 3)),
    (lambda: layers.GRU(4, return_sequences=True), (5, 3)),
    (lambda: layers.Bidirectional(layers.LSTM(4)), (5, 3)),
    (lambda: layers.TimeDistributed(layers.Dense(4)), (5, 3)),
    (lambda: layers.SpectralNormalization(layers.Dense(4)), (8,)),
)


@keras.saving.register_keras_serializable("tfprune_test")
@dataclasses.dataclass(frozen=True)
class Scaled(method_lib.Method):
    """Multiplies weights by a trained scalar, and penalises the scalar."""

    initial: float = 1.0

    def build(self, slot):
        initializer = keras.initializers.Constant(self.initial)
        slot.add_weight("scale", initializer=initializer)
        slot.add_weight(
            "calls", initializer="zeros", trainable=False, dtype="int32"
        )

    def effective_kernel(self, slot, kernel, training=False):
        if training:
            slot["calls"].assign(slot["calls"] + 1)
        return kernel * slot["scale"].value

    def penalty(self, slot):
        return 10.0 * slot["scale"].value


@keras.saving.register_keras_serializable("tfprune_test")
@dataclasses.dataclass(frozen=True)
class Gated(method_lib.Method):
    """Multiplies output channels by trained factors."""

    def sites(self, layer):
        return (method_lib.OUTPUTS,)

    def build(self, slot):
        slot.add_weight("gate", (slot.shape[-1],), initializer="ones")

    def gate(self, slot, outputs, training=False):
        return outputs * keras.ops.cast(slot["gate"].value, outputs.dtype)

    def fold(self, slot):
        return to_numpy(slot["gate"])


@keras.saving.register_keras_serializable("tfprune_test")
class Block(layers.Layer):
    """A layer with a kernel and all kinds of state."""

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], 4))
        self.norm = layers.BatchNormalization()
        self.norm.build((None, 4))
        self.dropout = layers.Dropout(0.5, seed=3)

    def call(self, inputs, training=None):
        x = keras.ops.matmul(inputs, self.kernel)
        x = self.dropout(x, training=training)
        self.add_loss(keras.ops.mean(keras.ops.square(x)))
        return self.norm(x, training=training)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 4)


def data(shape, count=8):
    if shape == (5,):
        return np.arange(count * 5).reshape(count, 5) % 9
    random = np.random.default_rng(0)
    return random.normal(size=(count, *shape)).astype("float32")


def pair(make, shape, method):
    """A plain layer and a wrapped one with the same weights, both built."""
    plain = make()
    plain(data(shape))
    wrapper = wrapper_lib.PruningWrapper(
        type(plain).from_config(plain.get_config()), method
    )
    wrapper(data(shape))
    for source, target in zip(plain.variables, wrapper.layer.variables):
        target.assign(np.array(to_numpy(source)))
    return plain, wrapper


def models(make, shape, method, **compile_args):
    """The same two layers, each in a compiled model."""
    plain, wrapper = pair(make, shape, method)
    pair_of_models = []
    for layer in (plain, wrapper):
        inputs = keras.Input(shape)
        outputs = layers.Flatten()(layer(inputs))
        model = keras.Model(inputs, outputs)
        model.compile(
            keras.optimizers.SGD(0.1, momentum=0.9),
            "mse",
            **compile_args,
        )
        pair_of_models.append(model)
    return pair_of_models


def train(model, steps=3):
    """Trains on the same data; returns the losses."""
    x = data(model.input_shape[1:])
    y = np.zeros((len(x), *model.output_shape[1:]))
    return [float(model.train_on_batch(x, y)) for _ in range(steps)]


class LayersTest(parameterized.TestCase):
    @parameterized.parameters(*LAYERS)
    def test_wrapping_changes_no_output(self, make, shape):
        plain, wrapper = pair(make, shape, masked.Masked())
        x = data(shape)
        np.testing.assert_array_equal(to_numpy(plain(x)), to_numpy(wrapper(x)))

    @parameterized.parameters(*LAYERS)
    def test_a_plain_layer_with_the_folded_weights_is_equal(self, make, shape):
        plain, wrapper = pair(make, shape, masked.Masked())
        wrapper.method.update(None, list(wrapper.slots.values()), 0.5)
        for name, value in wrapper.folded().items():
            self.assertEqual(np.mean(value == 0), 0.5, name)
            weights.variable(plain, name).assign(value)
        x = data(shape)
        np.testing.assert_array_equal(to_numpy(plain(x)), to_numpy(wrapper(x)))
        self.assertEqual(wrapper_lib.sparsity(wrapper), 0.5)

    @parameterized.parameters(
        (lambda: layers.Dense(4), (8,), (0,), (1,)),
        (lambda: layers.Conv2D(4, 3), (6, 6, 8), (2,), (3,)),
        (lambda: layers.Conv2DTranspose(4, 3), (6, 6, 8), (3,), (2,)),
        (
            lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 3)),
            (5, 8),
            (0,),
            (1, 2),
        ),
        (
            lambda: layers.EinsumDense("abde,dec->abc", (None, 3)),
            (5, 2, 4),
            (0, 1),
            (2,),
        ),
        (
            lambda: layers.EinsumDense("...x,xy->...y", 3),
            (5, 2, 4),
            (0,),
            (1,),
        ),
        (lambda: layers.Embedding(9, 4), (5,), (0,), (1,)),
    )
    def test_axes_that_read_and_write(self, make, shape, reads, writes):
        _, wrapper = pair(make, shape, masked.Masked())
        (slot,) = wrapper.slots.values()
        self.assertEqual(slot.axes, weight_patterns.Axes(reads, writes))

    def test_two_of_four_lies_along_the_inputs_of_transposed_kernels(self):
        method = masked.Masked(weight_patterns.NM(2, 4))
        _, wrapper = pair(
            lambda: layers.Conv2DTranspose(4, 3), (4, 4, 8), method
        )
        method.update(None, list(wrapper.slots.values()), 0.5)
        mask = to_numpy(wrapper.slots["kernel"]["mask"])
        groups = mask.reshape(3, 3, 4, 2, 4)
        np.testing.assert_array_equal(groups.sum(-1), 2)

    def test_attention_has_four_kernels(self):
        attention = layers.MultiHeadAttention(2, 4)
        inputs = keras.Input((5, 8))
        wrapper = wrapper_lib.PruningWrapper(attention, masked.Masked())
        attention(inputs, inputs)
        model = keras.Model(inputs, wrapper(inputs, value=inputs))
        self.assertLen(wrapper.slots, 4)
        wrapper.method.update(None, list(wrapper.slots.values()), 0.5)
        x = data((5, 8))
        outputs = model(x)
        for name, value in wrapper.folded().items():
            weights.variable(attention, name).assign(value)
        np.testing.assert_allclose(
            to_numpy(attention(x, x)), to_numpy(outputs), atol=1e-6
        )


class StateTest(parameterized.TestCase):
    @parameterized.parameters(
        (Block, (6,)),
        (
            lambda: layers.Dense(
                4,
                activity_regularizer="l2",
                kernel_regularizer="l2",
                bias_constraint="non_neg",
                kernel_constraint="max_norm",
            ),
            (6,),
        ),
        (lambda: layers.LSTM(3, recurrent_dropout=0.5, seed=1), (5, 3)),
    )
    def test_training_is_that_of_the_plain_layer(self, make, shape):
        plain, wrapped = models(make, shape, masked.Masked())
        np.testing.assert_allclose(train(plain), train(wrapped), rtol=1e-4)
        state = wrapped.layers[1].layer.variables
        for expected, found in zip(plain.layers[1].variables, state):
            np.testing.assert_allclose(
                to_numpy(found),
                to_numpy(expected),
                rtol=1e-4,
                atol=1e-6,
                err_msg=found.path,
            )

    def test_losses_of_several_layers_count_once(self):
        def model(wrap):
            inputs = x = keras.Input((6,))
            for i in range(3):
                dense = layers.Dense(
                    6,
                    kernel_initializer=keras.initializers.Constant(0.1 * i),
                    activity_regularizer="l1",
                    kernel_regularizer="l1",
                )
                x = wrap(dense)(x)
            model = keras.Model(inputs, x)
            model.compile("sgd", "mse")
            return model

        plain = model(lambda layer: layer)
        wrapped = model(
            lambda layer: wrapper_lib.PruningWrapper(layer, masked.Masked())
        )
        np.testing.assert_allclose(train(plain), train(wrapped), rtol=1e-5)
        x = data((6,))
        plain(x), wrapped(x)
        self.assertLen(wrapped.losses, len(plain.losses))
        self.assertAlmostEqual(
            float(sum(plain.losses)), float(sum(wrapped.losses)), places=4
        )

    @parameterized.parameters(
        (masked.Masked(), True),
        (chain.Chain((masked.Masked(), bitpruning.BitPruning(0, 2))), True),
        (bitpruning.BitPruning(gamma=0, weights=2), False),
        (autoprune.AutoPrune(mu=0), False),
        (soft_threshold.SoftThreshold(initial=-1), False),
    )
    def test_regularizers_see_scheduled_masks_alone(self, method, scheduled):
        dense = layers.Dense(4, kernel_regularizer=keras.regularizers.L1(1))
        wrapper = wrapper_lib.PruningWrapper(dense, method)
        wrapper.build((None, 8))
        for slot in wrapper.slots.values():
            for name, variable in slot.variables.items():
                if name.endswith(("mask", "indicator")):
                    variable.assign(np.arange(32).reshape(8, 4) % 2)
        expected = np.abs(to_numpy(dense.kernel))
        if scheduled:
            expected = expected[:, 1::2]
        np.testing.assert_allclose(sum(wrapper.losses), expected.sum(), 1e-5)

    def test_what_spectral_normalization_changes_is_added_to_the_dense(self):
        make = lambda: layers.SpectralNormalization(layers.Dense(4))  # noqa: E731
        _, model = models(make, (6,), masked.Masked())
        wrapper = model.layers[1]
        (slot,) = wrapper.slots.values()
        slot.kernel.assign(np.arange(1.0, 25).reshape(6, 4))
        wrapper.method.update(None, [slot], 0.5)
        wrapper(data((6,)), training=True)
        kernel = to_numpy(slot.kernel).reshape(-1)
        np.testing.assert_array_equal(kernel[:12], np.arange(1, 13))
        self.assertLess(np.linalg.norm(kernel[12:].reshape(3, 4), 2), 1.1)

    def test_masks_of_time_steps_pass_through(self):
        embedding = layers.Embedding(9, 4, mask_zero=True)
        wrapper = wrapper_lib.PruningWrapper(embedding, masked.Masked())
        inputs = keras.Input((5,))
        outputs = layers.GlobalAveragePooling1D()(wrapper(inputs))
        model = keras.Model(inputs, outputs)
        x = np.array([[1, 2, 0, 0, 0]])
        np.testing.assert_allclose(
            to_numpy(model(x))[0],
            to_numpy(embedding.embeddings)[1:3].mean(0),
            rtol=1e-6,
        )

    @parameterized.parameters(masked.Masked(), bitpruning.BitPruning(gamma=1.0))
    def test_a_sequence_ends_where_its_mask_ends(self, method):
        embedding = layers.Embedding(9, 4, mask_zero=True)
        plain = [keras.Input((5,)), embedding, layers.GRU(3), layers.Dense(2)]
        model = wrapping.wrap(keras.Sequential(plain), method)
        found = []
        for value in (-1.0, 1.0):  # Of what is masked, within the range.
            table = np.linspace(-1, 1, 36).reshape(9, 4)
            table[0], table[1] = value, -1.0
            model.layers[0].embeddings.assign(table)
            found.append(to_numpy(model(np.array([[1, 8, 0, 0, 0]]))))
        np.testing.assert_array_equal(*found)

    def test_trainable_flags_pass_through(self):
        frozen = layers.Dense(4, trainable=False)
        wrapper = wrapper_lib.PruningWrapper(frozen, masked.Masked())
        wrapper.build((None, 8))
        self.assertFalse(wrapper.trainable)
        self.assertEmpty(wrapper.trainable_variables)
        wrapper.trainable = True
        self.assertEqual(
            [v.name for v in wrapper.trainable_variables], ["kernel", "bias"]
        )


class MethodTest(parameterized.TestCase):
    @parameterized.parameters(
        dict(jit_compile=True), dict(jit_compile=False), dict(run_eagerly=True)
    )
    def test_kernel_and_own_variables_learn(self, **compile_args):
        _, model = models(
            lambda: layers.Dense(4), (8,), Scaled(), **compile_args
        )
        slot = model.layers[1].slots["kernel"]
        kernel = to_numpy(slot.kernel)
        losses = train(model)
        self.assertLess(losses[-1], losses[0])
        self.assertLess(float(slot["scale"]), 1.0)
        self.assertEqual(int(slot["calls"]), 3)
        self.assertGreater(np.abs(to_numpy(slot.kernel) - kernel).max(), 0)

    def test_the_penalty_of_a_shared_layer_counts_once(self):
        wrapper = wrapper_lib.PruningWrapper(layers.Dense(6), Scaled(0.5))
        inputs = keras.Input((6,))
        model = keras.Model(inputs, wrapper(wrapper(inputs)))
        model.compile("sgd", lambda y, outputs: 0.0 * outputs)
        self.assertAlmostEqual(train(model, 1)[0], 5.0, places=5)

    @parameterized.parameters("mixed_float16", "mixed_bfloat16")
    def test_methods_compute_in_the_dtype_of_variables(self, policy):
        dtypes = []

        class Spy(masked.Masked):
            def effective_kernel(self, slot, kernel, training=False):
                dtypes.append(keras.backend.standardize_dtype(kernel.dtype))
                return super().effective_kernel(slot, kernel, training)

        inputs = keras.Input((8,), dtype="float32")
        dense = layers.Dense(4, dtype=policy)
        outputs = wrapper_lib.PruningWrapper(dense, Spy())(inputs)
        self.assertEqual(outputs.dtype, policy.removeprefix("mixed_"))
        # A model with the policy opens an autocast scope around its layers.
        with_scope = keras.Model(inputs, outputs)
        with_scope.dtype_policy = policy
        found = with_scope(data((8,)))
        self.assertEqual(
            keras.backend.standardize_dtype(found.dtype),
            policy.removeprefix("mixed_"),
        )
        self.assertEqual(set(dtypes), {"float32"})

    def test_mixed_precision_trains(self):
        make = lambda: layers.Dense(4, dtype="mixed_bfloat16")  # noqa: E731
        plain, wrapped = models(make, (8,), masked.Masked())
        np.testing.assert_allclose(train(plain), train(wrapped), rtol=1e-3)

    @parameterized.product(
        method=(
            masked.Masked(decay=0.1),
            rigl.RigL(),
            slimming.Slimming(),
            soft_threshold.SoftThreshold(decay=0.1),
        ),
        dtype=("bfloat16", "float16"),
    )
    def test_weights_in_half_precision_train(self, method, dtype):
        model = keras.Sequential(
            [
                keras.Input((8,)),
                layers.Dense(4, dtype=dtype),
                layers.BatchNormalization(dtype=dtype),
            ]
        )
        where = [wrapping.kernels, wrapping.normalizations]
        where = where[isinstance(method, slimming.Slimming)]
        wrapped = wrapping.wrap(model, method, where)
        wrapped.compile("sgd", "mse", run_eagerly=True)
        self.assertTrue(np.isfinite(train(wrapped, 1)[0]))

    @parameterized.product(
        method=(masked.Masked(decay=0.1), slimming.Slimming()),
        dtype=("bfloat16", "float64"),
        everywhere=(True, False),
    )
    def test_penalties_add_to_losses_of_any_type(
        self, method, dtype, everywhere
    ):
        if everywhere:
            policy = keras.config.dtype_policy()
            self.addCleanup(keras.config.set_dtype_policy, policy)
            self.addCleanup(keras.config.set_floatx, keras.config.floatx())
            keras.config.set_floatx(dtype)
        layer = layers.Dense(4, kernel_regularizer="l2", dtype=dtype)
        where = wrapping.kernels
        if isinstance(method, slimming.Slimming):
            layer = layers.BatchNormalization(
                gamma_regularizer="l2", dtype=dtype
            )
            where = wrapping.normalizations
        model = keras.Sequential([keras.Input((8,)), layer])
        wrapped = wrapping.wrap(model, method, where)
        wrapped.compile("sgd", "mse", run_eagerly=True)
        self.assertTrue(np.isfinite(train(wrapped, 1)[0]))

    def test_gates_act_on_outputs(self):
        _, model = models(
            lambda: layers.Conv2D(4, 3, activation="relu"), (6, 6, 3), Gated()
        )
        wrapper = model.layers[1]
        (slot,) = wrapper.slots.values()
        self.assertEqual(slot.shape, (None, 4, 4, 4))
        x = data((6, 6, 3))
        before = to_numpy(wrapper(x))
        slot["gate"].assign([1.0, 0.0, 2.0, 1.0])
        np.testing.assert_allclose(
            to_numpy(wrapper(x)), before * [1, 0, 2, 1], rtol=1e-6
        )
        train(model)
        self.assertLess(float(slot["gate"].value[2]), 2.0)

    def test_methods_are_grouped_by_equality(self):
        method = masked.Masked(weight_patterns.NM(2, 4))
        model = keras.Sequential(
            [
                keras.Input((8,)),
                wrapper_lib.PruningWrapper(layers.Dense(4, name="a"), method),
                wrapper_lib.PruningWrapper(layers.Dense(4, name="b"), Gated()),
                keras.Sequential(
                    [
                        wrapper_lib.PruningWrapper(
                            layers.Dense(4, name="c"),
                            masked.Masked(weight_patterns.NM(2, 4)),
                        )
                    ]
                ),
            ]
        )
        groups = wrapper_lib.groups(model)
        self.assertEqual([m for m, _ in groups], [method, Gated()])
        paths = [[slot.path for slot in slots] for _, slots in groups]
        self.assertEqual(paths, [["a/kernel", "c/kernel"], ["b/outputs"]])


class SavingTest(parameterized.TestCase):
    def pruned(self, method=None):
        _, model = models(
            lambda: layers.Conv2D(4, 3), (6, 6, 3), method or masked.Masked()
        )
        train(model, 1)
        wrapper = model.layers[1]
        if wrapper.method.is_scheduled:
            wrapper.method.update(None, list(wrapper.slots.values()), 0.5)
        return model

    @parameterized.parameters(
        masked.Masked(), masked.Masked(weight_patterns.Block((1, 4))), Scaled()
    )
    def test_a_saved_model_predicts_the_same(self, method):
        model = self.pruned(method)
        path = os.path.join(self.create_tempdir(), "model.keras")
        model.save(path)
        loaded = keras.saving.load_model(path)
        self.assertEqual(loaded.layers[1].method, method)
        x = data((6, 6, 3))
        np.testing.assert_array_equal(to_numpy(model(x)), to_numpy(loaded(x)))
        np.testing.assert_allclose(train(model), train(loaded), rtol=1e-4)

    @pytest.mark.slow  # A process that imports the backend.
    def test_importing_tfprune_is_enough_to_load(self):
        model = self.pruned(masked.Masked(weight_patterns.NM(2, 4)))
        folder = self.create_tempdir().full_path
        model.save(os.path.join(folder, "model.keras"))
        np.save(os.path.join(folder, "x.npy"), data((6, 6, 3)))
        script = (
            "import os, sys, keras, numpy as np, tfprune\n"
            "os.chdir(sys.argv[1])\n"
            "model = keras.saving.load_model('model.keras')\n"
            "y = model.predict(np.load('x.npy'), verbose=0)\n"
            "np.save('y.npy', y)\n"
        )
        root = pathlib.Path(__file__).resolve().parents[2]
        done = subprocess.run(
            [sys.executable, "-c", script, folder],
            env=dict(os.environ, PYTHONPATH=str(root)),
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        np.testing.assert_allclose(
            np.load(os.path.join(folder, "y.npy")),
            to_numpy(model(data((6, 6, 3)))),
            rtol=1e-5,
            atol=1e-6,
        )

    def test_weights_alone_bring_the_masks(self):
        model = self.pruned()
        path = os.path.join(self.create_tempdir(), "model.weights.h5")
        model.save_weights(path)
        _, other = models(
            lambda: layers.Conv2D(4, 3), (6, 6, 3), masked.Masked()
        )
        train(other, 1)  # Loading needs the variables of the optimizer.
        other.load_weights(path)
        self.assertEqual(wrapper_lib.sparsity(other), 0.5)
        x = data((6, 6, 3))
        np.testing.assert_array_equal(to_numpy(model(x)), to_numpy(other(x)))

    def test_clone_and_config(self):
        model = self.pruned()
        clone = keras.models.clone_model(model)
        clone.set_weights(model.get_weights())
        x = data((6, 6, 3))
        np.testing.assert_array_equal(to_numpy(model(x)), to_numpy(clone(x)))
        again = keras.models.model_from_json(model.to_json())
        self.assertEqual(again.layers[1].method, model.layers[1].method)
        self.assertEqual(again.to_json(), model.to_json())

    def test_a_config_can_be_used_twice(self):
        config = self.pruned().layers[1].get_config()
        for _ in range(2):
            wrapper = wrapper_lib.PruningWrapper.from_config(config)
            self.assertEqual(wrapper.method, masked.Masked())


class ErrorsTest(parameterized.TestCase):
    def test_a_layer_without_weights(self):
        wrapper = wrapper_lib.PruningWrapper(layers.ReLU(), masked.Masked())
        with self.assertRaisesRegex(ValueError, "kernel.*'re_lu.*ReLU"):
            wrapper.build((None, 4))

    def test_a_wrapper_in_a_wrapper(self):
        wrapper = wrapper_lib.PruningWrapper(layers.Dense(4), masked.Masked())
        with self.assertRaisesRegex(ValueError, "wrapped once"):
            wrapper_lib.PruningWrapper(wrapper, masked.Masked())

    def test_no_method(self):
        with self.assertRaisesRegex(ValueError, "'masked'. Registered:.*mask"):
            wrapper_lib.PruningWrapper(layers.Dense(4), "masked")

    @parameterized.parameters(
        lambda model: model.layers[0].layer.quantize("int8"),
        lambda model: model.layers[0].layer.enable_lora(2),
    )
    def test_a_weight_that_was_replaced(self, replace):
        model = keras.Sequential([keras.Input((8,)), layers.Dense(4)])
        model = wrapping.wrap(model, masked.Masked())
        replace(model)
        for use in (model, wrapper_lib.sparsity, stripping.strip):
            argument = np.ones((1, 8)) if use is model else model
            with self.assertRaisesRegex(
                ValueError, "'dense.*'kernel'.*replaced.*enable_lora.*strip"
            ):
                use(argument)

    def test_a_learned_method_refuses_a_schedule(self):
        with self.assertRaisesRegex(ValueError, "Received: Scaled"):
            Scaled().update(None, [], 0.5)
