"""What was tried so far, kept on disk so that a run that is cut off goes on."""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import threading
import time

from tfprune.core.files import atomic
from tools import source_tree


@dataclasses.dataclass
class Row:
    """One kind of trial.

    Attributes:
        what: `str`, in words.
        tried, survived: `int`.
        notes: `str`.
    """

    what: str
    tried: int = 0
    survived: int = 0
    notes: str = ""


class Journal:
    """Counts trials; one line of JSON on the disk for each.

    Args:
        folder: `pathlib.Path`, where `trials.jsonl` and inputs that failed
            are kept.
        seed: `int`. Lines of another seed or of other code do not count.

    Attributes:
        seconds: `float`, how long earlier runs of the same took.
    """

    def __init__(self, folder, seed):
        self.folder, self.seconds = folder, 0.0
        self._lock = threading.Lock()
        self._rows, self._facts = {}, {}
        self._path = folder / "trials.jsonl"
        self._started = time.time()
        folder.mkdir(parents=True, exist_ok=True)
        head = {"seed": seed, "code": code()}
        lines = self._lines()
        if lines[:1] == [head]:
            whole = "".join(json.dumps(line) + "\n" for line in lines)
            atomic.write({self._path: whole.encode()})
            for line in lines[1:]:
                self.seconds = max(self.seconds, line.pop("at"))
                self._take(line)
        else:
            self._path.write_text(json.dumps(head) + "\n")

    def _lines(self):
        if not self._path.exists():
            return []
        # The last line may be half a line.
        whole = self._path.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    @property
    def seconds_now(self):
        """`float`, how long this run and earlier ones took."""
        return self.seconds + time.time() - self._started

    def add(self, what, survived, notes=None):
        """Counts a trial.

        Args:
            what: `str`, its kind.
            survived: `bool`.
            notes: `str`, in place of what was noted of that kind before.
        """
        line = {"what": what, "survived": bool(survived)}
        self._put(line | ({} if notes is None else {"notes": notes}))

    def keep(self, name, value):
        """Keeps plain data under a name."""
        self._put({"name": name, "value": value})

    def kept(self, name):
        """What was kept under a name, or `None`."""
        return self._facts.get(name)

    def count(self, prefix=""):
        """How many trials there were of kinds that begin so."""
        return sum(
            row.tried
            for what, row in list(self._rows.items())
            if what.startswith(prefix)
        )

    def rows(self):
        """List of `Row`."""
        return list(self._rows.values())

    def keep_input(self, place, name, text):
        """Keeps what failed, with what was said."""
        kept = self.folder / name
        if place.is_dir():
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(place, kept)
        elif place.exists():
            shutil.copy(place, kept)
        log = pathlib.Path(f"{kept}.log")
        log.write_text(text, errors="backslashreplace")

    def _put(self, line):
        with self._lock:
            self._take(line)
            at = self.seconds_now
            with open(self._path, "a") as file:
                file.write(json.dumps({**line, "at": round(at, 1)}) + "\n")
                file.flush()
                os.fsync(file.fileno())

    def _take(self, line):
        if "name" in line:
            self._facts[line["name"]] = line["value"]
            return
        row = self._rows.setdefault(line["what"], Row(line["what"]))
        row.tried += 1
        row.survived += line["survived"]
        row.notes = line.get("notes", row.notes)


def code():
    """A digest of tfprune and of these scripts."""
    found = hashlib.sha256()
    here = pathlib.Path(__file__).parent
    files = sorted((source_tree.ROOT / "tfprune").rglob("*.py"))
    for path in files + sorted(here.glob("trust*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]
