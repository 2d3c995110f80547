import re

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune import zoo
from tfprune.costs import counting
from tfprune.deploy import latency
from tfprune.graph import read
from tfprune.selection import budget as budget_lib
from tfprune.selection import select
from tfprune.surgery import depth
from tfprune.surgery import pruning
from tfprune.surgery import stripping
from tfprune.surgery import verification
from tfprune.surgery import whole_blocks
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers


def residual(x, name, channels=6):
    y = LAYERS.Conv2D(4, 3, padding="same", name=f"{name}_a")(x)
    y = LAYERS.BatchNormalization(name=f"{name}_norm")(y)
    y = LAYERS.ReLU(name=f"{name}_relu")(y)
    y = LAYERS.Conv2D(channels, 3, padding="same", name=f"{name}_b")(y)
    return LAYERS.Add(name=f"{name}_sum")([x, y])


def blocks(model):
    return whole_blocks.residual(read.channel_graph(model))


def scores(model, data=None):
    graph = read.channel_graph(model)
    return depth.scores(graph, whole_blocks.find(graph), data)


class Stage(LAYERS.Layer):
    """Two residual blocks."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.branches = [LAYERS.Conv2D(6, 1), LAYERS.Conv2D(6, 1)]

    def build(self, shape):
        for branch in self.branches:
            branch.build(shape)
        self.built = True

    def call(self, x):
        for branch in self.branches:
            x = keras.ops.relu(x + branch(x))
        return x


def chain():
    """Three blocks that can go, one whose input is projected."""

    def body(x):
        x = residual(x, "first")
        x = LAYERS.ReLU()(residual(x, "second"))
        short = LAYERS.Conv2D(6, 1, name="projection")(x)
        x = LAYERS.Add(name="projected")(
            [short, LAYERS.Conv2D(6, 3, padding="same")(x)]
        )
        return residual(x, "third")

    return models.around(body)


def op():
    def body(x):
        return LAYERS.ReLU()(x + LAYERS.Conv2D(6, 1, name="branch")(x))

    return models.around(body)


def read_elsewhere():
    def body(x):
        y = LAYERS.Conv2D(6, 3, padding="same")(x)
        z = LAYERS.Add()([x, y])
        return LAYERS.Concatenate()([z, y])

    return models.around(body)


def nested():
    inputs = keras.Input((6, 6, 6))
    inner = keras.Model(inputs, LAYERS.ReLU()(residual(inputs, "inner")))
    return models.around(inner)


def zeroed(model, *names):
    exactness.randomize(model, np.random.default_rng(0))
    for layer in exactness.values.layers_of(model):
        if layer.name in names:
            for variable in layer.trainable_variables:
                variable.assign(keras.ops.zeros_like(variable))
    return model


class DepthTest(parameterized.TestCase):
    @parameterized.parameters(
        (chain, ["first_sum", "second_sum", "third_sum"]),
        (op, ["add"]),
        (read_elsewhere, []),
        (nested, ["inner_sum"]),
    )
    def test_blocks(self, build, names):
        found = [b.path.split("/")[-1] for b in blocks(build())]
        found = [re.sub(r"_\d+$", "", name) for name in found]
        self.assertEqual(found, names)

    def test_a_limit_on_the_depth_of_a_model_with_arrays(self):
        def body(x):
            x = x * np.arange(1, 7, dtype="float32")
            for _ in range(2):
                x = x + LAYERS.Conv2D(6, 1)(x - np.ones(6, "float32"))
            return x

        small = pruning.prune(models.around(body), depth=1)
        self.assertLen(blocks(small), 1)

    def test_blocks_of_a_resnet(self):

        found = blocks(zoo.build("resnet20", input_shape=(32, 32, 3)))
        self.assertLen(found, 7)  # Two of nine change the shape.

    @parameterized.parameters(
        (chain, ["second_b"], 1),
        (chain, ["first_b", "third_norm", "third_b"], 2),
        (op, ["branch"], 1),
        (nested, ["inner_b"], 1),
    )
    def test_a_branch_of_zeros_disappears(self, build, names, gone):
        model = zeroed(build(), *names)
        before = len(blocks(model))
        small = stripping.strip(model)
        self.assertLen(blocks(small), before - gone)
        self.assertLess(small.count_params(), model.count_params())
        self.assertLess(verification.check_equal(model, small), 1e-5)
        left = {layer.name for layer in exactness.values.layers_of(small)}
        self.assertNoCommonElements(left, set(names))

    @parameterized.named_parameters(
        ("conv", lambda: LAYERS.Conv2D(6, 3, padding="same"), "kernel"),
        ("grouped", lambda: LAYERS.Conv2D(6, 1, groups=6), "kernel"),
        (
            "transposed",
            lambda: LAYERS.Conv2DTranspose(6, 3, padding="same"),
            "kernel",
        ),
        (
            "depthwise",
            lambda: LAYERS.DepthwiseConv2D(3, padding="same"),
            "kernel",
        ),
        (
            "separable",
            lambda: LAYERS.SeparableConv2D(6, 3, padding="same"),
            "pointwise_kernel",
        ),
        ("dense", lambda: LAYERS.Dense(6), "kernel"),
        (
            "einsum",
            lambda: LAYERS.EinsumDense("bhwc,cd->bhwd", (8, 8, 6)),
            "kernel",
        ),
        ("batch", LAYERS.BatchNormalization, "gamma"),
        ("layer", LAYERS.LayerNormalization, "gamma"),
        ("rms", LAYERS.RMSNormalization, "scale"),
        ("group", lambda: LAYERS.GroupNormalization(3), "gamma"),
    )
    def test_one_weight_silences_a_layer(self, make, weight):
        inputs = keras.Input((8, 8, 6))
        layer = make()
        x = LAYERS.Conv2D(6, 1, name="stem")(inputs)
        x = LAYERS.Add(name="sum")([x, layer(x)])
        model = keras.Model(inputs, LAYERS.Conv2D(2, 1, name="head")(x))
        self.assertLen(blocks(stripping.strip(model)), 1)
        variable = getattr(layer, weight)
        variable.assign(keras.ops.zeros_like(variable))
        small = stripping.strip(model)
        self.assertEmpty(blocks(small))
        names = [layer.name for layer in small.layers[1:]]
        self.assertEqual(names, ["stem", "head"])
        self.assertLess(verification.check_equal(model, small), 1e-5)

    def test_a_branch_that_adds_a_constant_stays(self):
        model = zeroed(chain(), "second_b")
        layer = model.get_layer("second_b")
        layer.bias.assign(np.arange(6.0))
        small = stripping.strip(model)
        self.assertLen(blocks(small), 3)

    def test_the_block_that_changes_least_goes_first(self):
        model = chain()
        exactness.randomize(model, np.random.default_rng(0))
        kernel = model.get_layer("second_b").kernel
        kernel.assign(kernel * 1e-3)
        model.get_layer("second_b").bias.assign(np.zeros(6))
        self.assertEqual(int(np.argmin(scores(model))), 1)
        x = np.random.default_rng(1).normal(size=(9, 6, 6, 3))
        self.assertEqual(int(np.argmin(scores(model, x))), 1)
        small = pruning.prune(model, budget_lib.Budget(depth=2), data=x)
        names = {b.path for b in blocks(small)}
        self.assertEqual(names, {"first_sum", "third_sum"})
        self.assertLess(verification.output_difference(model, small), 0.05)

    def test_blocks_in_a_class_of_their_own(self):
        inputs = keras.Input((6, 6, 3))
        x = Stage(name="stage")(LAYERS.Conv2D(6, 1)(inputs))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        exactness.randomize(model, np.random.default_rng(0))
        small = pruning.prune(model, budget_lib.Budget(depth=1))
        self.assertLess(small.count_params(), model.count_params())
        self.assertLen(blocks(small), 1)
        for variable in model.get_layer("stage").branches[1].weights:
            variable.assign(np.zeros(variable.shape))
        stripped = stripping.strip(model)
        self.assertLen(blocks(stripped), 1)

    def test_influence_by_hand(self):
        inputs = keras.Input((2,))
        layer = LAYERS.Dense(2, use_bias=False)
        x = LAYERS.Add()([inputs, layer(inputs)])
        model = keras.Model(inputs, LAYERS.Dense(1)(x))
        # (1, 0) becomes (1, 1): the cosine is 1 / sqrt(2).
        layer.kernel.assign([[0.0, 1.0], [0.0, 0.0]])
        (score,) = scores(model, np.array([[1.0, 0.0]], "float32"))
        self.assertAlmostEqual(score, 1 - 0.5**0.5, places=6)

    def test_a_share_of_the_blocks_and_of_the_work(self):
        model = chain()
        work = counting.cost(model).macs
        budget = budget_lib.Budget(depth=0.67, macs=0.5)
        small = pruning.prune(model, budget)
        self.assertLen(blocks(small), 2)
        self.assertLessEqual(counting.cost(small).macs, work / 2)

    @parameterized.parameters(({},), ({"channels": 0.9},))
    def test_blocks_with_layers_to_skip_stay(self, limits):
        model = chain()
        exactness.randomize(model, np.random.default_rng(0))
        for name in ("first_b", "second_b"):
            layer = model.get_layer(name)
            layer.kernel.assign(layer.kernel * 1e-3)
            layer.bias.assign(np.zeros(6))
        budget = budget_lib.Budget(depth=1, **limits)
        small = pruning.prune(model, budget)
        self.assertEqual([b.path for b in blocks(small)], ["third_sum"])
        for skip in ("first_a", ["fir*_a"]):
            small = pruning.prune(model, budget, skip=skip)
            self.assertEqual([b.path for b in blocks(small)], ["first_sum"])
            self.assertEqual(small.get_layer("first_a").filters, 4)
        with self.assertRaisesRegex(ValueError, "depth=1, .* 2 blocks"):
            pruning.prune(model, budget, skip=["first_a", "third_*"])
        with self.assertRaisesRegex(ValueError, "Every pattern of `skip`"):
            pruning.prune(model, budget, skip="fourth_a")
        with self.assertRaisesRegex(TypeError, "skipped"):
            pruning.prune(model, budget, skipped="first_a")

    @parameterized.parameters(
        ("third_sum", {}), ("third_sum", {"channels": 0.9}), ("third_s*", {})
    )
    def test_layers_without_channels_keep_their_block(self, skip, limits):
        model = chain()
        layer = model.get_layer("third_b")
        layer.kernel.assign(layer.kernel * 1e-3)
        budget = budget_lib.Budget(depth=1, **limits)
        small = pruning.prune(model, budget)
        self.assertNotEqual([b.path for b in blocks(small)], ["third_sum"])
        small = pruning.prune(model, budget, skip=skip)
        self.assertEqual([b.path for b in blocks(small)], ["third_sum"])

    @parameterized.parameters("second/kernel", "*/kernel", "*/act")
    def test_layers_of_a_model_in_a_block_keep_it(self, skip):
        inputs = x = keras.Input((4, 4, 6))
        for name, scale in (("first", 1), ("second", 1e-3)):
            inner = keras.Sequential(
                [
                    keras.Input((4, 4, 6)),
                    LAYERS.Conv2D(6, 1, name="kernel"),
                    LAYERS.ReLU(name="act"),
                ],
                name=name,
            )
            inner.layers[0].kernel.assign(inner.layers[0].kernel * scale)
            x = LAYERS.Add(name=f"{name}_sum")([x, inner(x)])
        model = keras.Model(inputs, models.head(x))
        budget = budget_lib.Budget(depth=1)
        if skip.startswith("*"):
            with self.assertRaisesRegex(ValueError, "2 blocks of 2 stay"):
                pruning.prune(model, budget, skip=skip)
            return
        self.assertEqual(
            [b.path for b in blocks(pruning.prune(model, budget))],
            ["first_sum"],
        )
        small = pruning.prune(model, budget, skip=skip)
        self.assertEqual([b.path for b in blocks(small)], ["second_sum"])

    @parameterized.parameters(0.1, 100.0)
    def test_the_time_of_blocks_that_are_gone_is_saved(self, time):
        model = chain()
        graph = read.channel_graph(model)
        kernels = [path for path in graph.layers if path.endswith(("_a", "_b"))]
        # Each has 24 weights per place, and the model no other times.
        each = dict.fromkeys(kernels, (0.0, 0.0, 0.0, time / 24))
        table = latency.LatencyTable("float32", 6 * time, each)

        def pruned(**limits):
            budget = budget_lib.Budget(depth=1, latency_table=table, **limits)
            return read.channel_graph(pruning.prune(model, budget))

        # A third is left without two of three blocks, all of their channels.
        channels = int(pruned().removable.sum())
        self.assertEqual(int(pruned(latency=0.4).removable.sum()), channels)
        found = pruned(latency=0.2)
        left = sum(table._times(found, np.ones(found.size, bool)))
        self.assertLessEqual(left, 0.2 * 6 * time)
        self.assertGreater(left, 0)

    def test_a_model_without_blocks(self):
        with self.assertRaisesRegex(ValueError, "blocks that can be taken out"):
            pruning.prune(
                models.around(lambda x: x), budget_lib.Budget(depth=1)
            )

    def test_only_prune_takes_depth(self):
        with self.assertRaisesRegex(ValueError, "whole blocks, not channels"):
            select.by_budget(None, None, budget_lib.Budget(depth=1))
        with self.assertRaisesRegex(ValueError, "depth=-1"):
            budget_lib.Budget(depth=-1)


if __name__ == "__main__":
    absltest.main()
