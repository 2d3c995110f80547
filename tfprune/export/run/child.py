"""A script in a process of its own, so that its crashes become errors."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from tfprune.core import leftovers
from tfprune.export.run import child_boot

# The last lines of a log that an error quotes.
_TAIL = 25


@dataclasses.dataclass(frozen=True)
class Answer:
    """How a child ended.

    Attributes:
        result: What the script's `handle` returned; `None` if it did not.
        error: `str`, the message of the exception it raised, or how it died
            ("SIGSEGV"); `None` if it returned.
        crashed: `bool`, whether the process died instead of raising.
        log: `str`, what it wrote to stdout and stderr, C code included.
    """

    result: object
    error: str | None
    crashed: bool
    log: str

    @property
    def tail(self):
        """The last lines of the log, as an error quotes them."""
        lines = [
            line
            for line in self.log.splitlines()
            if line and not line.startswith("Extension modules:")
        ]
        return "\n".join(lines[-_TAIL:])


class Child:
    """A Python process that prepares itself, then handles one request.

    The script defines `prepare()`, which imports what takes long while the
    parent still works, and `handle(request)`. It does not import tfprune.

    Args:
        script: path-like, the Python file.

    Example:

    >>> with child.Child(script) as process:
    ...     request = {"path": slow_work()}
    ...     answer = process.ask(request)
    """

    def __init__(self, script):
        self.script = script

    def __enter__(self):
        self._log = tempfile.TemporaryFile()
        # On a GPU the child would want the memory that the parent holds; and
        # TensorFlow imports in half the time if it looks for no Keras 3.
        environment = {
            **os.environ,
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "TF_USE_LEGACY_KERAS": "1",
        }
        self._process = subprocess.Popen(
            [
                sys.executable,
                *("-P", "-X", "faulthandler"),
                child_boot.__file__,
                json.dumps(sys.path),
                str(self.script),
            ],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.stdin.close()
        self._process.wait()
        self._log.close()

    def ask(self, request):
        """Sends the request and waits until the process has ended.

        Args:
            request: What `json` can write.

        Returns:
            An `Answer`.
        """
        with leftovers.folder() as folder:
            path = pathlib.Path(folder, "answer.json")
            text = json.dumps({"answer": str(path), "request": request})
            self._process.communicate(text.encode())
            reply = json.loads(path.read_text()) if path.exists() else {}
        self._log.seek(0)
        return Answer(
            result=reply.get("result"),
            error=reply.get("error", None if reply else self._death()),
            crashed=not reply,
            log=self._log.read().decode(errors="replace"),
        )

    def _death(self):
        code = self._process.returncode
        if code < 0:
            return f"died of {signal.Signals(-code).name}"
        return f"ended with exit status {code}"
