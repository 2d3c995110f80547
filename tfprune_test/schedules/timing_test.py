import dataclasses
import fractions

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.schedules import schedule as schedule_lib
from tfprune.schedules import timing


@dataclasses.dataclass(frozen=True)
class Line(timing.Schedule):
    """Rises in a line from 0 to `final`."""

    final: float
    begin: object = 0
    end: object = None
    frequency: object = 1

    def at(self, progress):
        return self.final * progress


class TimingTest(parameterized.TestCase):
    @parameterized.parameters(
        (schedule_lib.Constant(0.5, begin=3, frequency=5), [3, 8, 13, 18]),
        (schedule_lib.Constant(0.5, 3, 13, frequency=5), [3, 8, 13]),
        (schedule_lib.Constant(0.5, 3, 15, frequency=5), [3, 8, 13, 15]),
    )
    def test_updates_fall_due_on_the_grid_and_at_the_end(self, s, expected):
        due = [step for step in range(20) if s.due(step, step - 1)]
        self.assertEqual(due, expected)

    def test_a_first_look_late_in_training_is_due(self):
        once = schedule_lib.OneShot(0.5, begin=3)
        self.assertTrue(once.due(1000))
        self.assertFalse(once.due(1000, last=3))

    def test_an_unresolved_schedule_says_what_it_needs(self):
        once = schedule_lib.OneShot(0.5, begin="2 epochs")
        with self.assertRaisesRegex(ValueError, "resolved"):
            once(3)
        with self.assertRaisesRegex(ValueError, "steps_per_epoch=None"):
            once.resolved(None)

    @parameterized.parameters(
        (dict(sparsity=1.5), "sparsity=1.5"),
        (dict(sparsity="half"), "sparsity='half'"),
        (dict(sparsity=0.5, begin=-1), "begin=-1"),
        (dict(sparsity=0.5, begin=2.5), "begin=2.5"),
        (dict(sparsity=0.5, begin="2 weeks"), "begin='2 weeks'"),
        (dict(sparsity=0.5, begin=9, end=8), "begin=9, end=8"),
        (
            dict(sparsity=0.5, begin="10 epochs", end="2.5 epochs"),
            "begin='10 epochs', end='2.5 epochs'",
        ),
        (dict(sparsity=0.5, frequency=0), "frequency=0"),
        (dict(sparsity=0.5, frequency=True), "frequency=True"),
    )
    def test_errors_name_what_was_received(self, arguments, message):
        with self.assertRaisesRegex(ValueError, f"Received: .*{message}"):
            schedule_lib.Constant(**arguments)

    def test_order_is_checked_once_epochs_are_known(self):
        late = schedule_lib.Constant(0.5, begin="2 epochs", end=8)
        with self.assertRaisesRegex(ValueError, "begin=20, end=8"):
            late.resolved(10)

    def test_progress_runs_from_begin_to_end(self):
        line = Line(0.8, begin=10, end=50, frequency=7)
        self.assertEqual(
            [line(step) for step in (0, 9, 10, 30, 50, 51, 999)],
            [0.0, 0.0, 0.0, 0.4, 0.8, 0.8, 0.8],
        )
        self.assertEqual(line.highest(), 0.8)

    def test_what_never_ends_stays_at_its_start(self):
        line = Line(0.8, begin=10)
        self.assertEqual((line(10), line(999)), (0.0, 0.0))

    def test_the_highest_may_be_the_first(self):
        class Falling(Line):
            def at(self, progress):
                return self.final * (1 - progress)

        self.assertEqual(Falling(0.75, begin=3, end=9).highest(), 0.75)

    @parameterized.product(
        begin=(0, 3), end=(None, 3, 4, 17, 18), frequency=(1, 5, 30)
    )
    def test_due_is_a_step_of_the_grid_since_the_last_look(
        self, begin, end, frequency
    ):
        line = Line(0.5, begin, end, frequency)
        last_step = 40 if end is None else end
        steps = set(range(begin, last_step + 1, frequency))
        steps |= set() if end is None else {end}
        for step in range(35):
            later = [s for s in sorted(steps) if s > step]
            expected = later[0] if later else None
            if end is not None or expected is not None:
                self.assertEqual(line.next_due(step), expected)
            self.assertEqual(line.due(step), min(steps) <= step)
            for last in range(step + 1):
                fell_due = any(last < s <= step for s in steps)
                self.assertEqual(line.due(step, last), fell_due)

    def test_each_duration_may_be_in_epochs(self):
        line = Line(0.5, " 0.5 epochs ", "2epochs", "1 epoch")
        self.assertFalse(line.is_resolved)
        self.assertEqual(line.resolved(10), Line(0.5, 5, 20, 10))
        # Gradient accumulation: 7 batches, 2 for each step.
        self.assertEqual(line.resolved(3.5), Line(0.5, 2, 7, 4))
        resolved = Line(0.5, 5, 20, 10)
        self.assertIs(resolved.resolved(None), resolved)

    @parameterized.parameters(0, None, 0.5)
    def test_an_epoch_has_at_least_a_step(self, steps):
        with self.assertRaisesRegex(ValueError, f"steps_per_epoch={steps}. "):
            Line(0.5, "1 epoch").resolved(steps)

    def test_an_epoch_that_rounds_to_no_step_is_no_frequency(self):
        line = Line(0.5, frequency="0.1 epochs")
        with self.assertRaisesRegex(ValueError, "Received: frequency=0"):
            line.resolved(4)

    @parameterized.parameters("due", "next_due", "__call__")
    def test_a_schedule_in_epochs_is_not_asked(self, question):
        line = Line(0.5, "1 epoch")
        with self.assertRaisesRegex(ValueError, "Received: Line.*Call"):
            getattr(line, question)(3)

    def test_numbers_of_numpy_become_plain_ones(self):
        line = Line(0.5, np.int64(3), np.int32(9), np.uint8(2))
        self.assertEqual(line, Line(0.5, 3, 9, 2))
        self.assertIs(type(line.begin), int)
        self.assertIs(type(line.end), int)

    @parameterized.parameters("epochs", "-1 epochs", "1e2 epochs", "1 step")
    def test_a_text_that_is_no_number_of_epochs(self, text):
        for name in ("begin", "end", "frequency"):
            with self.assertRaisesRegex(ValueError, f"{name}='{text}'"):
                Line(0.5, **{name: text})


class SparsityTest(parameterized.TestCase):
    @parameterized.parameters(
        (0, 0.0),
        (1, 1.0),
        (np.float32(0.5), 0.5),
        (fractions.Fraction(1, 4), 0.25),
    )
    def test_it_becomes_a_float(self, value, expected):
        found = schedule_lib.Constant(value).sparsity
        self.assertIs(type(found), float)
        self.assertEqual(found, expected)

    @parameterized.parameters(-0.01, 1.01, float("nan"), None, "0.5")
    def test_one_out_of_range(self, value):
        for name in ("initial", "final"):
            given = {"initial": 0.0, "final": 0.5, "end": 9, name: value}
            with self.assertRaisesRegex(ValueError, f"`{name}`.*{name}="):
                schedule_lib.Polynomial(begin=0, **given)


if __name__ == "__main__":
    absltest.main()
