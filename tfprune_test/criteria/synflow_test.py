"""The flow through the absolute weights."""

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune import zoo
from tfprune.criteria import synflow
from tfprune.graph import read
from tfprune.methods import autoprune
from tfprune.methods import hard_concrete
from tfprune.methods import soft_threshold
from tfprune.scoring import score
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune_test import small_nets

layers = keras.layers
WIDE = keras.initializers.RandomNormal(0, 20, seed=0)
pytestmark = pytest.mark.any_backend


class SynFlowTest(parameterized.TestCase):
    def test_two_layers_by_hand(self):
        # y = W2 W1 x with W1 = [[1, 2]], W2 = [[3]]: R = 3 * (1 + 2) = 9.
        model = keras.Sequential(
            [
                keras.Input((2,)),
                keras.layers.Dense(1, use_bias=False),
                keras.layers.Dense(1, use_bias=False),
            ]
        )
        first, second = model.layers
        first.kernel.assign([[1.0], [-2.0]])
        second.kernel.assign([[-3.0]])
        flows = synflow.SynFlow().flows(read.channel_graph(model))
        np.testing.assert_allclose(flows[id(first.kernel)], [[3], [6]])
        np.testing.assert_allclose(flows[id(second.kernel)], [[9]])

    @pytest.mark.slow  # Compiles each layer.
    def test_the_flow_is_the_same_through_all_layers(self):
        model = zoo.build("vgg16", classes=4, widths=(8,) * 13)
        for weight in model.weights:
            if "bias" in weight.path or "moving_mean" in weight.path:
                weight.assign(np.full(weight.shape, 7.0))
        graph = read.channel_graph(model)
        flows = synflow.SynFlow().flows(graph)
        kernels = [w for w in model.trainable_weights if "kernel" in w.path]
        sums = np.array([flows[id(w)].sum() for w in kernels])
        self.assertGreater(sums[0], 0)
        np.testing.assert_allclose(sums / sums[0], 1, rtol=1e-4)

    def test_the_flow_is_that_of_the_logits(self):
        def net(final, hidden="relu"):
            keras.utils.set_random_seed(0)
            inputs = keras.Input((6,))
            x = layers.Dense(5, kernel_initializer=WIDE)(inputs)
            x = hidden(x) if callable(hidden) else layers.Activation(hidden)(x)
            x = layers.Dense(3, kernel_initializer=WIDE)(x)
            return keras.Model(inputs, final(x))

        def scores(model):
            return score.channel_scores(read.channel_graph(model), "synflow")

        expected = scores(net(layers.Activation("linear")))
        self.assertGreater(expected.max(), 0)
        for final in (
            layers.Activation("softmax"),
            layers.Activation("sigmoid"),
            layers.Softmax(),
            keras.ops.softmax,
            keras.ops.tanh,
            layers.ReLU(6),
            layers.Dense(3, "softmax", kernel_initializer="identity"),
        ):
            found = scores(net(final))[: len(expected)]
            np.testing.assert_allclose(found, expected, rtol=1e-6)
        for hidden in ("tanh", "sigmoid", "relu6", keras.ops.relu6):
            found = scores(net(layers.Activation("linear"), hidden))
            np.testing.assert_allclose(found, expected, rtol=1e-6)

    @parameterized.parameters(
        layers.LayerNormalization,
        layers.RMSNormalization,
        layers.UnitNormalization,
        lambda: layers.GroupNormalization(-1),
        lambda: layers.TimeDistributed(layers.LayerNormalization()),
    )
    def test_normalization_by_the_inputs_passes_the_flow_on(self, make):
        def scores(make):
            keras.utils.set_random_seed(0)
            inputs = keras.Input((5, 3))
            x = make()(inputs)
            x = make()(layers.Conv1D(4, 2, kernel_initializer=WIDE)(x))
            x = layers.Dense(3, kernel_initializer=WIDE)(layers.ReLU()(x))
            graph = read.channel_graph(keras.Model(inputs, x), None, True)
            found = score.channel_scores(graph, "synflow")
            return found[found > 0]

        expected = scores(layers.Identity)
        self.assertLen(expected, 7)
        np.testing.assert_allclose(scores(make), expected, rtol=1e-5)

    def test_constants_and_signs_before_the_weights_do_not_stop_the_flow(self):
        def net(start):
            keras.utils.set_random_seed(0)
            inputs = keras.Input((3,))
            x = layers.Dense(4, kernel_initializer=WIDE)(start(inputs))
            x = layers.Dense(3, kernel_initializer=WIDE)(layers.ReLU()(x))
            return keras.Model(inputs, x)

        def scores(model):
            found = score.channel_scores(read.channel_graph(model), "synflow")
            return found[found > 0]

        mean, third = [9.0, 0.2, 5.0], np.array([1.0, 2.0, 3.0], "float32")
        expected = scores(net(lambda x: x))
        self.assertLen(expected, 7)
        for start in (
            layers.Normalization(mean=mean, variance=[1.0, 1.0, 1.0]),
            layers.Rescaling(-1.0, offset=1.0),
            lambda x: x - 1.0,
            lambda x: 1.0 - x,
            lambda x: x - third,
            lambda x: keras.ops.add(x, x2=-third),
            keras.ops.negative,
            lambda x: x * -1.0,
            lambda x: x / np.full(3, -1.0, "float32"),
            lambda x: 0.5 * (x * 0.5 - 1.5 * x),
            lambda x: layers.Subtract()([x / 4, 0.75 * x]),
        ):
            np.testing.assert_allclose(scores(net(start)), expected, rtol=1e-5)

    def test_gates_keep_their_limits(self):
        inputs = keras.Input((4,))
        x = layers.Rescaling(2.0, offset=-9.0)(inputs)
        for _ in range(12):  # Without limits, x to the power of 2^12.
            gate = layers.Dense(4, "sigmoid", kernel_initializer="ones")(x)
            x = layers.Multiply()([x, layers.Reshape((4,))(gate)])
        model = keras.Model(inputs, layers.Dense(2)(layers.Dense(3)(x)))
        scores = score.channel_scores(read.channel_graph(model), "synflow")
        self.assertTrue(np.isfinite(scores).all())
        self.assertGreater(scores.max(), 0)

    def test_recurrent_layers_that_saturate_do_not_stop_the_flow(self):
        inputs = keras.Input((5, 3))
        x = layers.Dense(4, kernel_initializer=WIDE, name="first")(inputs)
        x = layers.LSTM(3, kernel_initializer=WIDE)(x)
        x = layers.Dense(2, name="last")(layers.Dense(3)(x))
        group, graph = small_nets.group(keras.Model(inputs, x), "first")
        scores = score.channel_scores(graph, "synflow")[group.labels]
        self.assertGreater(scores.min(), 0)

    def test_what_methods_have_learned_stays_as_it_is(self):
        for method, name in (
            (hard_concrete.HardConcrete(), "log_alpha"),
            (autoprune.AutoPrune(), "indicator"),
        ):
            model = small_nets.pair([[1, -2], [3, 4]], [[5, 6]])
            wrapped = wrapping.wrap(model, method)
            for wrapper in wrapper_lib.find(wrapped):
                learned = wrapper.slots["kernel"][name]
                # Half of them are closed.
                values = np.linspace(3, -3, np.prod(learned.shape))
                learned.assign(values.reshape(learned.shape))
            found, expected = (
                score.channel_scores(read.channel_graph(net), "synflow")
                for net in (wrapped, wrapping.unwrap(wrapped))
            )
            self.assertGreater(expected.max(), 0)
            np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_small_thresholds_let_the_flow_pass(self):
        model = small_nets.pair([[1, -2], [3, 4]], [[5, 6]])
        expected = score.channel_scores(read.channel_graph(model), "synflow")
        for granularity in ("layer", "global"):
            method = soft_threshold.SoftThreshold(-15.0, granularity)
            graph = read.channel_graph(wrapping.wrap(model, method))
            found = score.channel_scores(graph, "synflow")
            np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_no_flow_at_all_is_an_error(self):
        inputs = keras.Input((4,))
        x = layers.Dense(4, kernel_initializer="zeros")(inputs)
        model = keras.Model(inputs, layers.Dense(4)(x), name="dry")
        with self.assertRaisesRegex(ValueError, "model='dry', in which"):
            score.channel_scores(read.channel_graph(model), "synflow")

    def test_channels_score_what_flows_into_them(self):
        model = small_nets.pair([[1, -2], [3, 4]], [[5, 6]])
        model.get_layer("first").bias.assign([100.0, 0.0])
        group, graph = small_nets.group(model, "first")
        scores = score.channel_scores(graph, "synflow")[group.labels]
        self.assertAlmostEqual(scores[1] / scores[0], 7 * 6 / (3 * 5), places=5)

    def test_what_untrained_weights_write_has_no_score(self):
        model = small_nets.projected()
        written_by_them, graph = small_nets.group(model, "projection")
        others, _ = small_nets.group(model, "writer", graph)
        scores = score.channel_scores(graph, "synflow")
        self.assertTrue((scores[written_by_them.labels] == np.inf).all())
        self.assertTrue(np.isfinite(scores[others.labels]).all())

    @pytest.mark.slow  # A deep network.
    def test_deep_networks_do_not_overflow(self):
        inputs = x = keras.Input((4,))
        for _ in range(60):
            x = keras.layers.Dense(4, "relu", kernel_initializer="ones")(x)
        model = keras.Model(inputs, x)  # R = 4 * 4^60, beyond float32 squared
        graph = read.channel_graph(model)
        scores = score.channel_scores(graph, "synflow")
        removable = scores[graph.removable]
        np.testing.assert_allclose(removable, removable[0], rtol=1e-3)
        self.assertGreater(removable[0], 0)

    def test_open_sizes_are_an_error(self):
        inputs = keras.Input((None, None, 1))
        x = keras.layers.Conv2D(2, 3)(inputs)
        model = keras.Model(inputs, keras.layers.Conv2D(1, 3)(x))
        with self.assertRaisesRegex(ValueError, "inputs of known size"):
            score.channel_scores(read.channel_graph(model), "synflow")


if __name__ == "__main__":
    absltest.main()
