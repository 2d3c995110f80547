import os
import signal
import threading
from unittest import mock

from absl.testing import absltest

from tfprune.pipeline import clock as clock_lib


class ClockTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.now = 1000.0
        self.enter_context(
            mock.patch.object(clock_lib.time, "monotonic", lambda: self.now)
        )

    def test_what_was_spent_before_counts(self):
        clock = clock_lib.Clock(minutes=2, spent=30)
        self.now += 10
        self.assertEqual(clock.spent, 40)
        self.assertEqual(clock.left, 80)
        self.assertFalse(clock.over)

    def test_time_before_a_kill_counts_once(self):
        clock = clock_lib.Clock(minutes=2, spent=30)
        self.now += 10
        clock.resume(100)
        self.assertEqual(clock.spent, 100)
        clock.resume(50)
        self.now += 5
        self.assertEqual(clock.spent, 105)

    def test_the_end_of_the_run_has_its_time(self):
        clock = clock_lib.Clock(minutes=2)
        clock.reserve = 50
        self.assertEqual(clock.left, 70)
        self.now += 70
        self.assertTrue(clock.over)
        self.now += 70
        self.assertEqual(clock.left, 0)

    def test_without_a_limit_there_is_always_time(self):
        clock = clock_lib.Clock()
        self.now += 1e9
        self.assertEqual(clock.left, float("inf"))
        self.assertFalse(clock.over)

    def test_one_that_is_stopped_is_over(self):
        clock = clock_lib.Clock()
        clock.stopped = True
        self.assertTrue(clock.over)
        self.assertEqual(clock.left, 0)

    def test_no_minutes_are_over_at_once(self):
        self.assertTrue(clock_lib.Clock(minutes=0).over)


class CtrlCTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)

    def test_the_first_one_stops_the_clock_the_second_one_the_program(self):
        before = signal.getsignal(signal.SIGINT)
        clock = clock_lib.Clock()
        with self.assertRaises(KeyboardInterrupt):
            with clock.stopped_by_ctrl_c():
                os.kill(os.getpid(), signal.SIGINT)
                self.assertTrue(clock.stopped)
                os.kill(os.getpid(), signal.SIGINT)
                self.fail("The program goes on.")
        self.assertIs(signal.getsignal(signal.SIGINT), before)

    def test_afterwards_all_is_as_it_was(self):
        before = signal.getsignal(signal.SIGINT)
        clock = clock_lib.Clock()
        with clock.stopped_by_ctrl_c():
            self.assertIsNot(signal.getsignal(signal.SIGINT), before)
        self.assertIs(signal.getsignal(signal.SIGINT), before)
        self.assertFalse(clock.stopped)

    def test_other_threads_leave_it_alone(self):
        before, found = signal.getsignal(signal.SIGINT), []

        def work():
            with clock_lib.Clock().stopped_by_ctrl_c():
                found.append(signal.getsignal(signal.SIGINT))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.assertEqual(found, [before])


if __name__ == "__main__":
    absltest.main()
