"""Squared gradients of gates."""

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.criteria import taylor
from tfprune.graph import read
from tfprune.scoring import score
from tfprune.surgery import pruning
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend

# One sample is one mini-batch: its values are the gradients of the gates.
X = np.array([[0.3, -0.1], [0.1, 0.1]], "float32")
Y = np.zeros(2)


class TaylorTest(parameterized.TestCase):
    @parameterized.parameters((1, [0.05, 0.01]), (2, [0.04, 0.0]))
    def test_gradients_are_summed_over_a_batch_and_then_squared(
        self, batch_size, expected
    ):
        group, graph = small_nets.group(small_nets.chain(), "writer")
        criterion = taylor.Taylor(small_nets.mean_output, batch_size)
        scores = score.channel_scores(graph, criterion, (X, Y))
        np.testing.assert_allclose(scores[group.labels], expected, atol=1e-8)

    def test_batches_count_by_their_size(self):
        group, graph = small_nets.group(small_nets.chain(), "writer")
        x = np.concatenate([X, [[0.6, 0.2]]])  # The last one is a batch.
        criterion = taylor.Taylor(small_nets.mean_output, 2)
        scores = score.channel_scores(graph, criterion, (x, np.zeros(3)))
        expected = [(2 * 0.2**2 + 0.6**2) / 3, 0.2**2 / 3]
        np.testing.assert_allclose(scores[group.labels], expected, rtol=1e-5)

    def test_a_channel_that_two_layers_read_is_divided_by_two(self):
        group, graph = small_nets.group(small_nets.chain(readers=2), "writer")
        criterion = taylor.Taylor(small_nets.mean_output, 1)
        scores = score.channel_scores(graph, criterion, (X, Y))
        # The gate has twice the gradient: four times the square, by two.
        np.testing.assert_allclose(scores[group.labels], [0.1, 0.02], rtol=1e-5)

    def test_weights_that_are_frozen_alone_count(self):
        model = small_nets.chain()
        model.get_layer("reader0").kernel.trainable = False
        group, graph = small_nets.group(model, "writer")
        criterion = taylor.Taylor(small_nets.mean_output, 1)
        scores = score.channel_scores(graph, criterion, (X, Y))
        np.testing.assert_allclose(
            scores[group.labels], [0.05, 0.01], rtol=1e-5
        )

    def test_a_layer_that_reads_by_several_weights_is_one_reader(self):
        model = small_nets.chain()
        model.get_layer("reader0").enable_lora(1)
        group, graph = small_nets.group(model, "writer")
        criterion = taylor.Taylor(small_nets.mean_output, 1)
        scores = score.channel_scores(graph, criterion, (X, Y))
        np.testing.assert_allclose(
            scores[group.labels], [0.05, 0.01], rtol=1e-5
        )

    def test_what_untrained_weights_read_has_no_score(self):
        model = small_nets.projected()
        read_by_them, graph = small_nets.group(model, "writer")
        others, _ = small_nets.group(model, "projection", graph)
        criterion = taylor.Taylor(small_nets.mean_output)
        scores = score.channel_scores(graph, criterion, (X, Y))
        self.assertTrue((scores[read_by_them.labels] == np.inf).all())
        self.assertTrue(np.isfinite(scores[others.labels]).all())

    def test_scores_are_the_squared_slopes_by_a_real_gate(self):
        self.check_slopes("stem", "down")

    @pytest.mark.slow
    def test_scores_within_a_block_are_the_squared_slopes_too(self):
        self.check_slopes("inner")

    def check_slopes(self, *names):
        model = small_nets.mixed()
        x, y = small_nets.samples(8)
        for name in names:
            group, graph = small_nets.group(model, name)
            scores = score.channel_scores(
                graph, taylor.Taylor(batch_size=8), (x, y)
            )
            c = group.labels[np.argmax(scores[group.labels])]
            slope = (
                self.loss(model, graph, c, 1.004, x, y)
                - self.loss(model, graph, c, 0.996, x, y)
            ) / 0.008
            readers = len(group.readers)
            np.testing.assert_allclose(scores[c], slope**2 / readers, rtol=0.02)

    def loss(self, model, graph, channel, gate, x, y):
        """The loss when all weights that read a channel are scaled."""
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        for binding in graph.bindings:
            if binding.role == "reads":
                variable = copy.get_layer(binding.layer).kernel
                value = np.array(keras.ops.convert_to_numpy(variable))
                rows = np.moveaxis(value, binding.axis, 0)
                rows[binding.labels == channel] *= gate
                variable.assign(value)
        loss = keras.losses.SparseCategoricalCrossentropy(True)
        return float(loss(y, copy(x, training=False)))

    def test_the_same_data_give_the_same_scores(self):
        graph = read.channel_graph(small_nets.mixed())
        a, b = (
            score.channel_scores(graph, "taylor", small_nets.samples())
            for _ in range(2)
        )
        np.testing.assert_array_equal(a, b)

    def test_without_data_labels_or_loss_there_is_an_error(self):
        model = small_nets.mixed()
        with self.assertRaisesRegex(ValueError, "Data are needed for the crit"):
            pruning.prune(model, 0.5, "taylor")
        with self.assertRaisesRegex(ValueError, "Labels are needed for the cr"):
            pruning.prune(model, 0.5, "taylor", data=small_nets.samples()[0])
        plain = keras.Model(model.inputs, model.outputs)
        with self.assertRaisesRegex(ValueError, "A loss is needed for the cri"):
            pruning.prune(plain, 0.5, "taylor", data=small_nets.samples())
