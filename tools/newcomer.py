"""Plays the newcomer: does what the README and the pages say, and logs it.

    python3 tools/newcomer.py [--log=build/newcomer.md] [--only=readme,docs]
    python3 tools/newcomer.py --folder=DIR  # goes on where it stopped or failed

Clones this checkout, makes an environment, installs what the README installs,
and then runs, in the order in which they stand: the README's code and commands,
the code of each page in a process of its own, the notebooks. `make test` and
`make docs` have targets of their own and are named in the log as left out. The
log has each step with its time; the exit status is 1 if one failed. With
`--folder`, the clone and the environment are kept there, and steps that went
well are not repeated for the same commit. Needs nothing but Python and git, so
that it knows nothing that a newcomer does not.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
_LEFT_OUT = ("make test", "make docs")
# What the README's commands speak of, and a reader has.
_FILES = """
import keras, numpy as np
rng = np.random.default_rng(0)
x = rng.normal(size=(120, 8, 8, 1)).astype("float32")
y = np.arange(120) % 4
for name in ("train", "val", "validation"):
    np.savez(name + ".npz", x=x, y=y)
np.save("images.npy", x)
layers = keras.layers
model = keras.Sequential([
    keras.Input((8, 8, 1)),
    layers.Conv2D(8, 3, activation="relu"), layers.Conv2D(12, 3),
    layers.GlobalAveragePooling2D(), layers.Dense(4, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, verbose=0)
for name in ("model", "sparse"):
    model.save(name + ".keras")
"""
_NOTEBOOK = (
    "import sys, pathlib; from tools import notebooks;"
    "notebooks.executed(pathlib.Path(sys.argv[1]), '.')"
)


@dataclasses.dataclass
class Log:
    """What was done.

    Attributes:
        path: where it is written after every step.
        revision: the commit that is tried.
        kept: `pathlib.Path` of the steps that went well, `None` to keep none.
        steps: list of `(what, seconds, error)`; `""` if it went well, `None`
            if it was left out.
        done: `dict` from each step that went well in an earlier run of this
            commit to its seconds.
    """

    path: pathlib.Path
    revision: str = ""
    kept: pathlib.Path | None = None
    steps: list = dataclasses.field(default_factory=list)
    done: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.kept and self.kept.exists():
            found = json.loads(self.kept.read_text())
            if found["revision"] == self.revision:
                self.done = found["steps"]

    def run(self, what, command, folder, **environment):
        """Runs a command as a step; whether it went well."""
        if what in self.done:
            self.add(what, self.done[what], "")
            return True
        begin = time.time()
        result = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        error = ""
        if result.returncode:
            lines = result.stdout.strip().splitlines() or ["no output"]
            error = "\n".join(lines[-12:])
        self.add(what, time.time() - begin, error)
        return not error

    def add(self, what, seconds, error):
        self.steps.append((what, seconds, error))
        state = {None: "left out", "": "ok"}.get(error, "FAILED")
        print(f"{state:8} {seconds:7.1f} s  {what}", flush=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.text())
        if self.kept and error == "":
            self.done[what] = seconds
            found = {"revision": self.revision, "steps": self.done}
            self.kept.write_text(json.dumps(found, indent=1))

    @property
    def failures(self):
        return [step for step in self.steps if step[2]]

    def text(self):
        left_out = sum(error is None for *_, error in self.steps)
        seconds = sum(seconds for _, seconds, _ in self.steps)
        lines = [
            "# A newcomer's day",
            "",
            f"{len(self.steps)} steps, {left_out} left out, {seconds:.0f} s, "
            f"failures {len(self.failures)}. Commit {self.revision}; Python "
            f"{sys.version.split()[0]} on {sys.platform}, {os.cpu_count()} "
            f"cores, load {os.getloadavg()[2]:.0f}. A fresh clone, an "
            "environment with what the README installs, then its code and "
            "commands, the code of each page in a process of its own, and the "
            "notebooks. Written by `tools/newcomer.py`.",
            "",
            "| step | seconds | |",
            "| :-- | --: | :-- |",
        ]
        for what, seconds, error in self.steps:
            state = {None: "left out", "": "ok"}.get(error, "**failed**")
            what = what.replace("|", "\\|")
            lines.append(f"| `{what}` | {seconds:.1f} | {state} |")
        for what, _, error in self.failures:
            lines += ["", f"`{what}`", "", "```text", error, "```"]
        return "\n".join(lines) + "\n"


def pieces(text):
    """`("code", text)` and `("command", line)`, in the order of a page."""
    code, before = None, ""
    for line in text.splitlines():
        if code is not None:
            if line.startswith("```"):
                yield "code", "".join(code)
                code = None
            else:
                code.append(f"{line}\n")
        elif re.fullmatch(r"```python *(tensorflow)?", line):
            code = []
        elif line.startswith("    ") and line.strip():
            before += line.partition("  #")[0].strip()
            if before.endswith("\\"):
                before = before[:-1]
            else:
                yield "command", before
                before = ""


def readme(log, clone, python, folder):
    """The README: code so far runs in one process, as its reader runs it."""
    log.run("files that the README speaks of", [python, "-c", _FILES], folder)
    code = ""
    for kind, text in pieces((clone / "README.md").read_text()):
        if kind == "code":
            code += text
            name = f"README.md: {text.strip().splitlines()[-1]}"
            if not log.run(name, [python, "-c", code], folder):
                code = code.removesuffix(text)
        elif text.startswith(("tfprune ", "python ", "make ")):
            command(log, clone, python, folder, text)


def command(log, clone, python, folder, line):
    """A command of the README."""
    if line.startswith(_LEFT_OUT):
        log.add(line, 0.0, None)
    elif line.startswith("make "):
        ready = python.parents[1] / "ready"
        ready.touch()
        place = f"VENV={python.parents[1]}"
        log.run(line, [*shlex.split(line), place], clone)
    else:
        first, *rest = shlex.split(line)
        if first == "tfprune" and "--minutes=30" in rest:
            rest[rest.index("--minutes=30")] = "--epochs=1"
        log.run(line, [python.parent / first, *rest], folder)


def docs(log, clone, python, folder):
    """Each page in a process and a folder of its own."""
    for page in sorted((clone / "docs").rglob("*.md")):
        parts = list(pieces(page.read_text()))
        code = "".join(text for kind, text in parts if kind == "code")
        if code:
            for kind, text in parts:
                if kind == "command" and text.startswith("pip install "):
                    installed(log, clone, python, text)
            name = page.relative_to(clone).as_posix()
            place = folder / name.replace("/", "-")
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            log.run(name, [python, "-c", code], place)


def installed(log, clone, python, line):
    """Installs what a line of a page installs, from the clone."""
    wanted = shlex.split(line)[-1].replace("tfprune[", ".[")
    step = [python, "-m", "pip", "install", "--quiet", wanted]
    return log.run(line, step, clone)


def notebooks(log, clone, python, folder):
    """Each notebook, cell by cell."""
    if not installed(log, clone, python, 'pip install "tfprune[notebooks]"'):
        return
    for path in sorted((clone / "docs" / "notebooks").glob("*.py")):
        name = path.relative_to(clone).with_suffix(".ipynb").as_posix()
        step = [python, "-c", _NOTEBOOK, path]
        log.run(name, step, folder, PYTHONPATH=str(clone))


PARTS = {"readme": readme, "docs": docs, "notebooks": notebooks}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", default=str(ROOT / "build" / "newcomer.md"))
    parser.add_argument("--only", default=",".join(PARTS), help="parts to do")
    parser.add_argument("--python", help="an environment that is there")
    parser.add_argument("--folder", help="where to work, and go on from")
    options = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.ExitStack() as stack:
        place = options.folder
        if not place:
            place = stack.enter_context(tempfile.TemporaryDirectory())
        place = pathlib.Path(place).resolve()
        place.mkdir(parents=True, exist_ok=True)
        revision = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.strip()
        kept = place / "steps.json" if options.folder else None
        log = Log(pathlib.Path(options.log).resolve(), revision, kept)
        tried(log, place, options)
    print(f"{len(log.steps)} steps, failures {len(log.failures)}: {log.path}")
    return int(bool(log.failures))


def tried(log, place, options):
    """All steps, in a folder."""
    clone, folder = place / "tfprune", place / "work"
    if not log.done:
        is_ours = log.kept is not None and log.kept.exists()
        for old in (clone, folder):
            if old.exists() and not is_ours:
                raise SystemExit(
                    "--folder must be new, or that of an earlier trial. "
                    f"Received: one that has {old}. Name another folder."
                )
            shutil.rmtree(old, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    log.run("git clone", ["git", "clone", "-q", ROOT, clone], place)
    if options.python:
        python = pathlib.Path(options.python)
    else:
        python = place / "env" / "bin" / "python"
        make = [sys.executable, "-m", "venv", place / "env"]
        log.run("python3 -m venv env", make, place)
        text = (clone / "README.md").read_text()
        line = re.search(r'pip install "tfprune\[[^]]+\]"', text)[0]
        if not installed(log, clone, python, line):
            return
    for name in options.only.split(","):
        inside = folder / name
        inside.mkdir(exist_ok=True)
        PARTS[name](log, clone, python, inside)


if __name__ == "__main__":
    sys.exit(main())
