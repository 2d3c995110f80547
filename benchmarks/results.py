"""Pages of results, as every benchmark writes them."""

from tfprune import report
from tfprune.export import files


def footer(script):
    """What the figures were made with, and by which script: one line."""
    found = report.environment()
    versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    return f"{versions}; {found['machine']}. Written by `benchmarks/{script}`."


def publish(text, path=""):
    """Prints a page, and writes it to a file if one is named."""
    print(text)
    if path:
        files.write({path: text.encode()})
