"""Gates of attention, their statistics, and the three stages of PCAS."""

import os

import keras
import numpy as np
import pytest
from absl.testing import parameterized

import tfprune
from tfprune.callbacks import prune_on_schedule
from tfprune.graph import read
from tfprune.graph import values
from tfprune.methods import gates
from tfprune.methods import masked
from tfprune.methods import pcas
from tfprune.scoring import score
from tfprune.sparsity import chain
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.surgery import pruning
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy
Gate = pcas.AttentionGate
JAX = keras.config.backend() == "jax"
FAST = {"run_eagerly": not JAX}


def slot_of(model, path):
    return gates.layer_at(model, path).slots[method_lib.OUTPUTS]


def gated_identity(channels, gate, shape=()):
    """A linear layer without effect, behind a gate; and the gate's slot."""
    inputs = keras.Input((*shape, channels))
    model = keras.Model(inputs, layers.Activation("linear", name="at")(inputs))
    model = tfprune.wrap(model, gate, "at")
    return model, slot_of(model, "at")


def randomize(model, seed=0):
    """Gates that differ by channel and by sample, as training leaves them."""
    rng = np.random.default_rng(seed)
    for wrapper in wrapper_lib.find(model):
        slot = wrapper.slots[method_lib.OUTPUTS]
        for name in ("expand_kernel", "expand_bias"):
            slot[name].assign(rng.normal(size=slot[name].shape))


def state(model):
    return [np.array(values.numpy(v)) for v in model.variables]


def outputs(model, count=8):
    return to_numpy(model(small_nets.samples(count)[0], training=False))


class AttentionGateTest(parameterized.TestCase):
    def test_a_gate_computed_by_hand(self):
        model, slot = gated_identity(4, Gate(2, min_hidden=2))
        slot["reduce_kernel"].assign(
            np.array([[1.0, 0, 0, 0], [0, 1, 0, -1]]).T
        )
        slot["expand_kernel"].assign(
            np.array([[0.0, 1], [2, 0], [-2, 0], [np.log(3), 0]]).T
        )
        slot["expand_bias"].assign(np.zeros(4))
        z = np.array([[1.0, 2, 3, 4]], "float32")
        s = [0.5, 0.880797, 0.119203, 0.75]
        found = slot.layer, Gate(2, min_hidden=2).attention(slot, z)
        np.testing.assert_allclose(to_numpy(found[1])[0], s, atol=1e-6)
        np.testing.assert_allclose(to_numpy(model(z))[0], s * z[0], rtol=1e-5)

    def test_the_shifted_tanh_is_twice_as_steep(self):
        _, slot = gated_identity(4, Gate(bias=0.7))
        x = np.ones((1, 4), "float32")
        for name, expected in (("sigmoid", 0.7), ("shifted_tanh", 1.4)):
            found = to_numpy(Gate(activation=name).attention(slot, x))
            np.testing.assert_allclose(
                found, 1 / (1 + np.exp(-expected)) * np.ones((1, 4)), rtol=1e-6
            )

    @parameterized.parameters("sigmoid", "shifted_tanh")
    def test_a_gate_of_one_changes_nothing(self, activation):
        model = small_nets.mixed()
        gate = Gate(activation=activation, bias=float("inf"))
        gated = gates.attach(read.channel_graph(model), gate)
        np.testing.assert_array_equal(outputs(gated), outputs(model))

    @parameterized.parameters(1, -1)
    def test_normalization_is_gated_along_its_own_axis(self, axis):
        inputs = keras.Input((3, 5))
        norm = layers.BatchNormalization(axis, name="norm")
        model = tfprune.wrap(keras.Model(inputs, norm(inputs)), Gate(), "norm")
        randomize(model)
        x = np.random.default_rng(0).normal(size=(4, 3, 5)).astype("float32")
        pcas.measure(model, x)
        factors = slot_of(model, "norm")["mean"].value
        shape = [3, 1] if axis == 1 else [5]
        np.testing.assert_allclose(
            to_numpy(wrapping.unwrap(model)(x)),
            to_numpy(norm(x)) * np.reshape(to_numpy(factors), shape),
            atol=1e-5,
        )

    @parameterized.parameters(
        ((), None), ((5,), None), ((5, 6), None), ((2, 3, 2), -1)
    )
    def test_every_position_is_pooled(self, shape, axis):
        model, slot = gated_identity(6, Gate(axis=axis), shape)
        randomize(model)
        x = np.random.default_rng(1).normal(size=(3, *shape, 6))
        x = x.astype("float32")
        z = x.reshape(3, -1, 6).mean(1)
        e = np.maximum(z @ to_numpy(slot["reduce_kernel"]), 0)
        logits = e @ to_numpy(slot["expand_kernel"])
        s = 1 / (1 + np.exp(-logits - to_numpy(slot["expand_bias"])))
        expected = x * s.reshape(3, *(1 for _ in shape), 6)
        np.testing.assert_allclose(to_numpy(model(x)), expected, atol=1e-5)

    def test_channels_may_come_first(self):
        first, slot = gated_identity(4, Gate(axis=1), (6, 5))
        self.assertEqual(slot["mean"].shape, (6,))
        last, other = gated_identity(6, Gate(), (5, 4))
        for model in (first, last):
            randomize(model)
        for name, variable in slot.variables.items():
            other[name].assign(variable)
        x = np.random.default_rng(1).normal(size=(2, 6, 5, 4))
        np.testing.assert_allclose(
            to_numpy(first(x)),
            to_numpy(last(x.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2),
            rtol=1e-5,
        )

    @parameterized.parameters((64, 8), (16, 4), (3, 4))
    def test_there_are_at_least_four_hidden_units(self, channels, hidden):
        _, slot = gated_identity(channels, Gate())
        self.assertEqual(slot["reduce_kernel"].shape, (channels, hidden))

    def test_mixed_precision_keeps_the_gate_in_float32(self):
        inputs = keras.Input((4, 4, 6))
        relu = layers.ReLU(name="at", dtype="mixed_float16")
        model = keras.Model(inputs, relu(inputs))
        model = tfprune.wrap(model, Gate(), "at")
        slot = slot_of(model, "at")
        x = np.full((1, 4, 4, 6), 30000.0, "float32")
        found = model(x)
        dtype = keras.backend.standardize_dtype(found.dtype)
        self.assertEqual(dtype, "float16")
        for variable in slot.variables.values():
            self.assertIn(variable.dtype, ("float32", "int32"))
        # The sum over 16 positions would overflow in half precision.
        np.testing.assert_allclose(
            to_numpy(found).astype("float32"), x * 0.880797, rtol=1e-3
        )

    def test_a_file_keeps_gates_and_their_means(self):
        model = gates.attach(
            read.channel_graph(small_nets.mixed()), Gate(4, seed=3)
        )
        randomize(model)
        pcas.measure(model, small_nets.samples()[0])
        path = os.path.join(self.create_tempdir(), "gated.keras")
        model.save(path)
        loaded = keras.saving.load_model(path)
        np.testing.assert_array_equal(outputs(loaded), outputs(model))
        method = Gate(4, seed=3)
        np.testing.assert_array_equal(
            method.fold(slot_of(loaded, "down")),
            method.fold(slot_of(model, "down")),
        )

    def test_what_is_wrong_is_told(self):
        for fields, message in (
            ({"reduction": 0}, "`reduction` must be a positive int"),
            ({"min_hidden": 2.5}, "`min_hidden` must be a positive int"),
            ({"activation": "tanh"}, "one of sigmoid, shifted_tanh"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                Gate(**fields)
        with self.assertRaisesRegex(ValueError, "a fixed number of channels"):
            gated_identity(4, Gate(axis=1), (None,))
        with self.assertRaisesRegex(ValueError, "a fixed number of channels"):
            gated_identity(4, Gate(axis=2))
        inputs = keras.Input((3, 4))
        outputs = keras.layers.GRU(4, return_state=True, name="two")(inputs)
        net = keras.Model(inputs, outputs)
        message = "outputs, which must be one tensor.*'two'.*None, 4"
        with self.assertRaisesRegex(ValueError, message):
            tfprune.wrap(net, Gate(), where="two")
        model, slot = gated_identity(4, Gate())
        with self.assertRaisesRegex(ValueError, "must be measured before"):
            Gate().scores(slot)
        with self.assertRaisesRegex(ValueError, "must be measured before"):
            tfprune.unwrap(model)
        self.assertEmpty(wrapper_lib.find(tfprune.unwrap(model, fold=False)))


class StatisticsTest(parameterized.TestCase):
    def gated(self, model=None):
        graph = read.channel_graph(model or small_nets.mixed())
        model = gates.attach(graph, Gate())
        randomize(model)
        return model

    def kinds(self, x, y):
        cuts = [slice(0, 16), slice(16, 32), slice(32, 37)]
        batches = [(x[cut], y[cut]) for cut in cuts]

        class Sequence(keras.utils.PyDataset):
            def __len__(self):
                return 3

            def __getitem__(self, index):
                return batches[index]

        yield "arrays", x
        yield "pair", (x, y)
        yield "list", batches
        yield "generator", (b for b in batches)
        yield "py", Sequence()
        if not JAX:
            import tensorflow as tf

            yield "tf", tf.data.Dataset.from_tensor_slices((x, y)).batch(16)

    def test_each_sample_counts_once_in_data_of_any_kind(self):
        model = self.gated()
        x, y = small_nets.samples(37)
        # Sample by sample, by a model that ends where the gate's input is.
        slot = slot_of(model, "down")
        view = keras.Model(model.input, model.get_layer("down").input)
        expected = np.mean(
            [
                Gate().attention(slot, slot.layer(view(x[i : i + 1])))[0]
                for i in range(37)
            ],
            0,
        )
        for kind, data in self.kinds(x, y):
            with self.subTest(kind):
                pcas.measure(model, data, batch_size=16)
                self.assertEqual(int(slot["samples"]), 37)
                np.testing.assert_allclose(
                    Gate().scores(slot), expected, rtol=1e-5
                )

    @parameterized.parameters(False, True)
    def test_a_gate_beside_other_methods_is_measured(self, gate_first):
        methods = Gate(), masked.Masked()
        methods = methods if gate_first else methods[::-1]
        dense = layers.Dense(4)
        model = keras.Sequential([keras.Input((6,)), dense])
        model = tfprune.wrap(model, chain.Chain(methods))
        (wrapper,) = wrapper_lib.find(model)
        prune_on_schedule.prune_now(model, 0.5)
        ((gate, slot),) = [
            (method, part)
            for method, part in wrapper.method.parts(wrapper.slots["outputs"])
            if isinstance(method, Gate)
        ]
        slot["expand_kernel"].assign(np.ones((4, 4)))
        x = np.random.default_rng(0).normal(size=(9, 6)).astype("float32")
        pcas.measure(model, x, batch_size=4)
        seen = x @ wrapper.folded()["kernel"]
        expected = to_numpy(gate.attention(slot, seen)).mean(0)
        np.testing.assert_allclose(gate.fold(slot), expected, rtol=1e-5)
        plain = wrapping.unwrap(model)
        np.testing.assert_allclose(plain(x), seen * expected, rtol=1e-4)

    def test_nothing_but_the_means_changes(self):
        model = self.gated()
        before = state(model)
        pcas.measure(model, small_nets.samples()[0])
        changed = {
            v.path.split("_")[-1]
            for v, old in zip(model.variables, before)
            if not np.array_equal(old, values.numpy(v))
        }
        self.assertEqual(changed, {"mean", "samples"})

    def test_coupled_channels_get_the_mean_of_their_gates(self):
        model = small_nets.mixed()
        group, graph = small_nets.group(model, "stem")
        gated = self.gated(model)
        pcas.measure(gated, small_nets.samples()[0])
        first, last = (
            Gate().scores(slot_of(gated, path))
            for path in (graph.model.layers[3].name, "sum")
        )
        scores = pcas.mean_attention(graph, gated)
        np.testing.assert_allclose(
            scores[group.labels], (first + last) / 2, rtol=1e-6
        )
        self.assertFalse(np.allclose(first, last))
        self.assertTrue(np.isinf(scores[graph.frozen]).all())


class CriterionTest(parameterized.TestCase):
    @pytest.mark.slow  # Trains for longer.
    def test_the_gates_learn_which_channels_matter(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(256, 6)).astype("float32")
        y = (x[:, 0] > 0).astype(int)
        model = keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(6, activation="relu", name="hidden"),
                layers.Dense(2, name="logits"),
            ]
        )
        model.get_layer("hidden").kernel.assign(np.eye(6))
        reads = np.zeros((6, 2))
        reads[0] = [-1, 1]  # tells the classes apart
        reads[1:] = np.array([[2, -2]] * 5)  # drowns it
        model.get_layer("logits").kernel.assign(reads)
        group, graph = small_nets.group(model, "hidden")
        loss = keras.losses.SparseCategoricalCrossentropy(True)
        criterion = pcas.PCAS(
            Gate(bias=0.0), loss, epochs=20, learning_rate=0.05
        )
        scores = score.channel_scores(graph, criterion, (x, y))
        scores = scores[group.labels]
        self.assertEqual(np.argmax(scores), 0)
        self.assertGreater(scores[0], scores[1:].max() + 0.2)
        small = pruning.prune(model, 0.5, criterion, (x, y))
        self.assertEqual(small.get_layer("hidden").units, 3)
        np.testing.assert_array_equal(
            small.get_layer("logits").kernel[0], [-1, 1]
        )

    def test_a_loss_is_needed(self):
        model = small_nets.mixed()
        plain = keras.Model(model.inputs, model.outputs)
        with self.assertRaisesRegex(ValueError, "A loss is needed for the cri"):
            pruning.prune(plain, 0.5, "pcas", data=small_nets.samples())
        generator = iter([small_nets.samples()])
        with self.assertRaisesRegex(ValueError, "can be read several times"):
            pruning.prune(model, 0.5, "pcas", data=generator)
