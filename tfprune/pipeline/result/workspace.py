"""The working folder of a run: a journal of steps, and the finished result.

During a run, all files are in `NAME.part` next to the requested folder `NAME`.
At the end, the complete result is renamed to `NAME`. `NAME` is therefore either
complete or absent, and a run that was killed resumes from its journal.
"""

import io
import json
import os
import shutil

import numpy as np

from tfprune.core.files import atomic
from tfprune.core.files import damage
from tfprune.core.files import locks
from tfprune.graph import values

RESULT = "result.json"
JOURNAL = "journal.json"
_FINAL = "final"
_LOCK = "lock"
# Arguments that settings know by other names.
_NAMES = {"by_time": "minutes", "larger": "mode"}


class Workspace:
    """The steps of a run, stored on disk.

    Args:
        out: `str` or path-like, the folder of the result.
        settings: `dict` of plain data on which all results depend.

    Attributes:
        out: `pathlib.Path`, the folder of the result.
        part: `pathlib.Path`, the working folder.
        settings: `dict`, as plain data of JSON.
        finished: `bool`, whether `out` holds the result of these settings.
        clock: a `Clock`, or `None`. Once it is stopped, steps are cut short,
            and are no longer written: a later run makes them in full.

    Raises:
        FileExistsError: If `out` holds something else.
        FileNotFoundError: If the parent folder of `out` is missing.
        RuntimeError: If another process works in them.
        ValueError: If `out` or `part` was made with other settings.
    """

    def __init__(self, out, settings):
        # Renaming only works on one disk, and a link may lead to another.
        self.out = atomic.followed(out)
        self.part = self.out.with_name(f"{self.out.name}.part")
        self.settings = json.loads(json.dumps(settings))
        self._journal = {"settings": self.settings, "steps": {}}
        self._lock = self.clock = None
        self.finished = self._check_out()
        if not self.finished:
            self._take()
            # Another process may have finished it meanwhile.
            self.finished = self._check_out()
        if self.finished:
            if self._lock is not None or (self.part / JOURNAL).exists():
                self._clear()
            return
        self._open()

    def _take(self):
        self.part.mkdir(exist_ok=True)
        self._lock = locks.take(
            self.part / _LOCK,
            "Each run needs a folder of its own. Received: "
            f"out={str(self.out)!r}, which another process is at. Wait for "
            "it, or name another folder.",
        )

    def _check_out(self):
        check_out(self.out)
        if not (self.out / RESULT).exists():
            return False
        key = damage.read_json(self.out / RESULT, dict).get("key")
        if not isinstance(key, dict):
            raise _other("out", self.out)
        self._check_same(key, self.out)
        return True

    def _open(self):
        path = self.part / JOURNAL
        if path.exists():
            found = damage.read_json(path, dict)
            self._check_same(found["settings"], self.part)
            self._journal = found
        else:
            self._write()
        shutil.rmtree(self.part / _FINAL, ignore_errors=True)

    def _check_same(self, found, folder):
        names = sorted(_differing(found, self.settings))
        if names:
            raise ValueError(
                "A run must resume with the same model, data and settings. "
                f"Received: {str(folder)!r}, which differs in "
                f"{', '.join(names)}. Choose another folder, or delete this "
                "one."
            )

    def get(self, step):
        """The facts recorded for a step; `None` if it is not done."""
        return self._journal["steps"].get(step)

    def put(self, step, facts, spent=None):
        """Records that a step is done.

        Args:
            step: `str`, the name of the step.
            facts: plain data, for `get`.
            spent: `float`, seconds that the run has taken so far.
        """
        self._journal["steps"][step] = facts
        if spent is not None:
            self._journal["spent"] = spent
        self._write()

    @property
    def spent(self):
        """`float`, seconds that the run had taken at the last recorded step."""
        return self._journal.get("spent", 0.0)

    def path(self, name):
        """The path of a file in the working folder; creates its parent."""
        path = self.part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def save_weights(self, name, model):
        """Writes the variables of a model."""
        buffer = io.BytesIO()
        # numpy cannot store bfloat16, which becomes float32.
        arrays = map(values.numpy, model.variables)
        np.savez(buffer, **{str(i): a for i, a in enumerate(arrays)})
        atomic.write({self.path(f"{name}.npz"): buffer.getvalue()})

    def load_weights(self, name, model):
        """Loads what `save_weights` wrote into a model of the same shapes."""
        with np.load(self.path(f"{name}.npz")) as arrays:
            for i, variable in enumerate(model.variables):
                variable.assign(arrays[str(i)])

    def final(self):
        """Creates an empty folder to write the result in, and returns it."""
        folder = self.part / _FINAL
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def publish(self):
        """Moves the result into place, and deletes the working folder."""
        if self.out.exists():
            self.out.rmdir()  # Fails unless it is empty.
        os.rename(self.part / _FINAL, self.out)
        self._clear()

    def _clear(self):
        # The journal, which tells whose folder it is, goes last.
        for path in self.part.glob("*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name not in (JOURNAL, _LOCK):
                path.unlink(missing_ok=True)
        shutil.rmtree(self.part, ignore_errors=True)
        if self._lock is not None:
            self._lock.release()

    def _write(self):
        if self.clock is not None and self.clock.stopped:
            return
        text = json.dumps(self._journal, indent=1) + "\n"
        atomic.write({self.part / JOURNAL: text.encode()})


def check_out(out):
    """Raises an error, before any work, if the result cannot be written."""
    out = atomic.followed(atomic.writable_folder(out))
    part = atomic.writable_folder(out.with_name(f"{out.name}.part"))
    if out.is_mount():
        raise OSError(
            "The folder of the result must not be a mount point, because the "
            f"complete result is renamed to it. Received: out={str(out)!r}. "
            "Choose a folder inside it."
        )
    if (out / RESULT).exists():
        return
    if out.is_dir() and any(out.iterdir()):
        raise _other("out", out)
    if part.is_dir() and not (part / JOURNAL).exists():
        # What a run that is about to begin, or was killed there, has.
        if any(_is_others(path.name) for path in part.iterdir()):
            raise _other("working folder", part)


def _is_others(name):
    return name != _LOCK and not name.startswith(".tfprune-")


def _other(what, folder):
    names = sorted(path.name for path in folder.iterdir())
    return FileExistsError(
        "The folder of the result, and the working folder beside it, must be "
        f"new, empty, or those of compress. Received: {what}={str(folder)!r}, "
        f"which holds {', '.join(names[:3])}. Choose another folder."
    )


def _differing(one, other):
    """The names by which a user knows the settings that differ, a `set`."""
    found = set()
    for name in one.keys() | other.keys():
        sides = one.get(name), other.get(name)
        if sides[0] == sides[1]:
            continue
        inner = all(isinstance(side, dict) for side in sides)
        found |= _differing(*sides) if inner else {_NAMES.get(name, name)}
    return found
