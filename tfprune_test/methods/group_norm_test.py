"""All weights that go with a channel: as scores, and under their decay."""

import keras
import numpy as np
import pytest
from absl.testing import absltest

from tfprune.callbacks import prune_on_schedule
from tfprune.graph import read
from tfprune.methods import group_norm
from tfprune.methods import masked_channels
from tfprune.schedules import schedule
from tfprune.scoring import score
from tfprune.selection import budget as budget_lib
from tfprune.sparsity import chain
from tfprune.sparsity import wrapper
from tfprune.sparsity import wrapping
from tfprune.surgery import stripping
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend

to_numpy = keras.ops.convert_to_numpy


class GroupNormTest(absltest.TestCase):
    def test_written_and_read_weights_are_averaged(self):
        model = small_nets.pair([[1, 2], [3, 4]], [[5, 6], [7, 8], [9, 10]])
        group, graph = small_nets.group(model, "first")
        scores = score.channel_scores(graph, "group_norm")[group.labels]
        written = np.array([1 + 4, 9 + 16])
        read = np.array([25 + 49 + 81, 36 + 64 + 100])
        np.testing.assert_allclose(scores, (written + read) / 2)
        scores = score.channel_scores(graph, group_norm.GroupNorm(p=1))
        np.testing.assert_allclose(
            scores[group.labels], [(3 + 21) / 2, (7 + 24) / 2]
        )

    def test_every_tensor_of_a_residual_group_counts_once(self):
        model = small_nets.mixed()
        group, graph = small_nets.group(model, "stem")
        get = model.get_layer
        tensors = [
            np.square(get("stem").kernel).sum((0, 1, 2)),
            np.square(get("stem_bn").gamma),
            np.square(get("inner").kernel).sum((0, 1, 3)),
            np.square(get("outer").kernel).sum((0, 1, 2)),
            np.square(get("down").kernel).sum((0, 1, 3)),
        ]
        scores = score.channel_scores(graph, "group_norm")[group.labels]
        np.testing.assert_allclose(scores, np.mean(tensors, 0), rtol=1e-5)

    def test_embeddings_write_their_channels(self):
        x = inputs = keras.Input((3,), dtype="int32")
        x = keras.layers.Embedding(7, 4, name="words")(x)
        x = keras.layers.Conv1D(2, 1, name="reader")(x)
        model = keras.Model(inputs, keras.layers.GlobalMaxPooling1D()(x))
        group, graph = small_nets.group(model, "words")
        words, reader = model.get_layer("words"), model.get_layer("reader")
        written = np.square(to_numpy(words.embeddings)).sum(0)
        read = np.square(to_numpy(reader.kernel)).sum((0, 2))
        scores = score.channel_scores(graph, "group_norm")[group.labels]
        np.testing.assert_allclose(scores, (written + read) / 2, rtol=1e-5)

    def test_biases_of_queries_do_not_count(self):
        inputs = keras.Input((4, 6))
        attention = keras.layers.MultiHeadAttention(2, 3)
        model = keras.Model(inputs, attention(inputs, inputs))
        graph = read.channel_graph(model)
        before = group_norm.GroupNorm().scores(graph)
        bias = attention.weights[1]
        self.assertEqual(bias.path.split("/")[-2:], ["query", "bias"])
        bias.assign(np.full(bias.shape, 100.0))
        after = group_norm.GroupNorm().scores(graph)
        np.testing.assert_array_equal(after, before)

    def test_a_dense_layer_behind_flatten_sums_over_positions(self):
        model = small_nets.mixed()
        group, graph = small_nets.group(model, "down")
        written = np.square(model.get_layer("down").kernel).sum((0, 1, 2))
        read = np.square(model.get_layer("hidden").kernel).sum(1)
        read = read.reshape(-1, 5).sum(0)
        scores = score.channel_scores(graph, "group_norm")[group.labels]
        np.testing.assert_allclose(scores, (written + read) / 2, rtol=1e-5)


def three(**options):
    """Three channels of importance 5, 9 and 13, wrapped: `gamma` 16, 4, 1."""
    model = small_nets.pair([[1], [2], [3]], [[3, 14**0.5, 17**0.5]])
    return wrapping.wrap(model, group_norm.GroupSparsity(**options))


def slot(model, name):
    (found,) = [w for w in wrapper.find(model) if w.layer.name == name]
    return found.slots["kernel"]


class GroupSparsityTest(absltest.TestCase):
    def test_the_least_important_is_pulled_sixteen_times_as_hard(self):
        model = three(strength=0.1)
        self.assertEqual(float(sum(model.losses)), 0)
        prune_on_schedule.prune_now(model, 1.0)
        np.testing.assert_allclose(
            np.reshape(slot(model, "first")["factor"], -1), [16, 4, 1], 1e-5
        )
        # The channels of the output of `second` are a group of one: gamma 1.
        np.testing.assert_allclose(
            np.reshape(slot(model, "second")["factor"], -1), [17, 5, 2], 1e-5
        )
        prune_on_schedule.prune_now(model, 0.5)
        np.testing.assert_allclose(
            np.reshape(slot(model, "first")["factor"], -1), [8, 2, 0.5], 1e-5
        )

    def test_the_penalty_and_its_gradient(self):
        model = three(strength=0.1)
        prune_on_schedule.prune_now(model, 1.0)
        first = slot(model, "first")
        method = group_norm.GroupSparsity(strength=0.1)
        expected = 0.05 * (16 * 1 + 4 * 4 + 1 * 9)
        self.assertAlmostEqual(float(method.penalty(first)), expected, places=5)
        model.compile(
            keras.optimizers.SGD(1.0),
            lambda y, outputs: 0.0 * keras.ops.sum(outputs, -1),
        )
        before = to_numpy(first.kernel).reshape(-1).copy()
        model.train_on_batch(np.ones((2, 4, 4, 1)), np.ones((2, 1)))
        after = to_numpy(first.kernel).reshape(-1)
        np.testing.assert_allclose(
            before - after, 0.1 * np.array([16, 4, 1]) * [1, 2, 3], rtol=1e-5
        )

    def test_small_weights_in_half_precision_are_pulled(self):
        inputs = keras.Input((2,))
        x = keras.layers.Dense(4, name="first", dtype="float16")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(2)(x))
        method = group_norm.GroupSparsity(strength=2e6)
        model = wrapping.wrap(model, method)
        first = slot(model, "first")
        first.kernel.assign(keras.ops.full((2, 4), 1e-4))
        first["factor"].assign(keras.ops.ones((2, 4)))
        self.assertAlmostEqual(float(method.penalty(first)), 0.08, places=4)

    def test_equal_channels_are_pulled_alike(self):
        model = small_nets.pair([[2], [2], [2]], [[1, 1, 1]])
        model = wrapping.wrap(model, group_norm.GroupSparsity())
        prune_on_schedule.prune_now(model, 1.0)
        np.testing.assert_array_equal(
            np.reshape(slot(model, "first")["factor"], -1), [1, 1, 1]
        )

    @pytest.mark.slow  # Trains for longer.
    def test_training_draws_the_channels_of_a_group_apart(self):
        model = wrapping.wrap(
            small_nets.mixed(),
            group_norm.GroupSparsity(0.05),
            where=[wrapping.kernels, wrapping.normalizations],
        )
        model.compile(keras.optimizers.SGD(0.05), "mse")
        rng = np.random.default_rng(0)
        x = rng.normal(size=(64, 8, 8, 3)).astype("float32")
        y = rng.normal(size=(64, *model.output_shape[1:]))
        before = ratio(model)
        model.fit(
            x,
            y,
            batch_size=8,
            epochs=6,
            verbose=0,
            callbacks=[
                prune_on_schedule.PruneOnSchedule(
                    schedule.Constant(1.0, frequency="1 epoch")
                )
            ],
        )
        self.assertLess(ratio(model), 0.7 * before)

    def test_another_method_meets_a_budget_beside_it(self):
        method = chain.Chain(
            (group_norm.GroupSparsity(), masked_channels.MaskedChannels())
        )
        model = wrapping.wrap(wrapping.unwrap(three()), method)
        model.compile("sgd", "mse")
        pruning = prune_on_schedule.PruneOnSchedule(
            1.0, budget=budget_lib.Budget(channels=2)
        )
        pruning.set_model(model)
        pruning.set_params({"epochs": 1, "steps": 2})
        pruning.on_train_begin()
        self.assertTrue(pruning.update(0))
        small = stripping.strip(model)
        self.assertEqual(small.get_layer("first").filters, 1)
        first = slot(model, "first").variables["0.factor"]
        np.testing.assert_allclose(np.reshape(first, -1), [16, 4, 1], 1e-5)

    def test_errors_name_what_was_received(self):
        with self.assertRaisesRegex(ValueError, "alpha=-1"):
            group_norm.GroupSparsity(alpha=-1)
        with self.assertRaisesRegex(ValueError, "budget=Budget"):
            prune_on_schedule.prune_now(
                three(), 1.0, budget_lib.Budget(macs=0.5)
            )


def ratio(model):
    """The least over the largest importance in the group of `inner`."""
    group, graph = small_nets.group(wrapping.unwrap(model), "inner")
    found = score.channel_scores(graph, "group_norm")[group.labels]
    return found.min() / found.max()
