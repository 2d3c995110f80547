"""What a number depends on besides the code."""

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
    """What a number depends on besides the code, as plain data.

    Returns:
        `dict` with `versions`, from the name of each package that is there
        to its version, and `machine`, its kind.
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
