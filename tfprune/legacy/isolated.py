"""Opens a model file and writes it anew, run by `child.Child`.

What reading a hostile file can do ends with this process; what it writes is a
file of Keras 3 of its own. It imports tfprune when it is prepared.
"""

import pathlib


def prepare():
    """Imports what opens files."""
    import tfprune.legacy  # noqa: F401


def handle(request):
    """Opens a file.

    Args:
        request: `dict` with `path`, the `folder` to write `model.keras` into,
            `seconds` of CPU and `bytes` of memory that it may take.
    """
    from tfprune.legacy import file_probe
    from tfprune.legacy import loading

    file_probe.limit(request["seconds"], request["bytes"])
    model = loading.load_model(request["path"])
    model.save(pathlib.Path(request["folder"], "model.keras"))
