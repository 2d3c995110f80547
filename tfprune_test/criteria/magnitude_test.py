"""Filter norms, the greedy way and the published networks."""

import numpy as np
import pytest
from absl.testing import parameterized

import tfprune
from tfprune import zoo
from tfprune.costs import counting
from tfprune.criteria import magnitude
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.graph import values
from tfprune.recipes import published_budgets
from tfprune.scoring import score
from tfprune.selection import cut as cut_lib
from tfprune_test import small_nets
from tfprune_test.zoo import plain_counts

pytestmark = pytest.mark.any_backend

# (outputs, inputs); as kernels of a 1x1 convolution they are transposed.
W1 = [[1, -2], [0.5, 0.25], [-3, 0.1]]
W2 = [[1, 10, 1], [2, 1, 2]]


class MagnitudeTest(parameterized.TestCase):
    def test_l1_is_the_sum_of_absolute_weights_of_a_filter(self):
        group, graph = small_nets.group(small_nets.pair(W1), "first")
        scores = score.channel_scores(graph, "l1")[group.labels]
        np.testing.assert_allclose(scores, [3, 0.75, 3.1], rtol=1e-6)
        keep = cut_lib.choose(graph, {"first": 1 / 3}, "l1").keep
        np.testing.assert_array_equal(keep[group.labels], [True, False, True])

    def test_l2_is_the_euclidean_norm(self):
        kernel = np.array([[3.0, 1.0], [4.0, 0.0]])
        np.testing.assert_allclose(magnitude.l2(kernel, -1), [5, 1])
        np.testing.assert_allclose(magnitude.l2(kernel, 0), [10**0.5, 4])

    def test_the_greedy_way_leaves_out_what_reads_removed_channels(self):
        # The first layer loses its channel 1, so W2 counts without column 1.
        model = small_nets.pair([[9, 9], [0, 0.1], [9, 9]], W2)
        group, graph = small_nets.group(model, "second")
        ratios = {"first": 1 / 3, "second": 0.5}
        scores = score.channel_scores(graph, "l1")[group.labels]
        np.testing.assert_allclose(scores, [12, 5])
        independent = cut_lib.choose(graph, ratios, "l1").keep[group.labels]
        np.testing.assert_array_equal(independent, [True, False])
        greedy = cut_lib.choose(graph, ratios, "l1_greedy").keep[group.labels]
        np.testing.assert_array_equal(greedy, [False, True])

    def test_the_greedy_way_keeps_as_many_channels_of_each_group(self):
        graph = read.channel_graph(small_nets.mixed())
        budget = tfprune.Budget(macs=0.5)
        plain = cut_lib.choose(graph, budget, "l1").keep
        greedy = cut_lib.choose(graph, budget, "l1_greedy").keep
        for group in graph.groups:
            self.assertEqual(
                plain[group.labels].sum(), greedy[group.labels].sum()
            )
        self.assertEqual(
            counting.Meter(graph).macs(plain),
            counting.Meter(graph).macs(greedy),
        )

    def test_removed_filters_are_as_good_as_zeroed_ones(self):
        model = small_nets.mixed()
        group, graph = small_nets.group(model, "inner")
        keep = cut_lib.choose(graph, {"inner": 0.5}).keep
        small = rebuild.shrink(graph, keep)
        gone = ~keep[group.labels]
        zeroed = {"inner": ("kernel", "bias"), "inner_bn": ("gamma", "beta")}
        for layer, names in zeroed.items():
            for name in names:
                variable = getattr(model.get_layer(layer), name)
                value = np.array(values.numpy(variable))
                value[..., gone] = 0
                variable.assign(value)
        x, _ = small_nets.samples()
        np.testing.assert_allclose(
            values.numpy(small(x)), values.numpy(model(x)), atol=1e-5
        )

    @parameterized.parameters(
        ("resnet56", "resnet56_a", 769_466, 112_435_840),
        ("resnet56", "resnet56_b", 732_026, 90_907_264),
        ("vgg16", "vgg16_a", 5_390_698, 206_279_680),
    )
    @pytest.mark.slow
    def test_a_preset_gives_the_published_counts(
        self, network, preset, params, macs
    ):
        self.check_preset(network, preset, params, macs)

    @parameterized.parameters(
        ("resnet110", "resnet110_a", 1_680_698, 212_779_648),
        ("resnet110", "resnet110_b", 1_161_722, 155_124_352),
    )
    @pytest.mark.slow
    def test_a_preset_of_a_deep_net_gives_the_published_counts(
        self, network, preset, params, macs
    ):
        self.check_preset(network, preset, params, macs)

    def check_preset(self, network, preset, params, macs):
        graph = read.channel_graph(zoo.build(network))
        keep = cut_lib.choose(graph, published_budgets.LI_ET_AL[preset]).keep
        self.assertEqual(counting.Meter(graph).macs(keep), macs)
        small = rebuild.shrink(graph, keep)
        self.assertEqual(plain_counts.weights_without_batch_norm(small), params)
        self.assertEqual(plain_counts.macs(small), macs)

    def test_the_widths_of_resnet56_b_are_the_published_ones(self):
        graph = read.channel_graph(zoo.build("resnet56"))
        keep = cut_lib.choose(
            graph, published_budgets.LI_ET_AL["resnet56_b"]
        ).keep
        widths = {
            g.name: int(keep[g.labels].sum())
            for g in graph.groups
            if g.name.endswith("_conv1")
        }
        self.assertEqual(widths["stage1_block0_conv1"], 6)
        self.assertEqual(widths["stage1_block7_conv1"], 16)
        self.assertEqual(widths["stage2_block1_conv1"], 22)
        self.assertEqual(widths["stage3_block1_conv1"], 57)
        self.assertEqual(widths["stage3_block8_conv1"], 64)
