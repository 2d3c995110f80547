"""The folder of a run: a journal of what is done, and a result put in place.

While a run goes on, all of it lies in `NAME.part` beside the folder `NAME`
that was asked for; at the end the result, which is complete by then, is
renamed to `NAME`. So `NAME` is there whole or not at all, and a run that was
killed goes on from its journal.
"""

import io
import json
import os
import shutil

import numpy as np

from tfprune.core.files import atomic
from tfprune.core.files import damage
from tfprune.graph import values

RESULT = "result.json"
_JOURNAL = "journal.json"
_FINAL = "final"


class Workspace:
    """What is done of a run, on disk.

    Args:
        out: `str` or path-like, the folder of the result.
        settings: `dict` of plain data that all depends on.

    Attributes:
        finished: `bool`, whether `out` has the result of these settings.

    Raises:
        FileExistsError: If `out` is something else.
        FileNotFoundError: If the folder that it lies in is missing.
        ValueError: If it was made with other settings.
    """

    def __init__(self, out, settings):
        # What it leads to: a link may lead to another disk.
        self.out = atomic.followed(out)
        self.part = self.out.with_name(f"{self.out.name}.part")
        self._settings = json.loads(json.dumps(settings))
        self.finished = self._check_out()
        self._journal = {"settings": self._settings, "steps": {}}
        if self.finished:
            self._clear()
            return
        self._open()

    def _check_out(self):
        check_out(self.out)
        if not (self.out / RESULT).exists():
            return False
        found = damage.read_json(self.out / RESULT, dict)
        self._check_same(found["key"], self.out)
        return True

    def _open(self):
        path = self.part / _JOURNAL
        if path.exists():
            found = damage.read_json(path, dict)
            self._check_same(found["settings"], self.part)
            self._journal = found
        else:
            self.part.mkdir(exist_ok=True)
            self._write()
        shutil.rmtree(self.part / _FINAL, ignore_errors=True)

    def _check_same(self, found, folder):
        names = sorted(
            name
            for name in found.keys() | self._settings.keys()
            if found.get(name) != self._settings.get(name)
        )
        if names:
            raise ValueError(
                "A run goes on with the model, the data and the settings that "
                f"it began with. Received: {str(folder)!r}, which differs in "
                f"{', '.join(names)}. Name another folder, or take this one "
                "away."
            )

    def get(self, step):
        """What is noted of a step, `None` if it is not done."""
        return self._journal["steps"].get(step)

    def put(self, step, facts, spent=None):
        """Notes that a step is done.

        Args:
            step: `str`.
            facts: plain data.
            spent: `float`, seconds that the run took so far.
        """
        self._journal["steps"][step] = facts
        if spent is not None:
            self._journal["spent"] = spent
        self._write()

    @property
    def spent(self):
        """`float`, seconds that the run took when the last step was noted."""
        return self._journal.get("spent", 0.0)

    def path(self, name):
        """A file beside the journal; its folder is made."""
        path = self.part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def save_weights(self, name, model):
        """Writes the variables of a model."""
        buffer = io.BytesIO()
        # bfloat16 as float32: numpy's files do not know it.
        arrays = map(values.numpy, model.variables)
        np.savez(buffer, **{str(i): a for i, a in enumerate(arrays)})
        atomic.write({self.path(f"{name}.npz"): buffer.getvalue()})

    def load_weights(self, name, model):
        """Reads what `save_weights` wrote into a model of the same shapes."""
        with np.load(self.path(f"{name}.npz")) as arrays:
            for i, variable in enumerate(model.variables):
                variable.assign(arrays[str(i)])

    def final(self):
        """An empty folder that the result is made in."""
        folder = self.part / _FINAL
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def publish(self):
        """Puts the result in place, and takes away all else."""
        if self.out.exists():
            self.out.rmdir()  # it is empty, as was checked
        os.rename(self.part / _FINAL, self.out)
        self._clear()

    def _clear(self):
        shutil.rmtree(self.part, ignore_errors=True)

    def _write(self):
        text = json.dumps(self._journal, indent=1) + "\n"
        atomic.write({self.part / _JOURNAL: text.encode()})


def check_out(out):
    """Raises an error, before any work, where a result cannot be written."""
    out = atomic.followed(atomic.writable_folder(out))
    atomic.writable_folder(out.with_name(f"{out.name}.part"))
    if out.is_mount():
        raise OSError(
            "The folder of the result takes its name when it is complete, "
            f"which a mounted disk cannot. Received: out={str(out)!r}. Name a "
            "folder in it."
        )
    if out.is_dir() and not (out / RESULT).exists() and any(out.iterdir()):
        raise FileExistsError(
            "The folder of the result must be new, empty, or one that "
            f"compress made. Received: out={str(out)!r}, which holds "
            f"{', '.join(sorted(p.name for p in out.iterdir())[:3])}. Name "
            "another folder."
        )
