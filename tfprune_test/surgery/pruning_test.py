"""Pruned structures of published papers, to the parameter."""

from unittest import mock

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune import zoo
from tfprune.costs import counting
from tfprune.graph import read
from tfprune.graph.composites import opening
from tfprune.selection import cut as cut_lib
from tfprune_test import exactness
from tfprune_test import models
from tfprune_test import small_nets
from tfprune_test.zoo import plain_counts

LAYERS = keras.layers


def convfc_params_and_macs(model):
    """Counted by the graph's meter, parameters without normalization."""
    meter = counting.Meter(read.channel_graph(model))
    params = sum(
        row.params for row in meter.by_layer() if row.op != "BatchNormalization"
    )
    return params, meter.macs()


def li_ratios(blocks, ratios, skip):
    """Li et al. 2016: a ratio per stage for each block's first convolution.

    Args:
        blocks: `int`, blocks in each stage.
        ratios: the share removed in each of the three stages.
        skip: numbers of layers to leave alone; the first convolution of
            block `i` has the number `2 * i + 2`.
    """
    return {
        f"stage{i // blocks + 1}_block{i % blocks}_conv1": ratios[i // blocks]
        for i in range(3 * blocks)
        if 2 * i + 2 not in skip and ratios[i // blocks]
    }


class LiTest(parameterized.TestCase):
    @parameterized.named_parameters(
        (
            "56_a",
            56,
            (0.1, 0.1, 0.1),
            (16, 20, 38, 54),
            (848_954, 125_485_696),
            (769_466, 112_435_840),
        ),
        (
            "56_b",
            56,
            (0.6, 0.3, 0.1),
            (16, 18, 20, 34, 38, 54),
            (848_954, 125_485_696),
            (732_026, 90_907_264),
        ),
    )
    def test_residual_networks(self, *case):
        self.check(*case)

    @parameterized.named_parameters(
        (
            "110_a",
            110,
            (0.5, 0.0, 0.0),
            (36,),
            (1_719_866, 252_887_680),
            (1_680_698, 212_779_648),
        ),
        (
            "110_b",
            110,
            (0.5, 0.4, 0.3),
            (36, 38, 74),
            (1_719_866, 252_887_680),
            (1_161_722, 155_124_352),
        ),
    )
    @pytest.mark.slow  # Deep networks.
    def test_deep_residual_networks(self, *case):
        self.check(*case)

    def check(self, depth, ratios, skip, before, after):
        model = zoo.build(f"resnet{depth}")
        pruned = tfprune.prune(model, li_ratios((depth - 2) // 6, ratios, skip))
        self.assertEqual(convfc_params_and_macs(model), before)
        self.assertEqual(convfc_params_and_macs(pruned), after)

    def test_vgg(self):
        model = zoo.build("vgg16")
        ratios = {f"conv{i}": 0.5 for i in (1, *range(8, 14))}
        pruned = tfprune.prune(model, ratios)
        self.assertEqual(
            [pruned.get_layer(f"conv{i}").filters for i in range(1, 14)],
            [32, 64, 128, 128] + [256] * 9,
        )
        self.assertEqual(
            convfc_params_and_macs(model), (14_978_250, 313_463_808)
        )
        self.assertEqual(
            convfc_params_and_macs(pruned), (5_390_698, 206_279_680)
        )

    @parameterized.parameters(
        ("resnet20", "A", 269_722, 40_551_040),
        ("resnet56", "A", 853_018, 125_485_696),
        ("resnet56", "B", 855_770, 125_747_840),
        ("resnet110", "A", 1_727_962, 252_887_680),
    )
    @pytest.mark.slow  # Large networks.
    def test_dense_networks(self, name, shortcut, params, macs):
        model = zoo.build(name, shortcut=shortcut)
        cost = counting.cost(model)
        # Papers do not count moving averages.
        self.assertEqual(plain_counts.trainable_weights(model), params)
        self.assertEqual(cost.params, model.count_params())
        self.assertEqual(cost.macs, macs)


class ThinetTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = keras.applications.ResNet50(weights=None)
        cls.graph = read.channel_graph(cls.model)

    @parameterized.parameters(
        (1.0, 25_557_096, 7.716),
        (0.7, 16_945_310, 4.880),
        (0.5, 12_381_928, 3.413),
        (0.3, 8_665_382, 2.195),
    )
    def test_widths_of_resnet50(self, kept, params, gigaflops):
        ratios = {
            layer.name: 1 - int(layer.filters * kept) / layer.filters
            for layer in self.model.layers
            if layer.name.endswith(("_1_conv", "_2_conv"))
        }
        meter = counting.Meter(self.graph)
        keep = cut_lib.choose(self.graph, ratios).keep
        rows = meter.by_layer(keep)
        norms = [r.params for r in rows if r.op == "BatchNormalization"]
        # The paper counts no moving averages; of its convolutions the first
        # one alone has a bias, here all have one.
        superfluous = 3 * sum(norms) // 4 - 64
        self.assertEqual(meter.params(keep) - superfluous, params)
        self.assertEqual(round(2e-9 * meter.macs(keep), 3), gigaflops)


class PruneTest(parameterized.TestCase):
    def test_the_budget_is_kept(self):
        model = models.around(LAYERS.Conv2D(16, 3))
        dense = counting.cost(model)
        for budget in (
            tfprune.Budget(macs=0.5),
            tfprune.Budget(params=200),
            tfprune.Budget(macs=0.7, channels=0.5),
        ):
            cost = counting.cost(tfprune.prune(model, budget))
            ceilings = budget.ceilings(
                counting.Meter(read.channel_graph(model))
            )
            for name, ceiling in ceilings.items():
                self.assertLessEqual(getattr(cost, name), ceiling)
            self.assertLess(cost.macs, dense.macs)

    def test_a_float_is_a_ratio(self):
        model = models.around(LAYERS.Conv2D(8, 3, name="middle"))
        small = tfprune.prune(model, 0.25)
        self.assertEqual(small.get_layer("middle").filters, 6)

    @parameterized.parameters(
        (lambda m: tfprune.prune(m, macs=0.5), 1),
        (lambda m: tfprune.prune(m, depth=1, macs=0.5), 2),
        (tfprune.strip, 1),
    )
    def test_a_model_is_read_once(self, smaller, times):
        model = small_nets.mixed()
        reader = opening.opened
        with mock.patch.object(opening, "opened", wraps=reader) as opened:
            smaller(model)
        self.assertEqual(opened.call_count, times)

    def test_limits_and_the_ratio_have_names(self):
        model = models.around(LAYERS.Conv2D(10, 3, name="middle"))
        for named, positional in (
            ({"ratio": 0.2}, 0.2),
            ({"channels": 0.2}, tfprune.Budget(channels=0.2)),
            (
                {"channels": 0.5, "params": 0.4},
                tfprune.Budget(channels=0.5, params=0.4),
            ),
        ):
            one = tfprune.prune(model, positional)
            other = tfprune.prune(model, criterion="l1", **named)
            self.assertEqual(one.get_config(), other.get_config())
        self.assertEqual(
            tfprune.prune(model, ratio=0.2).get_layer("middle").filters, 8
        )

    def test_the_smallest_filters_go(self):
        model = keras.Sequential(
            [
                keras.Input((2,)),
                LAYERS.Dense(3, name="a"),
                LAYERS.Dense(1, name="b"),
            ]
        )
        kernel = np.array([[1, -5, 3], [-2, 0, 2.5]])
        model.get_layer("a").kernel.assign(kernel)
        small = tfprune.prune(model, 0.5)
        np.testing.assert_array_equal(
            small.get_layer("a").kernel.numpy(), kernel[:, [2]]
        )
        l2 = tfprune.prune(model, 0.5, "l2")
        np.testing.assert_array_equal(
            l2.get_layer("a").kernel.numpy(), kernel[:, [1]]
        )

    def test_options_reach_the_selection(self):
        model = models.around(LAYERS.Conv2D(16, 3, name="middle"))
        small = tfprune.prune(
            model, 0.9, min_channels=3, channel_multiple=4, skip="dense*"
        )
        self.assertEqual(small.get_layer("middle").filters, 4)
        small = tfprune.prune(model, 0.9, target="xnnpack", skip="dense*")
        self.assertEqual(small.get_layer("middle").filters, 8)

    def test_weights_are_slices(self):
        model = models.around(LAYERS.Conv2D(16, 3, name="middle"))
        exactness.randomize(model, np.random.default_rng(0))
        before = model.get_layer("middle").kernel.numpy()
        after = tfprune.prune(model, 0.5).get_layer("middle").kernel.numpy()
        rows = {part.tobytes() for part in np.moveaxis(before, -1, 0)}
        self.assertEqual(after.shape[-1], 8)
        for part in np.moveaxis(after, -1, 0):
            parts = [
                b
                for b in np.moveaxis(before, -1, 0)
                if set(part.reshape(-1)) <= set(b.reshape(-1))
            ]
            self.assertLen(parts, 1)
        self.assertLen(rows, 16)

    @parameterized.parameters("half", ([0.5],), True)
    def test_a_budget_of_the_wrong_kind(self, budget):
        with self.assertRaisesRegex(TypeError, "budget must be a tfprune.Bud"):
            tfprune.prune(models.around(LAYERS.ReLU()), budget)

    @parameterized.parameters(1, 1.0, 20_000, -0.5)
    def test_a_number_that_is_no_ratio_says_which_one_is_meant(self, ratio):
        with self.assertRaisesRegex(
            ValueError, rf"channels to remove.*ratio={ratio}.*as in macs=0.5"
        ):
            tfprune.prune(models.around(LAYERS.ReLU()), ratio)

    @parameterized.parameters(
        ({}, "how much to remove. Received: none. .*macs=0.5.*ratio=0.5"),
        ({"budget": 0.5, "macs": 0.5}, "Received: budget=0.5, macs=0.5"),
        ({"ratio": 0.5, "macs": 0.5}, r"budget=Budget\(macs=0.5.*ratio=0.5"),
        ({"budget": 0.5, "ratio": 0.5}, "Received: budget=0.5, ratio=0.5"),
    )
    def test_one_argument_says_how_much_goes(self, arguments, message):
        with self.assertRaisesRegex(TypeError, message):
            tfprune.prune(models.around(LAYERS.ReLU()), **arguments)

    def test_a_budget_that_cannot_be_met(self):
        model = models.around(LAYERS.ReLU())
        with self.assertRaisesRegex(ValueError, "within reach"):
            tfprune.prune(model, tfprune.Budget(params=1))

    def test_an_unknown_criterion(self):
        model = models.around(LAYERS.ReLU())
        with self.assertRaisesRegex(ValueError, "Unknown criterion"):
            tfprune.prune(model, 0.5, "magic")

    def test_a_pattern_without_a_match(self):
        model = models.around(LAYERS.ReLU())
        with self.assertRaisesRegex(ValueError, r"`skip`.*\['nowhere'\]"):
            tfprune.prune(model, 0.5, skip="nowhere")

    def test_weights_that_are_nan(self):
        model = models.around(LAYERS.Conv2D(6, 1, name="middle"))
        kernel = model.get_layer("middle").kernel
        kernel.assign(np.full(kernel.shape, np.nan))
        with self.assertRaisesRegex(ValueError, "NaN.*middle"):
            tfprune.prune(model, 0.5)

    def test_an_unbuilt_model(self):
        with self.assertRaisesRegex(ValueError, "A built model is required"):
            tfprune.prune(keras.Sequential([LAYERS.Dense(2)]), 0.5)

    def test_open_sizes_need_an_input_shape_for_macs(self):
        model = keras.Sequential(
            [
                LAYERS.Input((None, None, 3)),
                LAYERS.Conv2D(8, 3, name="first"),
                LAYERS.Conv2D(8, 3, strides=2, name="second"),
                LAYERS.GlobalAveragePooling2D(),
                LAYERS.Dense(2),
            ]
        )
        budget = tfprune.Budget(macs=0.5)
        with self.assertRaisesRegex(ValueError, "Pass input_shape"):
            tfprune.prune(model, budget)
        small = tfprune.prune(model, budget, input_shape=(16, 16, 3))
        before, after = (
            tfprune.cost(m, input_shape=(16, 16, 3)).macs
            for m in (model, small)
        )
        self.assertLessEqual(after, before / 2)
        self.assertLess(
            tfprune.prune(model, tfprune.Budget(params=0.5)).count_params(),
            model.count_params(),
        )

    def test_not_a_model(self):
        with self.assertRaisesRegex(TypeError, "built keras.Model"):
            tfprune.prune("model.keras", 0.5)


class WrappedTest(absltest.TestCase):
    @pytest.mark.slow  # Trains.
    def test_a_wrapped_model_is_pruned_as_the_plain_one_it_stands_for(self):
        model = zoo.build("resnet20", classes=4, input_shape=(8, 8, 1), width=4)
        wrapped = tfprune.wrap(model, tfprune.methods.Masked())
        tfprune.callbacks.prune_now(wrapped, 0.5)
        small = tfprune.prune(wrapped, 0.5)
        expected = tfprune.prune(tfprune.unwrap(wrapped), 0.5)
        x = np.random.default_rng(0).normal(size=(2, 8, 8, 1))
        np.testing.assert_array_equal(small(x), expected(x))
        self.assertLess(small.count_params(), model.count_params())


if __name__ == "__main__":
    absltest.main()
