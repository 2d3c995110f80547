"""Opens a model file and writes it anew, run by `child.Child`.

What reading a hostile file can do ends with this process; what it writes is a
file of Keras 3 of its own. It imports tfprune when it is prepared.
"""

import os
import pathlib
import sys


def prepare():
    """Imports what opens files."""
    import tfprune.legacy  # noqa: F401


def handle(request):
    """Opens a file.

    Args:
        request: `dict` with `path`, the `folder` to write `model.keras` into,
            `seconds` of CPU and `bytes` of memory that it may take.
    """
    from tfprune.legacy import loading

    _limit(request["seconds"], request["bytes"])
    model = loading.load_model(request["path"])
    model.save(pathlib.Path(request["folder"], "model.keras"))


def _limit(seconds, size):
    if sys.platform != "linux":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + size
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
