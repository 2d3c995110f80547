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
    installed = {
        found.name.lower().replace("_", "-"): found.version
        for found in importlib.metadata.distributions()
    }
    return {
        "versions": {k: installed[k] for k in _PACKAGES if k in installed},
        "machine": f"{platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores",
    }
