"""Searches that can be checked: budgets, traces, memory, what is written."""

import dataclasses
import functools
import io
import json
import pathlib
from unittest import mock

import keras
import numpy as np
import pytest
import rich.console
from absl.testing import parameterized

from tfprune.core import progress_bar
from tfprune.costs import counting
from tfprune.plots import curve_plots
from tfprune.reports import evaluation
from tfprune.searches import amc
from tfprune.searches import objective
from tfprune.searches import searching
from tfprune.searches import strategies
from tfprune.selection import budget as budget_lib
from tfprune.surgery import pruning

layers = keras.layers
QUICK = amc.Settings(
    hidden=32, actor_rate=3e-3, critic_rate=1e-2, tau=0.1, warmup=8
)


ENGINES = {"evolution": "cma", "bayesian": "optuna"}


def lopsided(spare=0):
    """Two groups of eight, whose outputs are the inputs again.

    Args:
        spare: `int`, channels of the second that nobody needs.
    """
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(8, name="wide"),
            layers.Dense(8 + spare, name="narrow"),
            layers.Dense(8, name="out"),
        ]
    )
    wide, narrow, out = model.layers
    wide.kernel.assign(np.eye(8))
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    narrow.kernel.assign(np.hstack([rotation, np.full((8, spare), 1e-3)]))
    out.kernel.assign(np.vstack([rotation.T, np.zeros((spare, 8))]))
    # Positive, so that no output that is gone, zero but for rounding, is best.
    x = np.abs(np.random.default_rng(1).normal(size=(256, 8)))
    return model, (x.astype("float32"), x.argmax(-1))


class SearchTest(parameterized.TestCase):
    @parameterized.parameters(*strategies.STRATEGIES.names())
    def test_trials_keep_the_budget_and_the_model_is_the_best(self, name):
        if name in ENGINES:
            pytest.importorskip(ENGINES[name], reason="the extra `search`")
        model, data = lopsided()
        found = searching.search(
            model,
            data,
            budget_lib.Budget(macs=0.6),
            name,
            evaluations=10,
            settings=QUICK,
            progress=False,
        )
        if name == "greedy":
            self.assertBetween(len(found.trials), 1, 3)
            self.assertLessEqual(found.evaluated, 1 + 10)
        else:
            single = name in ("uniform", "shallow", "deep")
            self.assertLen(found.trials, 1 if single else 10)
        for trial in found.trials:
            self.assertLessEqual(trial.macs, 0.6 * counting.cost(model).macs)
            self.assertEqual(trial.reward, trial.accuracy - 1)
        self.assertEqual(
            found.best.accuracy, max(t.accuracy for t in found.trials)
        )
        (accuracy,) = evaluation.accuracies([found.model], data)
        self.assertAlmostEqual(accuracy, found.best.accuracy, places=6)
        self.assertEqual(counting.cost(found.model).macs, found.best.macs)
        self.assertEqual(found.dense, 1.0)
        self.assertEqual(found.traces, 1)
        self.assertEqual(list(found.ratios), ["wide", "narrow"])
        again = pruning.prune(model, found.ratios)
        self.assertEqual(counting.cost(again).macs, found.best.macs)

    def test_a_criterion_refines_its_choice_as_in_prune(self):
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [keras.Input((6,)), *(layers.Dense(16) for _ in range(4))]
        )
        x = np.random.default_rng(0).normal(size=(9, 6)).astype("float32")
        data = x, np.ones(9, int)
        found = searching.search(
            model,
            data,
            budget_lib.Budget(macs=0.4),
            "uniform",
            criterion="l1_greedy",
            progress=False,
        )
        same, plain = (
            pruning.prune(model, found.ratios, name)(x)
            for name in ("l1_greedy", "l1")
        )
        np.testing.assert_allclose(found.model(x), same, rtol=1e-5)
        self.assertGreater(np.abs(np.subtract(plain, same)).max(), 0.01)

    def test_groups_of_one_layer_are_told_apart(self):
        inputs = keras.Input((3, 8))
        x = layers.MultiHeadAttention(4, 4, name="mha")(inputs, inputs)
        x = layers.GlobalAveragePooling1D()(x)
        model = keras.Model(inputs, layers.Dense(3)(x))
        data = np.random.default_rng(0).normal(size=(9, 3, 8)), np.ones(9, int)
        budget = budget_lib.Budget(macs=0.6)
        found = searching.search(
            model, data, budget, "random", evaluations=3, progress=False
        )
        self.assertEqual(list(found.kept), ["mha", "mha#2", "mha#3"])
        self.assertEqual(tuple(found.kept.values()), found.best.kept)
        small = pruning.prune(model, found.ratios)
        self.assertEqual(counting.cost(small).macs, found.best.macs)
        asked = objective.Objective(model, data, budget)
        self.assertLen(asked.groups, 3)
        asked(dict.fromkeys(asked.groups, 0.5))
        # As files were written before.
        written = {**found.to_dict(), "groups": ["mha"] * 3}
        again = searching.Search.from_dict(written)
        self.assertEqual(again.ratios, found.ratios)

    def test_greedy_finds_the_group_that_does_not_matter(self):
        model, data = lopsided(spare=5)
        options = {"evaluations": 16, "progress": False}
        budget = budget_lib.Budget(macs=0.71)
        found = searching.search(model, data, budget, "greedy", **options)
        uniform = searching.search(
            model, data, strategy="uniform", macs=0.71, **options
        )
        self.assertLess(uniform.best.accuracy, 0.9)
        self.assertEqual(found.best.accuracy, 1.0)
        self.assertEqual(found.kept, {"wide": 1.0, "narrow": 8 / 13})
        with self.assertRaisesRegex(ValueError, "Received: budget=None"):
            searching.search(
                model, data, strategy="greedy", reward="flops", **options
            )

    @pytest.mark.slow  # Hundreds of trials.
    def test_the_agent_finds_the_best_more_often_than_chance(self):
        model, data = lopsided(spare=5)
        options = {"evaluations": 40, "progress": False}
        budget = budget_lib.Budget(macs=0.71)
        later = {"amc": [], "random": []}
        for name, found in later.items():
            for seed in range(3):
                settings = dataclasses.replace(QUICK, seed=seed)
                trials = searching.search(
                    model, data, budget, name, settings=settings, **options
                ).trials
                best = max(trial.accuracy for trial in trials)
                found += [t.accuracy > best - 0.05 for t in trials[16:]]
        self.assertGreater(np.mean(later["amc"]), 2 * np.mean(later["random"]))

    def test_where_single_networks_take_the_most(self):
        model, data = lopsided()
        kept = {
            name: searching.search(
                model, data, budget_lib.Budget(macs=0.6), name, progress=False
            ).best.kept
            for name in ("uniform", "shallow", "deep")
        }
        self.assertEqual(*kept["uniform"])
        self.assertLess(*kept["shallow"])
        self.assertGreater(*kept["deep"])

    def test_a_seed_counts_beside_settings(self):
        model, data = lopsided()
        budget = budget_lib.Budget(macs=0.5)
        options = {"evaluations": 3, "progress": False}

        def shares(**more):
            found = searching.search(
                model, data, budget, "random", **options, **more
            )
            return [trial.kept for trial in found.trials]

        self.assertEqual(
            shares(settings=QUICK, seed=3),
            shares(settings=dataclasses.replace(QUICK, seed=3)),
        )
        self.assertNotEqual(shares(settings=QUICK), shares(seed=3))

    @pytest.mark.slow  # Every strategy, twice.
    def test_the_same_seed_gives_the_same_trials(self):
        model, data = lopsided()
        options = {"evaluations": 11, "progress": False, "settings": QUICK}
        budget = budget_lib.Budget(macs=0.6)
        first, second = (
            [
                t.kept
                for t in searching.search(model, data, budget, **options).trials
            ]
            for _ in range(2)
        )
        self.assertEqual(first, second)

    @pytest.mark.slow  # Two searches.
    def test_a_search_that_was_stopped_measures_nothing_twice(self):
        model, data = lopsided()
        path = pathlib.Path(self.create_tempdir().full_path) / "search.json"
        options = {
            "budget": budget_lib.Budget(macs=0.6),
            "strategy": "random",
            "checkpoint": path,
            "progress": False,
        }
        short = searching.search(model, data, evaluations=4, **options)
        known = json.loads(path.read_text())["accuracies"]
        self.assertLen(known, short.evaluated)
        long = searching.search(model, data, evaluations=8, **options)
        self.assertEqual(
            [t.kept for t in long.trials[:4]], [t.kept for t in short.trials]
        )
        self.assertLess(long.evaluated, 8)
        again = searching.search(model, data, evaluations=8, **options)
        self.assertEqual(again.evaluated, 0)
        self.assertEqual(
            [t.accuracy for t in again.trials],
            [t.accuracy for t in long.trials],
        )
        for changed in ((data[0] + 1, data[1]), (data[0][:99], data[1][:99])):
            with self.assertRaisesRegex(
                ValueError, "same layers, weights, data and metric"
            ):
                searching.search(model, changed, evaluations=2, **options)
        model.layers[0].kernel.assign(2 * np.eye(8))
        with self.assertRaisesRegex(
            ValueError, "same layers, weights, data and metric"
        ):
            searching.search(model, data, evaluations=2, **options)

    def test_normalisation_is_measured_anew_in_every_trial(self):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((8,)),
                layers.Dense(16, name="hidden"),
                layers.Dense(16, name="read"),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Dense(4),
            ]
        )
        x = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
        y = np.asarray(model(x)).argmax(-1)
        options = {
            "budget": budget_lib.Budget(macs=0.5),
            "strategy": "uniform",
            "progress": False,
        }
        plain = searching.search(model, (x, y), **options)
        measured = searching.search(model, (x, y), recalibrate=x, **options)
        self.assertNotEqual(plain.best.accuracy, measured.best.accuracy)
        self.assertEqual(measured.traces, 1)
        (accuracy,) = evaluation.accuracies([measured.model], (x, y))
        self.assertAlmostEqual(accuracy, measured.best.accuracy, places=6)

    def test_weights_are_fitted_in_every_trial(self):
        model, data = lopsided()
        # The fourth channel of the narrow group repeats the third, so that
        # its reader can make up for it.
        narrow = model.layers[1]
        kernel = keras.ops.convert_to_numpy(narrow.kernel).copy()
        kernel[:, 3] = kernel[:, 2] / 2
        narrow.kernel.assign(kernel)
        options = {
            "budget": budget_lib.Budget(macs=0.9),
            "strategy": "greedy",
            "evaluations": 4,
            "progress": False,
        }
        plain = searching.search(model, data, **options)
        fitted = searching.search(model, data, reconstruct=data[0], **options)
        self.assertGreater(fitted.best.accuracy, plain.best.accuracy)
        self.assertEqual(fitted.traces, 1)
        (accuracy,) = evaluation.accuracies([fitted.model], data)
        self.assertAlmostEqual(accuracy, fitted.best.accuracy, places=6)
        path = pathlib.Path(self.create_tempdir().full_path) / "search.json"
        searching.search(model, data, checkpoint=path, **options)
        with self.assertRaisesRegex(
            ValueError, "same layers, weights, data and metric"
        ):
            searching.search(
                model, data, reconstruct=data[0], checkpoint=path, **options
            )

    def test_a_checkpoint_knows_what_the_loss_says(self):
        model = keras.Sequential(
            [keras.Input((6,)), layers.Dense(8), layers.Dense(1)]
        )
        x = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
        path = pathlib.Path(self.create_tempdir().full_path) / "search.json"
        go = functools.partial(
            searching.search,
            model,
            (x, np.arange(16) % 2),
            macs=0.5,
            strategy="uniform",
            progress=False,
            checkpoint=path,
        )
        cross_entropy = keras.losses.BinaryCrossentropy
        model.compile(loss=cross_entropy(from_logits=False))
        first = go()
        model.compile(loss="binary_crossentropy")
        self.assertEqual(go().dense, first.dense)
        model.compile(loss=cross_entropy(from_logits=True))
        with self.assertRaisesRegex(ValueError, "a loss of the same kind"):
            go()

    def test_class_indices_say_all_for_a_checkpoint(self):
        model, data = lopsided()
        path = pathlib.Path(self.create_tempdir().full_path) / "search.json"
        options = {"strategy": "uniform", "macs": 0.6, "progress": False}
        found = searching.search(model, data, checkpoint=path, **options)
        model.compile(loss="sparse_categorical_crossentropy")
        again = searching.search(model, data, checkpoint=path, **options)
        self.assertEqual(again.evaluated, 0)
        self.assertEqual(again.dense, found.dense)

    def test_a_checkpoint_knows_what_layers_compute(self):
        path = pathlib.Path(self.create_tempdir().full_path) / "search.json"

        def go(activation):
            inputs = keras.Input((6,))  # Names differ in each model.
            x = layers.Dropout(0.1)(layers.Dense(8)(inputs))
            x = layers.Activation(activation)(x)
            model = keras.Model(inputs, layers.Dense(2)(x))
            for weight in model.weights:
                values = np.linspace(-1, 1, weight.shape[0])
                values = values.reshape(-1, *[1] * (len(weight.shape) - 1))
                weight.assign(values * np.ones(weight.shape))
            data = np.ones((16, 6), "float32"), np.arange(16) % 2
            return searching.search(
                *(model, data),
                macs=0.5,
                strategy="uniform",
                progress=False,
                checkpoint=path,
            )

        self.assertGreater(go("relu").evaluated, 0)
        self.assertEqual(go("relu").evaluated, 0)
        with self.assertRaisesRegex(ValueError, "the same layers"):
            go("tanh")
        # One that was written before.
        found = json.loads(path.read_text())
        with mock.patch.object(objective, "_said_of_layers", return_value=""):
            path.unlink()
            go("relu")
        self.assertNotEqual(
            json.loads(path.read_text())["basis"], found["basis"]
        )
        self.assertEqual(go("relu").evaluated, 0)

    def test_a_checkpoint_of_layers_with_names_of_functions(self):
        path = pathlib.Path(self.create_tempdir().full_path) / "search.json"

        def go():
            keras.utils.set_random_seed(0)
            inputs = keras.Input((6,))
            x = keras.ops.relu(layers.Dense(8)(inputs))
            x = layers.Dense(8, activation="relu")(x)
            model = keras.Model(inputs, layers.Dense(2)(x))
            data = np.ones((16, 6), "float32"), np.arange(16) % 2
            found = searching.search(
                *(model, data),
                macs=0.5,
                strategy="uniform",
                progress=False,
                checkpoint=path,
            )
            return model.operations[2].name, found.evaluated

        keras.backend.clear_session()
        name, evaluated = go()
        self.assertEqual(name, "relu")
        self.assertGreater(evaluated, 0)
        self.assertEqual(go(), ("relu_1", 0))

    def test_a_checkpoint_of_a_model_that_reads_texts(self):
        inputs = keras.Input((1,), dtype="string")
        words = layers.TextVectorization(
            vocabulary=["on", "off"], output_sequence_length=2
        )
        x = layers.Flatten()(layers.Embedding(4, 4)(words(inputs)))
        model = keras.Model(inputs, layers.Dense(2)(layers.Dense(4)(x)))
        path = pathlib.Path(self.create_tempdir().full_path) / "search.json"
        evaluated = []
        for _ in range(2):
            # Texts of their own, as another process has them.
            texts = [["".join(["o", end])] for end in ("n", "ff")] * 4
            data = np.array(texts, object), np.arange(8) % 2
            found = searching.search(
                *(model, data),
                macs=0.6,
                strategy="uniform",
                progress=False,
                checkpoint=path,
            )
            evaluated.append(found.evaluated)
        self.assertGreater(evaluated[0], 0)
        self.assertEqual(evaluated[1], 0)

    def test_a_terminal_shows_the_latest_trials(self):
        model, data = lopsided()
        screen = rich.console.Console(
            file=io.StringIO(), force_terminal=True, width=120
        )
        shown = functools.partial(progress_bar.live, console=screen)
        with mock.patch.object(progress_bar, "live", shown):
            found = searching.search(
                model,
                data,
                budget_lib.Budget(macs=0.6),
                "random",
                evaluations=12,
                seed=3,
            )
        drawn = screen.file.getvalue()
        self.assertIn("random, dense 100.00 %", drawn)
        for number, trial in enumerate(found.trials, start=1):
            self.assertRegex(drawn, rf"{number} +{100 * trial.accuracy:.2f} %")
        self.assertRegex(drawn, rf"best +{100 * found.best.accuracy:.2f} %")

    def test_a_trial_that_is_no_number_is_null_and_not_the_best(self):
        lost = objective.Trial(np.nan, -np.inf, 9, 9, 0.5, (1.0,))
        good = objective.Trial(0.5, -0.5, 9, 9, 0.5, (0.5,))
        found = searching.Search(
            strategy="random",
            groups=("a",),
            dense=np.nan,
            trials=(lost, good),
            traces=1,
            evaluated=2,
            model=None,
        )
        path = pathlib.Path(self.create_tempdir().full_path) / "found.json"
        found.save(path)
        text = path.read_text()
        self.assertNotRegex(text, "NaN|Infinity")
        again = searching.Search.from_dict(json.loads(text))
        self.assertEqual(again.best, good)
        self.assertEqual(repr(again), repr(found))

    def test_what_was_found_is_written(self):
        model, data = lopsided()
        found = searching.search(
            model, data, budget_lib.Budget(macs=0.6), "uniform", progress=False
        )
        path = pathlib.Path(self.create_tempdir().full_path) / "found.json"
        found.save(path)
        written = json.loads(path.read_text())
        self.assertEqual(written["strategy"], "uniform")
        self.assertEqual(written["ratios"], found.ratios)
        self.assertEqual(written["trials"][0]["macs"], found.best.macs)
        again = searching.Search.from_dict(written)
        self.assertEqual(again.best, found.best)
        self.assertEqual(again.to_dict(), found.to_dict())
        picture = path.with_suffix(".png")
        random = searching.search(
            model,
            data,
            budget_lib.Budget(macs=0.6),
            "random",
            evaluations=3,
            progress=False,
        )
        curve_plots.search_plot([found, random], picture)
        self.assertGreater(picture.stat().st_size, 5000)

    @parameterized.parameters(
        ({"strategy": "luck"}, "luck"),
        ({"budget": None}, "Received: budget=None"),
        ({"evaluations": 0}, "Received: evaluations=0"),
        ({"evaluations": 2.5}, "Received: evaluations=2.5"),
        ({"seed": -1}, "Received: seed=-1"),
        ({"skip": None}, "Received: skip=None"),
        (
            {"reward": "flops", "metric": lambda y, _: np.full(len(y), 93.5)},
            "Received: 93.5 for the whole network",
        ),
    )
    def test_errors(self, options, message):
        model, data = lopsided()
        options = {"budget": budget_lib.Budget(macs=0.6), **options}
        with self.assertRaisesRegex(ValueError, message):
            searching.search(model, data, progress=False, **options)
        with self.assertRaisesRegex(TypeError, "Received: budget=0.5"):
            searching.search(model, data, 0.5, progress=False)

    def test_keywords_are_those_of_a_search(self):
        model, data = lopsided()
        for keyword in (
            {"state": "code"},
            {"lowest": 0.5},
            {"input_shape": (8,)},
            {"min_channels": 2},
            {"channel_multiple": 2},
            {"skip": "wide"},
            {"target": "ethos-u55"},
        ):
            found = searching.search(
                *(model, data, None, "uniform", 1),
                macs=1.0,
                progress=False,
                **keyword,
            )
            self.assertLen(found.trials, 1)
        with self.assertRaisesRegex(TypeError, "Did you mean lowest?"):
            searching.search(model, data, macs=0.6, lowst=0.5)


class ObjectiveTest(parameterized.TestCase):
    def test_shares_by_name_give_a_network_within_the_budget(self):
        model, data = lopsided(spare=5)
        asked = objective.Objective(model, data, budget_lib.Budget(macs=0.71))
        self.assertEqual(asked.groups, ("wide", "narrow"))
        self.assertEqual(asked.dense, 1.0)
        trial = asked({"narrow": 0.5, "wide": 0.9})
        self.assertLessEqual(trial.macs, 0.71 * counting.cost(model).macs)
        self.assertEqual(asked([0.9, 0.5]).kept, trial.kept)
        self.assertEqual(asked.evaluated, 2)
        small = asked.model(trial.kept)
        self.assertEqual(counting.cost(small).macs, trial.macs)
        (accuracy,) = evaluation.accuracies([small], data)
        self.assertAlmostEqual(accuracy, trial.accuracy, places=6)

    def test_a_metric_of_1_may_be_rounded_up(self):
        model, data = lopsided()
        above = np.nextafter(np.float32(1), np.float32(2))
        asked = objective.Objective(
            model,
            data,
            reward="flops",
            metric=lambda y, _: np.full(len(y), above),
        )
        self.assertGreater(asked.dense, 1.0)

    @parameterized.parameters(
        ({"wide": 0.5}, "must name each group once. Received: wide"),
        ([0.5], "2 numbers"),
        ([0.5, 1.5], "Received: shares=.0.5, 1.5."),
    )
    def test_bad_shares(self, shares, message):
        model, data = lopsided()
        asked = objective.Objective(model, data, budget_lib.Budget(macs=0.6))
        with self.assertRaisesRegex(ValueError, message):
            asked(shares)
