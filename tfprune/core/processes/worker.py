"""Worker processes that have done their slow imports and answer requests.

TensorFlow takes seconds to import, more than a small model takes to convert. So
one process per script stays for a minute after its last request; see
`child_boot`. It ends with this process, however that ends.
"""

import atexit
import collections
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading

from tfprune.core.processes import child_boot

# Each holds several hundred megabytes; there are three scripts.
_MOST = 4


class Worker:
    """A running process.

    Args:
        command: list of `str`.
        environment: `dict`, its environment.
    """

    def __init__(self, command, environment):
        self._command, self._environment = command, environment
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._pending = {}
        self._ended = False
        self._process = self._failure = None
        self._log = tempfile.TemporaryFile()
        self._last_log = None  # when it has ended
        started = threading.Event()
        # The death signal is sent when the starting *thread* ends, not the
        # process, so a thread that stays must start it.
        self._keeper = threading.Thread(
            target=self._keep, args=(started,), daemon=True, name="tfprune"
        )
        self._keeper.start()
        started.wait()
        if self._process is None:
            self._log.close()
            raise OSError(
                "A child process must start. Received: "
                f"{' '.join(command[:1])}, which did not: {self._failure}. "
                "Look at this program and at the memory that is free."
            ) from self._failure

    @property
    def is_idle(self):
        """Returns whether no request is pending."""
        return not self._pending

    @property
    def is_running(self):
        """Returns whether it accepts requests."""
        return not self._ended

    @property
    def process_id(self):
        """`int`."""
        return self._process.pid

    @property
    def log(self):
        """Returns its output during preparation, `bytes`."""
        if self._last_log is not None:
            return self._last_log
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0)

    def ask(self, **message):
        """Sends a request and waits until it is done.

        Args:
            **message: the `request`; `answer` and `log`, files to write;
                `folder`, its working directory.

        Returns:
            The exit code of the process that answered, negative for a
            signal; `None` if the worker had ended before it took the request.
        """
        number = next(self._numbers)
        pending = _Pending()
        with self._lock:
            if self._ended:
                return None
            self._pending[number] = pending
        try:
            self._send({"number": number, **message})
            pending.over.wait()
        finally:
            with self._lock:
                interrupted = self._pending.pop(number, None) is not None
            if interrupted:
                self._send({"cancel": number})
        if pending.code is not None:
            return pending.code
        code = self._process.returncode
        idle = code == 0 and not pending.taken
        return None if idle else code

    def stop(self):
        """Kills the process now."""
        self._process.kill()
        self._keeper.join()

    def forget(self):
        """In a fork of this process: leaves the worker to the parent."""
        self._ended = True
        if not self._process.stdin.closed:  # As it is after an idle minute.
            os.close(self._process.stdin.fileno())

    def _send(self, message):
        data = json.dumps(message).encode() + b"\n"
        try:
            with self._lock:
                self._process.stdin.write(data)
                self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return  # It has ended, which `_keep` tells whoever waits.

    def _keep(self, started):
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=self._environment,
                # Ctrl-C in a terminal goes to all of its group: this process
                # decides what becomes of its requests.
                process_group=0,
            )
        except OSError as error:  # Told by the thread that waits.
            self._failure = error
            return
        finally:
            started.set()
        for line in self._process.stdout:
            reply = json.loads(line)
            with self._lock:
                pending = self._pending.get(reply["number"])
                if pending is None:
                    continue
                pending.taken = True
                if "code" in reply:
                    pending.code = reply["code"]
                    del self._pending[reply["number"]]
                    pending.over.set()
        self._process.wait()
        log = self.log
        with self._lock:
            self._ended = True
            self._last_log = log
            self._log.close()
            self._process.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            for pending in self._pending.values():
                pending.over.set()
            self._pending.clear()


class _Pending:
    """A request that is not answered yet."""

    def __init__(self):
        self.over = threading.Event()
        self.taken = False
        self.code = None


class Workers:
    """The workers of this process, one for each script."""

    def __init__(self):
        self._lock = threading.Lock()
        self._running = collections.OrderedDict()

    def get(self, script):
        """The running worker of a script, started if there is none.

        Args:
            script: `str`, the Python file.
        """
        # On a GPU the child would compete for the parent's memory; and
        # TensorFlow imports in half the time if it does not look for Keras 3.
        environment = {
            **os.environ,
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "TF_USE_LEGACY_KERAS": "1",
            # glibc: keep freed memory instead of asking for it again.
            "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
        }
        # The test that is running, by its name: a child of the test before
        # would do as well.
        environment.pop("PYTEST_CURRENT_TEST", None)
        command = [
            sys.executable,
            *("-P", "-X", "faulthandler"),
            child_boot.__file__,
            json.dumps(sys.path),
            script,
            str(os.getpid()),
        ]
        with self._lock:
            known, worker = self._running.pop(script, (None, None))
            made_of = command, environment
            if worker is None or not worker.is_running or known != made_of:
                if worker is not None and worker.is_idle:
                    worker.stop()
                worker = Worker(command, environment)
            self._running[script] = made_of, worker
            self._stop_some()
            return worker

    def _stop_some(self):
        for script, (_, worker) in list(self._running.items())[:-_MOST]:
            if worker.is_idle:
                worker.stop()
                del self._running[script]

    def stop(self):
        """Ends all of them."""
        with self._lock:
            for _, worker in self._running.values():
                worker.stop()
            self._running.clear()

    def forget(self):
        """In a fork of this process: leaves them to the parent."""
        self._lock = threading.Lock()
        inherited = list(self._running.values())
        self._running = collections.OrderedDict()
        for _, worker in inherited:
            worker.forget()
        # Garbage-collecting a `Popen` here would wait for a child that belongs
        # to the parent.
        self._inherited = inherited


workers = Workers()
atexit.register(workers.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=workers.forget)
