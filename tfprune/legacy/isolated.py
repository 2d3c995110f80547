"""Opens a model file and rewrites it, run by `child.Child`.

Reading a hostile file can only harm this process, which writes its own Keras 3
file. It imports tfprune in `prepare`.
"""

import pathlib


def prepare():
    """Imports what opens files."""
    import tfprune.legacy  # noqa: F401


def handle(request):
    """Opens a file.

    Args:
        request: `dict` with `path`, the `folder` to write `model.keras` into,
            `seconds` of CPU and `bytes` of memory that it may take. Without
            a `folder` that of a SavedModel is read, and no more.
    """
    from tfprune.legacy import loading
    from tfprune.legacy.formats import file_probe
    from tfprune.legacy.formats import saved_models

    file_probe.limit(request["seconds"], request["bytes"])
    if "folder" not in request:
        saved_models.read(request["path"])
        return
    model = loading.load_model(request["path"])
    model.save(pathlib.Path(request["folder"], "model.keras"))
