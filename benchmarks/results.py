"""Pages of results, as every benchmark writes them."""

from tfprune.core.files import atomic
from tfprune.reports.html import environment


def footer(script):
    """What the figures were made with, and by which script: one line."""
    found = environment.environment()
    versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    return f"{versions}; {found['machine']}. Written by `benchmarks/{script}`."


def publish(text, path=""):
    """Prints a page, and writes it to a file if one is named."""
    print(text)
    if path:
        atomic.write({path: text.encode()})
