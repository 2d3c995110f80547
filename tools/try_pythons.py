"""Tries the wheel in fresh environments, one for each Python that is here.

    python -m tools.try_pythons --table=docs/results/pythons.md
    python -m tools.try_pythons --root=/srv/trixie,/srv/forky  # needs root
    python -m tools.try_pythons --torch

Looks for python3.11 to python3.14 on the path and in folders of Debian systems
(`debootstrap --include=python3,python3-venv trixie DIR`), makes an environment
with the wheel and one backend, and runs tools/wheel_trial.py in it: TensorFlow
if it has wheels for this Python, else JAX; with `--torch`, PyTorch alone. Exits
with 1 if a step fails that no reason was given for.
"""

import argparse
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time

from tfprune.core import tables
from tools import source_tree

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
TRIAL = source_tree.ROOT / "tools" / "wheel_trial.py"
_HEAD = """# The wheel on {title}

A fresh environment with the wheel and one backend, and what runs in it. Steps
that a backend cannot do say so in their error. Written by
`tools/try_pythons.py`.

"""


@dataclasses.dataclass(frozen=True)
class System:
    """A Python, and where it sees files.

    Attributes:
        python: command that starts it, a tuple.
        root: `pathlib.Path` that is "/" to it.
        backends: extras or packages to try one after the other.
    """

    python: tuple
    root: pathlib.Path
    backends: tuple

    def run(self, *command):
        """The result of a command, output as text."""
        before = () if self.root == pathlib.Path("/") else ("chroot", self.root)
        return subprocess.run(
            [*before, *command], capture_output=True, text=True
        )


def systems(roots, backends):
    """Every `System` of these roots and of this machine."""
    root = pathlib.Path("/")
    found = [
        System((path,), root, backends)
        for version in PYTHONS
        if (path := shutil.which(f"python{version}")) and _starts(path)
    ]
    found = found or [System((sys.executable,), root, backends)]
    for folder in roots:
        if not (folder / "proc" / "self").exists():
            raise FileNotFoundError(
                "TensorFlow reads /proc, which each system must have. Received:"
                f" {folder}. Run: mount -t proc proc {folder}/proc"
            )
        found.append(System(("/usr/bin/python3",), folder, backends))
        for name in ("etc/resolv.conf", "etc/pip.conf"):
            if (root / name).exists():
                shutil.copy(root / name, folder / name)
    return found


def _starts(path):
    """Whether it is an interpreter, not a name that leads to none."""
    return not subprocess.run([path, "-c", ""], capture_output=True).returncode


def wheel(folder):
    """Builds the wheel in a folder; returns its path.

    Raises:
        subprocess.CalledProcessError: If it cannot be built.
    """
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", folder]
    subprocess.run([*command, source_tree.ROOT], check=True)
    (path,) = pathlib.Path(folder).glob("*.whl")
    return path


def tried(system, package):
    """A row of the table, a `dict`, and whether all went well."""
    begin = time.time()
    with tempfile.TemporaryDirectory(dir=system.root / "tmp") as folder:
        inside = pathlib.Path(
            "/", pathlib.Path(folder).relative_to(system.root)
        )
        shutil.copy(package, folder)
        shutil.copy(TRIAL, folder)
        said = system.run(*system.python, "-m", "venv", inside / "env")
        if said.returncode:
            raise RuntimeError(
                f"{system} must make an environment. Received: {said.stderr}"
            )
        python = inside / "env" / "bin" / "python"
        version = system.run(python, "-c", "import sys; print(sys.version)")
        row = {"Python": version.stdout.split()[0]}
        for backend in system.backends:
            wanted = [f"{inside / package.name}[{backend}]"]
            if backend == "torch":
                wanted = [str(inside / package.name), "torch"]
            said = system.run(*_installer(system, python), *wanted)
            row["backend"] = backend
            if said.returncode == 0:
                break
            row["without"] = f"{backend}: {_reason(said.stderr)}"
        else:
            return row | {"steps": "-"}, False
        row["installed in"] = f"{time.time() - begin:.0f} s"
        name = {"cpu": "tensorflow"}.get(backend, backend)
        said = system.run(
            "env", f"KERAS_BACKEND={name}", python, inside / TRIAL.name
        )
        if said.returncode:
            why = _reason(said.stderr)
            if why == "-":
                why = f"ended with {said.returncode}: {said.stderr[-200:]}"
            return row | {"steps": why}, False
    found = json.loads(said.stdout.splitlines()[-1])
    row["steps"] = ", ".join(k for k, v in found.items() if v == "ok")
    refused = [
        textwrap.shorten(f"{k}: {v}", 200, placeholder=" ...")
        for k, v in found.items()
        if v != "ok"
    ]
    row["refused"] = "; ".join(refused)
    return row, not any("crash" in text for text in refused)


def _installer(system, python):
    """uv where it is seen, which keeps what it downloaded; else pip."""
    if system.root == pathlib.Path("/"):
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet"]
        return [*uv, "--python", python]
    return [python, "-m", "pip", "install", "--quiet"]


def _reason(text):
    """The last line of an error."""
    lines = [line for line in text.splitlines() if "rror" in line] or ["-"]
    return textwrap.shorten(lines[-1], 200, placeholder=" ...")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default="", help="folders of Debian systems")
    parser.add_argument("--torch", action="store_true", help="PyTorch alone")
    parser.add_argument("--table", default="", help="write the table here")
    options = parser.parse_args(argv)
    backends = ("torch",) if options.torch else ("cpu", "jax")
    roots = [pathlib.Path(x) for x in options.root.split(",") if x]
    columns = ("Python", "backend", "installed in", "steps", "refused")
    rows, well = [], True
    with tempfile.TemporaryDirectory() as folder:
        package = wheel(folder)
        for system in systems(roots, backends):
            row, good = tried(system, package)
            print(json.dumps(row), flush=True)
            well &= good
            if "without" in row:
                row["backend"] += f" ({row['without']})"
            rows.append(tuple(row.get(name, "") for name in columns))
    table = tables.Table(columns, tuple(rows), left=len(columns)).to_markdown()
    if options.table:
        title = "PyTorch" if options.torch else "each Python"
        head = _HEAD.format(title=title)
        (source_tree.ROOT / options.table).write_text(f"{head}{table}\n")
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
