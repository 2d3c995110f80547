"""The remaining time of a run, and graceful handling of Ctrl-C."""

import contextlib
import signal
import threading
import time


class Clock:
    """Counts the time of a run, including the time before it was resumed.

    Args:
        minutes: `float`, total time; `None` for no limit.
        spent: `float`, seconds already spent.

    Attributes:
        reserve: `float`, seconds reserved for the end of the run.
    """

    def __init__(self, minutes=None, spent=0.0):
        self.limit = None if minutes is None else 60.0 * minutes
        self.reserve = 0.0
        self.stopped = False
        self._began = time.monotonic() - spent

    @property
    def spent(self):
        """`float`, seconds."""
        return time.monotonic() - self._began

    def resume(self, spent):
        """Counts at least as many seconds as were spent before a kill."""
        self._began = min(self._began, time.monotonic() - spent)

    @property
    def left(self):
        """`float`, seconds left before the run must finish up."""
        if self.stopped:
            return 0.0
        if self.limit is None:
            return float("inf")
        return max(0.0, self.limit - self.reserve - self.spent)

    @property
    def over(self):
        """`bool`, whether no new work may start."""
        return self.left <= 0

    @contextlib.contextmanager
    def stopped_by_ctrl_c(self):
        """The first Ctrl-C stops the clock, the second one the program."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number, frame):
            self.stopped = True
            signal.signal(signal.SIGINT, before)

        before = signal.getsignal(signal.SIGINT)
        if before is None:  # not set by Python, which cannot put it back
            before = signal.default_int_handler
        signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
