"""Runs a script in a child process, so that its crashes become errors."""

import dataclasses
import json
import os
import pathlib
import signal

from tfprune.core.files import leftovers
from tfprune.core.processes import worker

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
    def ending(self):
        """The tail as one line, without repetitions."""
        return "; ".join(dict.fromkeys(self.tail.splitlines()))

    @property
    def tail(self):
        """The last lines of the log."""
        lines = [
            line
            for line in self.log.splitlines()
            if line and not line.startswith("Extension modules:")
        ]
        return "\n".join(lines[-_TAIL:])


class Child:
    """A Python process that prepares itself, then handles requests.

    The script defines `prepare()`, which does slow imports while the parent
    is still working, and `handle(request)`. It does not import tfprune. The
    process stays for a minute after its last request, ready for the next
    `Child` of that script; each request runs in its own fork.

    Args:
        script: path-like, the Python file.

    Example:

    >>> with child.Child(script) as process:
    ...     request = {"path": slow_work()}
    ...     answer = process.ask(request)
    """

    def __init__(self, script):
        self.script = str(script)

    def __enter__(self):
        worker.workers.get(self.script)
        return self

    def __exit__(self, *_):
        pass

    def ask(self, request):
        """Sends a request and waits for the answer.

        Args:
            request: Anything that `json` can serialize.

        Returns:
            An `Answer`.
        """
        with leftovers.folder() as folder:
            path = pathlib.Path(folder, "answer.json")
            log = pathlib.Path(folder, "log")
            code = None
            while code is None:
                process = worker.workers.get(self.script)
                code = process.ask(
                    request=request,
                    answer=str(path),
                    log=str(log),
                    folder=os.getcwd(),
                )
            text = process.log + (log.read_bytes() if log.exists() else b"")
            whole = code == 0 and path.exists()
            reply = json.loads(path.read_text()) if whole else {}
        return Answer(
            result=reply.get("result"),
            error=reply.get("error", None if reply else _death(code)),
            crashed=not reply,
            log=text.decode(errors="replace"),
        )


def _death(code):
    if code < 0:
        return f"died of {signal.Signals(-code).name}"
    return f"ended with exit status {code}"
