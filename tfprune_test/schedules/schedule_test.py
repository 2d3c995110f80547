import dataclasses
import importlib.util
import json
import math
import pathlib
import subprocess
import sys

import pytest
from absl.testing import parameterized

from tfprune.core import records
from tfprune.schedules import schedule as schedule_lib

RAMPS = (
    schedule_lib.Polynomial(0.1, 0.8, begin=20, end=100, frequency=7),
    schedule_lib.Cosine(0.1, 0.8, begin=20, end=100, frequency=7),
    schedule_lib.Exponential(0.1, 0.8, begin=20, end=100, frequency=7),
)
ALL = RAMPS + (
    schedule_lib.Constant(0.5, begin=3, frequency=5),
    schedule_lib.Constant(0.5, begin=3, end=30, frequency=5),
    schedule_lib.OneShot(0.5, begin=3),
    schedule_lib.Iterative(0.5, rounds=4, begin=3, frequency=5),
)


class TfmotLike:
    """Answers as tfmot's schedules do, with its test for divisibility."""

    def __init__(self, begin, end, frequency):
        self.begin_step = begin
        self.end_step = end
        self.frequency = frequency

    def __call__(self, step):
        inside = self.begin_step <= step
        inside = inside and (self.end_step < 0 or step <= self.end_step)
        due = inside and (step - self.begin_step) % self.frequency == 0
        return due, min(step, 100) / 200


class ScheduleTest(parameterized.TestCase):
    def test_polynomial_is_the_cubic_of_gradual_pruning(self):
        ramp = schedule_lib.Polynomial(0.0, 0.8, begin=100, end=500)
        self.assertAlmostEqual(ramp(300), 0.70)
        self.assertAlmostEqual(ramp(200), 0.4625)

    @parameterized.parameters(0, -1, float("nan"), float("inf"))
    def test_a_power_that_does_not_lead_to_the_end(self, power):
        with self.assertRaisesRegex(ValueError, f"power={power}"):
            schedule_lib.Polynomial(0.0, 0.5, 0, 10, power=power)

    def test_polynomial_of_power_one_is_a_line(self):
        line = schedule_lib.Polynomial(0.2, 0.6, begin=0, end=4, power=1)
        values = [line(step) for step in range(5)]
        for value, expected in zip(values, (0.2, 0.3, 0.4, 0.5, 0.6)):
            self.assertAlmostEqual(value, expected)

    def test_cosine_is_half_way_at_half_time(self):
        ramp = schedule_lib.Cosine(0.0, 0.8, begin=0, end=8)
        self.assertAlmostEqual(ramp(4), 0.4)
        self.assertAlmostEqual(ramp(2), 0.4 - 0.4 / math.sqrt(2))

    def test_exponential_divides_the_density_evenly(self):
        ramp = schedule_lib.Exponential(0.0, 0.75, begin=0, end=2)
        self.assertAlmostEqual(ramp(1), 0.5)
        full = schedule_lib.Exponential(1.0, 1.0, begin=0, end=2)
        self.assertEqual(full(1), 1.0)
        dense = schedule_lib.Exponential(1.0, 0.5, begin=0, end=2)
        self.assertEqual(
            [dense(step) for step in (0, 1, 2, 3)], [1, 1, 0.5, 0.5]
        )

    def test_iterative_rounds_take_the_same_share_of_the_rest(self):
        rounds = schedule_lib.Iterative(
            1 - 0.8**3, rounds=3, begin=10, frequency=20
        )
        values = [rounds(step) for step in (9, 10, 29, 30, 50, 999)]
        expected = (0, 0.2, 0.2, 0.36, 0.488, 0.488)
        for value, wanted in zip(values, expected):
            self.assertAlmostEqual(value, wanted)
        due = [s for s in range(100) if rounds.due(s, s - 1)]
        self.assertEqual(due, [10, 30, 50])

    @parameterized.parameters(*RAMPS)
    def test_ramps_run_from_initial_to_final(self, ramp):
        self.assertEqual(ramp(19), 0.0)
        self.assertAlmostEqual(ramp(20), 0.1)
        self.assertAlmostEqual(ramp(100), 0.8)
        self.assertAlmostEqual(ramp(10**6), 0.8)
        values = [ramp(step) for step in range(20, 101)]
        self.assertEqual(values, sorted(values))

    def test_a_ramp_may_end_where_it_begins(self):
        ramp = schedule_lib.Polynomial(0.1, 0.8, begin=5, end=5)
        self.assertEqual((ramp(4), ramp(5)), (0.0, 0.8))
        self.assertEqual([s for s in range(9) if ramp.due(s, s - 1)], [5])

    def test_one_shot_prunes_once(self):
        once = schedule_lib.OneShot(0.5, begin=3)
        self.assertEqual([once(s) for s in (2, 3, 9)], [0.0, 0.5, 0.5])
        self.assertEqual([s for s in range(9) if once.due(s, s - 1)], [3])

    @parameterized.product(schedule=ALL, stride=(1, 2, 3, 32, 1000))
    def test_skipped_steps_lose_no_update(self, schedule, stride):
        last = None
        seen = 0
        for step in range(0, 200, stride):
            was_due = any(
                schedule.due(s, s - 1 if s else None)
                for s in range(0 if last is None else last + 1, step + 1)
            )
            self.assertEqual(schedule.due(step, last), was_due)
            seen += was_due
            last = step
        if stride < 200:
            self.assertGreater(seen, 0)

    @parameterized.parameters(*ALL)
    def test_next_due_is_the_next_step_that_is_due(self, schedule):
        for step in range(120):
            later = (s for s in range(step + 1, 200) if schedule.due(s, s - 1))
            self.assertEqual(schedule.next_due(step), next(later, None))

    def test_epochs_become_steps(self):
        ramp = schedule_lib.Polynomial(
            0.0, 0.8, begin="1 epoch", end="2.5 epochs", frequency=10
        )
        self.assertFalse(ramp.is_resolved)
        resolved = ramp.resolved(40)
        self.assertEqual(resolved, dataclasses.replace(ramp, begin=40, end=100))
        rounds = schedule_lib.Iterative(0.5, rounds=3).resolved(40)
        self.assertEqual((rounds.frequency, rounds.end), (40, 80))

    def test_rounds_are_counted(self):
        with self.assertRaisesRegex(ValueError, "rounds=0"):
            schedule_lib.Iterative(0.5, rounds=0)

    @parameterized.parameters(*ALL)
    def test_config_round_trip(self, schedule):
        spec = records.serialize(schedule, schedule_lib.SCHEDULES)
        self.assertEqual(schedule_lib.get(spec), schedule)

    def test_get_takes_a_fraction_and_refuses_nonsense(self):
        self.assertEqual(schedule_lib.get(0.5), schedule_lib.Constant(0.5))
        with self.assertRaisesRegex(ValueError, "None"):
            schedule_lib.get(None)
        with self.assertRaisesRegex(ValueError, "returns 0.5 for step 0"):
            schedule_lib.get(lambda step: 0.5)

    @parameterized.parameters((4, 20, 5), (4, -1, 5), (0, 21, 5))
    def test_a_foreign_schedule_is_due_where_it_says(self, begin, end, every):
        foreign = TfmotLike(begin, end, every)
        schedule = schedule_lib.get(foreign)
        due = [s for s in range(40) if schedule.due(s, s - 1)]
        expected = [s for s in range(40) if foreign(s)[0] or s == end]
        self.assertEqual(due, expected)
        self.assertEqual(schedule(20), 0.1)
        self.assertTrue(schedule.due(32, 0))

    def test_a_bare_foreign_function_is_asked_for_every_step(self):
        schedule = schedule_lib.get(lambda step: (step == 7, step / 100))
        self.assertFalse(schedule.due(6, 0))
        self.assertTrue(schedule.due(9, 6))
        self.assertFalse(schedule.due(9, 7))
        self.assertEqual(schedule(7), 0.07)

    @parameterized.parameters(
        ("PolynomialDecay", (0.1, 0.8, 20, 101), dict(frequency=10)),
        ("PolynomialDecay", (0.0, 0.8, 0, 90), dict(power=2, frequency=7)),
        ("ConstantSparsity", (0.5, 15), dict(frequency=10)),
        ("ConstantSparsity", (0.5, 15, 60), dict(frequency=10)),
    )
    @pytest.mark.slow  # Imports TensorFlow, in a process of its own.
    def test_schedules_of_tfmot_are_taken_as_they_are(self, name, args, kwargs):
        if not importlib.util.find_spec("tensorflow_model_optimization"):
            self.skipTest("tensorflow_model_optimization is not installed")
        script = f"""
import json
import tensorflow_model_optimization as tfmot
from tfprune.schedules import schedule
theirs = tfmot.sparsity.keras.{name}(*{args}, **{kwargs})
ours = schedule.get(theirs)
rows = []
for step in range(130):
    due, sparsity = theirs(step)
    rows.append([bool(due), ours.due(step, step - 1 if step else None),
                 float(sparsity), ours(step)])
print("REPORT" + json.dumps([rows, ours.begin, ours.end]))
"""
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=pathlib.Path(__file__).resolve().parents[2],
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertIn("REPORT", done.stdout, done.stderr)
        rows, begin, end = json.loads(done.stdout.split("REPORT")[1])
        for step, (theirs, ours, sparsity, found) in enumerate(rows):
            self.assertEqual(ours, theirs or step == end, step)
            if step >= begin:
                self.assertAlmostEqual(found, sparsity, places=6)
