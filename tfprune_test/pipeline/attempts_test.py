"""Which trials a run makes, and what it remembers of them."""

import pathlib
from unittest import mock

import keras
import numpy as np
from absl.testing import absltest

from tfprune.pipeline import attempts
from tfprune.pipeline import job as job_lib
from tfprune.pipeline.result import workspace
from tfprune_test.pipeline import small_tasks


class Clock:
    """A clock that is set by hand."""

    def __init__(self, left=float("inf")):
        self.left, self.spent = left, 0.0

    @property
    def over(self):
        return self.left <= 0


class Job:
    """What a plan reads of a job."""

    def __init__(self, epochs=None, left=float("inf"), max_loss=None, points=1):
        self.epochs, self.max_loss = epochs, max_loss
        self.points = points
        self.clock, self.workspace = Clock(left), {}


def names(plan, seconds=10.0, clock=None):
    found = []
    while (attempt := plan.next()) is not None:
        found.append(attempt.name)
        plan.took(seconds)
        if clock is not None:
            clock.left -= seconds
    return found


class PlanTest(absltest.TestCase):
    def test_a_number_of_trials_each_with_its_seed(self):
        plan = attempts.Plan(Job(epochs=3), 7, 3)
        found = [plan.next() for _ in range(4)]
        self.assertEqual([a and a.seed for a in found], [7, 8, 9, None])
        self.assertEqual([a and a.name for a in found], ["1", "2", "3", None])
        self.assertFalse(any(a.quick for a in found[:3]))

    def test_with_a_limit_on_time_a_quick_one_comes_first(self):
        job = Job(left=40.0)
        plan = attempts.Plan(job, 0, None)
        # The last one starts as half of a trial's time is left.
        found = names(plan, 10.0, job.clock)
        self.assertEqual(found, ["early", "1", "2", "3"])
        job = Job(left=36.0)
        plan = attempts.Plan(job, 0, None)
        self.assertEqual(names(plan, 10.0, job.clock), found)
        job = Job(left=34.0)
        plan = attempts.Plan(job, 0, None)
        self.assertEqual(names(plan, 10.0, job.clock), found[:-1])

    def test_a_run_that_stops_at_its_first_answer_makes_no_other(self):
        job = Job(left=10.0)
        plan = attempts.Plan(job, 0, None)
        self.assertEqual(names(plan, 10.0, job.clock), ["early"])
        # A frontier needs more than the first answer.
        job = Job(left=10.0, points=3)
        plan = attempts.Plan(job, 0, None)
        self.assertEqual(names(plan, 10.0, job.clock), ["early", "1"])

    def test_trials_of_before_a_kill_count_once_the_time_is_over(self):
        job = Job(left=0.0)
        job.workspace = {f"answers of trial {n}": [] for n in ("early", 1, 2)}
        self.assertEqual(
            names(attempts.Plan(job, 0, None)), ["early", "1", "2"]
        )
        self.assertEqual(names(attempts.Plan(job, 0, 1)), ["early", "1"])

    def test_a_limit_on_time_may_have_a_number_of_trials(self):
        plan = attempts.Plan(Job(), 0, 2)
        self.assertEqual(names(plan), ["early", "1", "2"])

    def test_a_stopped_run_makes_one_trial(self):
        job = Job(epochs=3, left=0.0)
        self.assertEqual(names(attempts.Plan(job, 0, 4)), ["1"])

    def test_the_search_by_loss_has_no_quick_trial(self):
        plan = attempts.Plan(Job(max_loss=0.1), 0, 1)
        self.assertEqual(names(plan), ["1"])


class InTurnTest(absltest.TestCase):
    def test_the_time_of_a_trial_before_a_kill_counts(self):
        folder = pathlib.Path(self.create_tempdir().full_path)

        def run(spent, seconds):
            """What a plan of two trials is told, which take so long now."""
            job, told = Job(epochs=1), []
            job.workspace = workspace.Workspace(folder / "out", {})
            job.clock.spent = max(spent, job.workspace.spent)
            plan = attempts.Plan(job, 0, 2)

            def made(job, attempt):
                taken = seconds.pop(0)
                if taken is None:
                    raise KeyboardInterrupt
                job.clock.spent += taken
                job.workspace.put("a level", {}, job.clock.spent)
                return []

            with (
                mock.patch.object(attempts, "made", made),
                mock.patch.object(plan, "took", told.append),
            ):
                try:
                    attempts.in_turn(job, plan)
                except KeyboardInterrupt:
                    job.workspace._lock.release()
            return told

        self.assertEqual(run(0.0, [10.0, None]), [10.0])
        # The clock knows of 6 seconds of the second one; levels are replayed.
        self.assertEqual(run(16.0, [0.0, 3.0]), [10.0, 9.0])


class RecordTest(absltest.TestCase):
    def test_answers_come_back_with_their_networks(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        job = Job()
        job.workspace = workspace.Workspace(folder / "out", {})
        job.model = small_tasks.classifier(small_tasks.blobs(48, 0), 1)
        attempt = attempts.Attempt("2", 1)
        self.assertIsNone(attempts.recalled(job, attempt))
        answer = job_lib.Answer(
            "2/1", {"MACs": 5}, {"accuracy": 0.5}, {}, {}, [], {}, job.model
        )
        keras.saving.save_model(job.model, job.workspace.path("2/1.keras"))
        attempts.record(job, attempt, [answer.facts()])
        (found,) = attempts.recalled(job, attempt)
        self.assertEqual(found.facts(), answer.facts())
        x = np.ones((1, 2), "float32")
        np.testing.assert_array_equal(found.model(x), job.model(x))
        self.assertIsNone(attempts.recalled(job, attempts.Attempt("1", 0)))


if __name__ == "__main__":
    absltest.main()
