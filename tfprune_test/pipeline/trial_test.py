"""Levels and shares of time; `compressing_test` runs whole trials."""

import types
from unittest import mock

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.deploy import latency
from tfprune.graph import read
from tfprune.pipeline import channel_choice
from tfprune.pipeline import job as job_lib
from tfprune.pipeline import recipe
from tfprune.pipeline import trial
from tfprune.pipeline.result import measured


class Space:
    """A workspace without a disk."""

    def __init__(self, **steps):
        self.steps = steps

    def get(self, step):
        return self.steps.get(step)

    def put(self, step, facts, spent=None):
        self.steps[step] = facts

    def path(self, name):
        return name


class Clock:
    def __init__(self, limit=100.0, spent=0.0):
        self.limit, self.spent, self.over = limit, spent, False

    @property
    def left(self):
        return self.limit - self.spent


class Task:
    monitor = "accuracy"

    def gain(self, values):
        return values["accuracy"]


def job(**changes):
    facts = {
        "model": None,
        "start": "dense",
        "task": Task(),
        "recipe": recipe.Recipe(rounds=2, rounds_share=0.25),
        "clock": Clock(),
        "tell": lambda **_: None,
        "inputs": None,
        "calibration": None,
        "workspace": Space(),
        "options": {},
        "ceilings": {"macs": 25},
        "table": None,
        "runtime": None,
        "core": None,
        "baseline": {
            "numbers": {},
            "values": {"accuracy": 0.9},
            "costs": {"macs": 100},
        },
        "max_loss": None,
        "points": 1,
        "epochs": None,
    }
    return types.SimpleNamespace(**facts | changes)


def answer(accuracy, over=()):
    return job_lib.Answer(
        "a", {}, {"accuracy": accuracy}, {}, dict(over), [], {}
    )


def keep(model, name, ceilings, corrects):
    """Channels of which each level has others."""
    return np.arange(1000) < ceilings["macs"]


class LevelsTest(parameterized.TestCase):
    def levels(self, tried):
        """Replaces the work of a level; lists what was asked for."""
        asked = []

        def level(model, name, ceilings, epochs, until, answers, curve):
            asked.append((model, name, ceilings, answers))
            return f"small{name}", curve, answer(0.9) if answers else None

        return asked, mock.patch.multiple(tried, _level=level, _keep=keep)

    def test_costs_fall_geometrically_to_the_budget(self):
        tried = trial.Trial(job(), "t")
        asked, patch = self.levels(tried)
        with patch:
            found = list(tried.to_budget())
        self.assertEqual(
            asked,
            [
                ("dense", "1", {"macs": 50}, False),
                ("small1", "2", {"macs": 25}, True),
            ],
        )
        self.assertLen(found, 1)

    def test_each_point_of_a_frontier_is_an_answer(self):
        tried = trial.Trial(job(points=3), "t")
        _, patch = self.levels(tried)
        with patch:
            self.assertLen(list(tried.to_budget()), 3)

    @parameterized.parameters((2, 4, 2), (2, 3, 2), (3, 4, 2), (3, 2, 1))
    def test_rounds_lead_to_each_point(self, points, rounds, each):
        recipe_ = recipe.Recipe(rounds=rounds)
        tried = trial.Trial(job(points=points, recipe=recipe_), "t")
        asked, patch = self.levels(tried)
        with patch:
            self.assertLen(list(tried.to_budget()), points)
        self.assertEqual(
            [answers for *_, answers in asked],
            points * [*(each - 1) * [False], True],
        )

    def test_the_curve_has_all_epochs_of_all_rounds(self):
        tried = trial.Trial(job(points=2, recipe=recipe.Recipe(rounds=4)), "t")
        rates = iter(range(99))

        def trained(*_):
            lines = [{"epoch": e, "rate": next(rates)} for e in (1, 2)]
            return "small", lines

        def answered(small, name, ceilings, curve):
            found = answer(0.9)
            found.curve = curve
            return found

        with (
            mock.patch.object(tried, "_trained", trained),
            mock.patch.object(tried, "_answer", answered),
        ):
            found = list(tried.to_budget())
        for one, count in zip(found, (4, 8), strict=True):
            self.assertEqual(
                one.curve,
                [{"epoch": i + 1, "rate": i} for i in range(count)],
            )

    def test_a_table_of_latencies_makes_no_fewer_levels(self):
        tried = trial.Trial(job(points=3, table=object()), "t")
        _, patch = self.levels(tried)
        with patch:
            self.assertLen(list(tried.to_budget()), 3)

    def test_a_first_answer_is_one_step(self):
        tried = trial.Trial(job(), "t", quick=True)
        asked, patch = self.levels(tried)
        with patch:
            list(tried.to_budget())
        self.assertEqual(asked, [("dense", "1", {"macs": 25}, True)])

    def test_a_loss_is_bracketed(self):
        tried = trial.Trial(job(max_loss=0.05), "t")
        shares = []

        def level(model, name, ceilings, epochs, until, answers, curve):
            share = ceilings["macs"] / 100
            shares.append(share)
            # What is below 0.4 of the work loses too much.
            return name, curve, answer(0.9 if share > 0.4 else 0.5)

        with mock.patch.multiple(tried, _level=level, _keep=keep):
            found = list(tried.to_loss({"macs": 1}))
        self.assertEqual(shares[:2], [0.6, 0.36])
        good = [s for s in shares if s > 0.4]
        bad = [s for s in shares if s <= 0.4]
        # Bisected until the middle saves less than 7 %.
        self.assertLess(min(good) / max(bad), 1 / 0.93**2)
        self.assertLen(found, len(shares))

    def test_a_network_that_lost_too_much_is_not_trained_again(self):
        tried = trial.Trial(job(max_loss=0.05), "t")
        trained = []

        def level(model, name, ceilings, epochs, until, answers, curve):
            trained.append(ceilings["macs"])
            return name, curve, answer(0.5)

        def coarse(model, name, ceilings, corrects):
            return np.arange(4) < ceilings["macs"] // 30

        with mock.patch.multiple(tried, _level=level, _keep=coarse):
            found = list(tried.to_loss({"macs": 1}))
        # 77 and 88 would leave the same two channels.
        self.assertEqual(trained, [60])
        self.assertLen(found, 1)

    @parameterized.parameters(
        (0.85, 0.84, True),
        (0.85, 0.8399, False),
        (0.85, np.nan, False),
        (1e-7, 0.0, True),
    )
    def test_a_loss_is_compared_as_float32_has_it(self, dense, left, near):
        dense, left = float(np.float32(dense)), float(np.float32(left))
        asked = job(max_loss=0.01)
        asked.baseline["values"] = {"accuracy": dense}
        asked.task = types.SimpleNamespace(
            gain=lambda values: float(
                np.nan_to_num(values["accuracy"], nan=-np.inf)
            )
        )
        self.assertEqual(trial.is_near(asked, answer(left)), near)

    def test_no_level_is_below_what_is_reachable(self):
        tried = trial.Trial(job(max_loss=1.0), "t")
        asked, patch = self.levels(tried)
        with patch:
            list(tried.to_loss({"macs": 50}))
        self.assertEqual(
            [ceilings["macs"] for _, _, ceilings, _ in asked], [60, 50]
        )

    def test_the_smallest_network_is_not_rounded_down(self):
        costs = {"macs": 22, "params": 30}
        baseline = {"numbers": {}, "values": {"accuracy": 0.9}, "costs": costs}
        tried = trial.Trial(job(max_loss=1.0, baseline=baseline), "t")
        asked, patch = self.levels(tried)
        with patch:
            # 22 * (15 / 22) is 14.99...
            list(tried.to_loss({"macs": 15, "params": 18}))
        self.assertEqual(
            [ceilings for _, _, ceilings, _ in asked],
            [{"macs": 15, "params": 20}],
        )


class ShareTest(parameterized.TestCase):
    @parameterized.parameters(
        # Ten epochs, a quarter of them before the last round.
        (1, 2, 2, 2),
        (2, 2, 2, 8),
        (1, 1, 1, 10),
        (2, 3, 1, 10),
        (3, 4, 2, 2),
        (4, 4, 2, 8),
    )
    def test_epochs(self, number, levels, rounds, expected):
        tried = trial.Trial(job(epochs=10), "t")
        self.assertEqual(tried._share(number, levels, rounds), (expected, None))

    def test_seconds(self):
        tried = trial.Trial(job(), "t")
        self.assertEqual(tried._share(1, 2, 2), (None, 25.0))
        tried._job.clock.spent = 25.0
        self.assertEqual(tried._share(2, 2, 2), (None, 100.0))

    def test_points_of_several_rounds_share_what_is_left(self):
        tried = trial.Trial(job(), "t")
        for number, expected in enumerate((12.5, 50.0, 62.5, 100.0), 1):
            _, until = tried._share(number, 4, 2)
            self.assertAlmostEqual(until, expected)
            tried._job.clock.spent = until

    def test_no_time_may_be_left_for_the_last_round(self):
        whole = recipe.Recipe(rounds=2, rounds_share=1.0)
        tried = trial.Trial(job(recipe=whole), "t")
        self.assertEqual(tried._share(1, 2, 2), (None, 100.0))
        self.assertEqual(tried._share(2, 2, 2), (None, 0.0))

    def test_points_share_what_is_left(self):
        tried = trial.Trial(job(points=4), "t")
        self.assertEqual(tried._share(1, 4), (None, 25.0))
        tried._job.clock.spent = 40.0
        self.assertEqual(tried._share(3, 4), (None, 70.0))

    def test_a_first_answer_takes_a_tenth(self):
        tried = trial.Trial(job(), "t", quick=True)
        self.assertEqual(tried._share(1, 1), (None, 10.0))


class KeepTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        inputs = keras.Input((4,))
        x = keras.layers.Dense(6, "relu")(inputs)
        cls.model = keras.Model(inputs, keras.layers.Dense(2)(x))
        cls.size = read.channel_graph(cls.model).size

    def kept(self, tried, measurements=(), ceilings=None):
        """What is kept, and the limits of the searches before it."""
        keep = np.arange(self.size) % 2 == 0
        aims = []

        def choose(model, budget, *_):
            meter = budget.meter(read.channel_graph(model))
            aims.append(budget.ceilings(meter))
            return channel_choice.Choice(keep, 3)

        numbers = iter(measurements)
        with (
            mock.patch.object(channel_choice, "choose", choose),
            mock.patch.object(channel_choice, "shrunk"),
            mock.patch.object(measured, "predicted", return_value={}),
            mock.patch.object(
                measured, "export", side_effect=lambda *_: next(numbers)
            ),
        ):
            found = tried._keep(
                self.model, "t/1", ceilings or {"macs": 50}, True
            )
        np.testing.assert_array_equal(found, keep)
        return aims

    def test_a_recipe_without_corrections_searches_once(self):
        tried = trial.Trial(job(recipe=recipe.Recipe(corrections=0)), "t")
        self.assertEqual(self.kept(tried), [{"macs": 50}])

    def test_a_later_run_reads_the_channels_from_the_journal(self):
        first = trial.Trial(job(), "t")
        self.kept(first)
        later = trial.Trial(job(workspace=first._job.workspace), "t")
        self.assertEqual(self.kept(later), [])

    def test_a_latency_of_a_network_on_the_way(self):
        graph = read.channel_graph(self.model)
        wide = keras.Sequential([keras.Input((4,))])
        for layer, units in zip(self.model.layers[1:], (24, 2), strict=True):
            wide.add(keras.layers.Dense(units, name=layer.name))
        # A microsecond for each pair of inputs and outputs of the first layer.
        table = latency.LatencyTable(
            "int8", 96.0, {self.model.layers[1].name: (0, 0, 0, 1)}
        )
        tried = trial.Trial(job(start=wide, table=table), "t")
        (aims,) = self.kept(tried, ceilings={"latency": 13.5})
        self.assertAlmostEqual(aims["latency"], 13.5)
        self.assertEqual(tried._table(graph).predict(graph), 24)

    def test_a_file_that_is_too_large_lowers_the_aim(self):
        key, guess = measured.FLASH, measured.FLASH_PREDICTED
        baseline = {
            "numbers": {key: 9000, guess: 9000},
            "values": {"accuracy": 0.9},
            "costs": {"flash_bytes": 9000},
        }
        tried = trial.Trial(job(baseline=baseline), "t")
        aims = self.kept(
            tried,
            [{key: 8060, guess: 8000}, {key: 8000, guess: 7940}],
            {"flash_bytes": 8000},
        )
        # 60 bytes were not predicted.
        self.assertEqual(aims, [{"flash_bytes": 8000}, {"flash_bytes": 7940}])


if __name__ == "__main__":
    absltest.main()
