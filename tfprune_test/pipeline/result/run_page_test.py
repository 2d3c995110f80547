import types

import keras
import numpy as np
from absl.testing import absltest

from tfprune.datasets import outputs as outputs_lib
from tfprune.pipeline.request import sources
from tfprune.pipeline.result import run_page

BEFORE = {"accuracy, float32": 0.9, "MACs": 4000, "int8 flash, measured": 3000}
AFTER = {"accuracy, float32": 0.8, "MACs": 1000, "int8 flash, measured": 900}


def point(macs, value, file_value=None, seconds=()):
    return types.SimpleNamespace(
        numbers={"MACs": macs},
        curve=curve(*seconds),
        kept={"conv": [macs // 500, 8]},
        values={"accuracy": value},
        file_values={} if file_value is None else {"accuracy": file_value},
    )


def curve(*seconds):
    return [{"epoch": i, "seconds": s} for i, s in enumerate(seconds, start=1)]


def result(**changes):
    facts = {
        "before": BEFORE,
        "after": AFTER,
        "monitor": "accuracy",
        "larger": True,
        "points": (),
        "curve": [],
        "kept": {"conv": [2, 8]},
        "limits_of_numbers": lambda: {"int8 flash, measured": 1000},
    }
    return types.SimpleNamespace(**facts | changes)


class RunPageTest(absltest.TestCase):
    def test_quantities(self):
        found = {q.name: q for q in run_page.quantities(result())}
        flash = found["int8 flash, measured"]
        self.assertEqual((flash.before, flash.after), (3000, 900))
        self.assertEqual((flash.unit, flash.limit), ("bytes", 1000))
        accuracy = found["accuracy, float32"]
        self.assertEqual((accuracy.unit, accuracy.limit), ("%", None))
        self.assertTrue(accuracy.larger_is_better)
        self.assertFalse(found["MACs"].larger_is_better)

    def test_an_error_is_better_when_it_is_smaller(self):
        found = result(
            before={"mae, float32": 3.0},
            after={"mae, float32": 2.0},
            monitor="mae",
            larger=False,
        )
        (error,) = run_page.quantities(found)
        self.assertEqual((error.unit, error.larger_is_better), ("", False))

    def test_names_are_those_of_the_first_outputs_classes(self):
        inputs = keras.Input((3,))
        outputs = [
            keras.layers.Dense(units, name=f"of_{units}")(inputs)
            for units in (2, 4)
        ]
        model = keras.Model(inputs, outputs)
        model.compile(loss=["sparse_categorical_crossentropy"] * 2)
        y = np.arange(6) % 2
        weights = np.ones(6)
        weights[0] = 0  # as padding has
        data = (np.eye(6, 3, dtype="float32"), [y, y], [weights, weights])
        job = types.SimpleNamespace(
            model=model,
            task=types.SimpleNamespace(
                is_function=False,
                loss=model.loss,
                outputs=outputs_lib.of(model),
            ),
            validation=sources.Source(data, "validation", model),
        )
        found = types.SimpleNamespace(model=model)
        first, second = run_page.outcomes(found, job, ["no", "yes"])
        self.assertEqual(first.labels, ("no", "yes"))
        self.assertEqual(second.labels, ("0", "1", "2", "3"))
        self.assertEqual((first.before.sum(), second.before.sum()), (5, 5))

    def test_the_frontier_is_judged_by_files(self):
        found = run_page.frontier(
            result(points=(point(2000, 0.9, 0.85), point(1000, 0.8)))
        )
        self.assertEqual([p.value for p in found.points], [0.85, 0.8])
        self.assertEqual([p.chosen for p in found.points], [False, True])
        self.assertIsNone(run_page.frontier(result()))

    def test_the_result_is_one_point_of_those_that_cost_the_same(self):
        points = (point(1000, 0.9, None, [2.0]), point(1000, 0.8, None, [3.0]))
        for i, each in enumerate(points):
            found = run_page.frontier(result(points=points, curve=each.curve))
            chosen = [p.chosen for p in found.points]
            self.assertEqual(chosen, [i == 0, i == 1])

    def test_stages_are_the_metrics_of_training(self):
        curve = [
            {"epoch": 1, "seconds": 2.0, "loss": 0.5, "val_loss": 0.6},
            {"epoch": 2, "seconds": 2.0, "loss": 0.3, "val_loss": 0.4},
        ]
        (stage,) = run_page.stages(result(curve=curve))
        self.assertEqual(
            stage.history, {"loss": [0.5, 0.3], "val_loss": [0.6, 0.4]}
        )
        self.assertEqual(run_page.stages(result()), ())

    def test_nested_settings(self):
        given = {"seed": 0, "board": None, "recipe": {"batch_size": 64}}
        given["versions"] = {"keras": "3"}
        flat = {"seed": 0, "recipe batch size": 64}
        found = result(settings=given, interrupted=False)
        self.assertEqual(run_page.settings(found), flat)
        found = result(settings=given, interrupted=True)
        stop = {"stopped early": "by Ctrl-C"}
        self.assertEqual(run_page.settings(found), stop | flat)


if __name__ == "__main__":
    absltest.main()
