"""What every registered criterion must do."""

import numpy as np
import pytest
from absl.testing import parameterized

import tfprune
from tfprune.costs import counting
from tfprune.graph import read
from tfprune.graph import values
from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import score
from tfprune.selection import budget as budget_lib
from tfprune.selection import cut as cut_lib
from tfprune.selection import select
from tfprune_test import small_nets

pytestmark = [pytest.mark.any_backend, pytest.mark.jax]

CRITERIA = criterion_lib.criteria.names()
# Each of its scores trains gates, which takes seconds: once, in a slow test.
QUICK = [name for name in CRITERIA if name != "pcas"]


def data(name):
    """Images and labels, where the criterion says that it needs them."""
    if criterion_lib.criteria.get(name).data == criterion_lib.NOTHING:
        return None
    return small_nets.samples(16)


class CriteriaTest(parameterized.TestCase):
    @pytest.mark.slow
    def test_attention_is_a_criterion_as_the_others_are(self):
        self.check_scores("pcas")
        self.check_budget("pcas")
        self.check_order("pcas")

    @parameterized.parameters(*QUICK)
    def test_scores_are_one_number_for_each_channel(self, name):
        self.check_scores(name)

    def check_scores(self, name):
        model = small_nets.mixed()
        before = [np.array(values.numpy(v)) for v in model.variables]
        graph = read.channel_graph(model)
        scores = score.channel_scores(graph, name, data(name))
        self.assertEqual(scores.shape, (graph.size,))
        self.assertTrue((scores[graph.removable] >= 0).all())
        again = score.channel_scores(graph, name, data(name))
        np.testing.assert_array_equal(scores, again)
        for old, variable in zip(before, model.variables, strict=True):
            np.testing.assert_array_equal(old, values.numpy(variable))

    @parameterized.parameters(*QUICK)
    def test_a_budget_is_met_and_a_coupled_group_stays_together(self, name):
        self.check_budget(name)

    def check_budget(self, name):
        model = small_nets.mixed()
        small = tfprune.prune(
            model,
            budget_lib.Budget(macs=0.5),
            name,
            data(name),
            ranking="group",
        )
        dense, after = counting.cost(model).macs, counting.cost(small).macs
        self.assertLessEqual(after, dense / 2)
        self.assertGreater(after, dense / 8)
        width = small.get_layer("stem").filters
        self.assertEqual(small.get_layer("outer").filters, width)
        self.assertEqual(
            small.get_layer("depthwise").kernel.shape[2],
            small.get_layer("inner").filters,
        )

    # What the greedy way removes depends on how much goes elsewhere.
    @parameterized.parameters(*(n for n in QUICK if n != "l1_greedy"))
    def test_removing_more_removes_the_same_and_others(self, name):
        self.check_order(name)

    def check_order(self, name):
        graph = read.channel_graph(small_nets.mixed())
        scores = score.channel_scores(graph, name, data(name))
        keeps = [
            select.by_ratio(graph, scores, ratio) for ratio in (0.0, 0.3, 0.6)
        ]
        self.assertTrue(keeps[0].all())
        for more, less in zip(keeps, keeps[1:], strict=False):
            self.assertTrue((more | ~less).all())

    @parameterized.parameters(
        *(
            n
            for n in CRITERIA
            if criterion_lib.criteria.get(n).data != criterion_lib.NOTHING
        )
    )
    def test_data_that_are_missing_are_asked_for(self, name):
        graph = read.channel_graph(small_nets.mixed())
        with self.assertRaisesRegex(ValueError, "Data are needed for the crit"):
            cut_lib.choose(graph, 0.5, name)

    @parameterized.parameters(
        *(
            n
            for n in CRITERIA
            if criterion_lib.criteria.get(n).data != criterion_lib.NOTHING
        )
    )
    def test_data_that_are_wrong_are_refused(self, name):
        graph = read.channel_graph(small_nets.mixed())
        x, y = small_nets.samples(16)
        broken = np.array(x)
        broken[3] = np.nan
        for wrong, message in (
            ((broken, y), "Inputs must be finite.*sample 3"),
            ((x, y + 100), "Labels must be class indices.*sample 0"),
            ((x[..., :-1], y), "shapes of the model's inputs"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                score.channel_scores(graph, name, wrong)

    @parameterized.parameters(*CRITERIA)
    def test_weights_that_are_not_finite_are_refused(self, name):
        model = small_nets.mixed()
        kernel = np.array(values.numpy(model.get_layer("inner").kernel))
        kernel.flat[0] = np.nan
        model.get_layer("inner").kernel.assign(kernel)
        graph = read.channel_graph(model)
        with self.assertRaisesRegex(ValueError, "infinity in inner/kernel"):
            score.channel_scores(graph, name, data(name))
        with self.assertRaisesRegex(ValueError, "infinity in inner/kernel"):
            counting.cost(model)

    def test_integer_images_score_as_floats(self):
        graph = read.channel_graph(small_nets.mixed())
        x, y = small_nets.samples(8)
        x = np.round(10 * x).astype("int16")
        for name in ("apoz", "hrank", "taylor"):
            found = score.channel_scores(graph, name, (x, y))
            wanted = score.channel_scores(graph, name, (x * 1.0, y))
            np.testing.assert_allclose(found, wanted, rtol=1e-5)

    @parameterized.parameters("none", "mean", "max", "lamp", "size")
    def test_every_normalization_meets_a_budget(self, normalize):
        model = small_nets.mixed()
        small = tfprune.prune(
            model, budget_lib.Budget(macs=0.6), "l1", normalize=normalize
        )
        dense, after = counting.cost(model).macs, counting.cost(small).macs
        self.assertLessEqual(after, 0.6 * dense)
        self.assertGreater(after, 0.3 * dense)

    def test_normalizations_rank_groups_differently(self):
        graph = read.channel_graph(small_nets.mixed())
        keeps = {
            cut_lib.choose(
                graph, budget_lib.Budget(channels=14), "l1", normalize=name
            ).keep.tobytes()
            for name in ("none", "mean", "size")
        }
        self.assertLen(keeps, 3)

    def test_channels_without_a_score_stay(self):
        graph = read.channel_graph(small_nets.mixed())
        scores = np.ones(graph.size)
        group = small_nets.group(graph.model, "inner", graph)[0]
        scores[group.labels[:5]] = np.inf
        for keep in (
            select.by_ratio(graph, scores, 0.9),
            select.by_budget(graph, scores, budget_lib.Budget(channels=10)),
        ):
            self.assertTrue(keep[group.labels[:5]].all())
        self.assertEqual(
            select.by_budget(graph, scores, budget_lib.Budget(channels=10))[
                graph.removable
            ].sum(),
            10,
        )

    def test_scores_that_are_not_numbers_are_an_error(self):
        class Broken(criterion_lib.Criterion):
            def __init__(self, value):
                self.value = value

            def scores(self, graph, data=None):
                return np.full(graph.size, self.value)

        graph = read.channel_graph(small_nets.mixed())
        for value in (np.nan, -np.inf):
            with self.assertRaisesRegex(ValueError, "must be finite numbers"):
                score.channel_scores(graph, Broken(value))
        with self.assertRaisesRegex(ValueError, "must be finite numbers"):
            score.channel_scores(
                graph, lambda w, axis: np.full(w.shape[axis], np.inf)
            )
        with self.assertRaisesRegex(TypeError, "A criterion must be"):
            score.channel_scores(graph, 7)
