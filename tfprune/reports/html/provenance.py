"""The environment that a measurement depends on."""

import importlib.metadata
import os
import platform

_PACKAGES = (
    "tfprune",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "torch",
    "numpy",
    "ai-edge-litert",
    "tflite-micro",
)


def environment():
    """Returns what a measurement depends on besides the code.

    Returns:
        `dict` with `versions`, from the name of each installed package to its
        version, and `machine`, a description.
    """
    installed = {}
    for found in importlib.metadata.distributions():
        # What pip could not remove has no name; of two copies, Python imports
        # the first.
        if found.name:
            name = found.name.lower().replace("_", "-")
            installed.setdefault(name, found.version)
    return {
        "versions": {k: installed[k] for k in _PACKAGES if k in installed},
        "machine": f"{platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores",
    }
