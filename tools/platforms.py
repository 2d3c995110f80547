"""Writes docs/results/platforms.md: which packages have wheels where.

    python -m tools.platforms

Asks uv to resolve each extra of setup.cfg for each platform and Python, from
wheels alone; nothing is downloaded or installed. It needs a package index.
"""

import argparse
import collections
import datetime
import subprocess
import sys

from packaging import markers
from packaging import requirements
from setuptools.config import setupcfg

from tfprune.core import tables
from tools import source_tree

PAGE = source_tree.ROOT / "docs" / "results" / "platforms.md"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# What uv calls it, and what its markers say.
PLATFORMS = {
    "Linux x86-64": ("x86_64-manylinux_2_28", "linux", "x86_64"),
    "Linux arm64": ("aarch64-manylinux_2_28", "linux", "aarch64"),
    "macOS on Apple silicon": ("aarch64-apple-darwin", "darwin", "arm64"),
    "macOS on Intel": ("x86_64-apple-darwin", "darwin", "x86_64"),
    "Windows": ("x86_64-pc-windows-msvc", "win32", "AMD64"),
}
EXTRAS = ("cpu", "jax", "export", "quantizer", "vela", "search", "data")
INTERPRETER = "tflite-micro"
_HEAD = """# What runs where

Pythons for which each extra can be installed from wheels alone, as uv resolves
it; {date}. `tflite-micro` is the interpreter of TFLite Micro. Without it
files are the same and the arena is predicted instead of measured, but no C
sources are written. Where `cpu` is missing, take another backend; files are
exported on TensorFlow only. `data` needs `promise`, which is built from source,
without a compiler. Written by `tools/platforms.py`.

"""


def platforms(resolves):
    """The table of the page.

    Args:
        resolves: function `(requirements, platform, python)` to whether wheels
            of all of them are there; `platform` is a value of `PLATFORMS`.

    Returns:
        A `tables.Table`.
    """
    rows = []
    for name, platform in PLATFORMS.items():
        found = collections.defaultdict(list)
        for python in PYTHONS:
            for extra, wanted in needs(platform, python).items():
                if wanted and resolves(wanted, platform, python):
                    found[extra].append(python)
        cells = (span(found[extra]) for extra in (*EXTRAS, INTERPRETER))
        rows.append((name, *cells))
    header = ("", *(f"`{name}`" for name in (*EXTRAS, INTERPRETER)))
    return tables.Table(header, tuple(rows), left=len(header))


def needs(platform, python):
    """`dict` from each extra to the requirements that hold there, as `str`."""
    options = setupcfg.read_configuration(source_tree.ROOT / "setup.cfg")
    base, extras = (
        options["options"][key]
        for key in ("install_requires", "extras_require")
    )
    _, system, machine = platform
    here = markers.default_environment() | {
        "sys_platform": system,
        "platform_machine": machine,
        "python_version": python,
    }
    wanted = {}
    for extra in EXTRAS:
        parsed = map(requirements.Requirement, (*base, *extras[extra]))
        wanted[extra] = [
            f"{r.name}{r.specifier}"
            for r in parsed
            if r.marker is None or r.marker.evaluate(here)
        ]
    # A column of its own, as the rest of [export] is at home elsewhere, too.
    apart = [r for r in wanted["export"] if r.startswith(INTERPRETER)]
    wanted["export"] = [r for r in wanted["export"] if r not in apart]
    return wanted | {INTERPRETER: apart}


def span(pythons):
    """`"3.11 - 3.13"`; versions one by one where there are holes."""
    if not pythons:
        return "-"
    first, last = PYTHONS.index(pythons[0]), PYTHONS.index(pythons[-1])
    if len(pythons) == 1 or last - first + 1 > len(pythons):
        return ", ".join(pythons)
    return f"{pythons[0]} - {pythons[-1]}"


def resolves(wanted, platform, python):
    """Whether uv finds wheels.

    Raises:
        RuntimeError: If uv stops for another reason than that.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet"]
    command += ["--only-binary", ":all:", "--python-version", python]
    result = subprocess.run(
        [*command, "--python-platform", platform[0], "-"],
        input="\n".join(wanted),
        capture_output=True,
        text=True,
    )
    if result.returncode and "No solution found" not in result.stderr:
        raise RuntimeError(
            f"uv must say whether {wanted} can be installed. Received: "
            f"{result.stderr.strip()}"
        )
    return result.returncode == 0


def main(argv=None):
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args(
        argv
    )
    head = _HEAD.format(date=datetime.date.today().strftime("%B %Y"))
    PAGE.write_text(head + platforms(resolves).to_markdown() + "\n")


if __name__ == "__main__":
    main()
