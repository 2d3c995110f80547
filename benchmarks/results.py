"""Writes the pages of results of all benchmarks."""

from tfprune.core.files import atomic
from tfprune.reports.html import provenance


def footer(script):
    """One line with the versions, the machine and the script."""
    found = provenance.environment()
    versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    return f"{versions}; {found['machine']}. Written by `benchmarks/{script}`."


def publish(text, path=""):
    """Prints a page, and writes it to `path` unless that is empty."""
    print(text)
    if path:
        atomic.write({path: text.encode()})
