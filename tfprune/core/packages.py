"""Packages of the extras, imported on first use."""

import importlib
import importlib.metadata
import importlib.util
import os

# Of packages that an extra does not bring everywhere.
_ELSEWHERE = {"tflite_micro": " on Linux x86-64: it has no other wheels"}


def load(module, extra="export", user="Exporting"):
    """Imports a module of an extra.

    Args:
        module: `str`, the dotted name.
        extra: `str`, the extra that its package belongs to.
        user: `str`, what needs it, used in error messages.

    Returns:
        The module.

    Raises:
        ImportError: If its package is missing; says how to install it.
    """
    require(module.partition(".")[0], extra, user)
    return importlib.import_module(module)


def require(package, extra="export", user="Exporting"):
    """Checks that a package is installed, without importing it.

    Args:
        package: `str`, the name in an import statement.
        extra: `str`, the extra that it belongs to.
        user: as for `load`.

    Raises:
        ImportError: If it is missing; says how to install it.
    """
    if importlib.util.find_spec(package) is None:
        raise ImportError(
            f"{user} requires the package {package!r}, which is not "
            f'installed. Run: pip install "tfprune[{extra}]"'
            f"{_ELSEWHERE.get(package, '')}",
            name=package,
        )


def require_backend():
    """Imports Keras with its configured backend.

    Raises:
        ImportError: If the backend is missing, or there are two TensorFlows;
            says how to fix it.
    """
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        _require_one_tensorflow()
    try:
        importlib.import_module("keras")
    except ImportError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _BACKENDS or importlib.util.find_spec(name):
            raise
        raise ImportError(
            f"Keras needs its backend {name!r}, which is not installed. Run: "
            f"pip install {_BACKENDS[name]}. Or set KERAS_BACKEND to an "
            "installed one.",
            name=name,
        ) from error


def _require_one_tensorflow():
    """Checks that no build of TensorFlow overwrote another.

    `tensorflow` and `tensorflow-cpu` have the same files, and pip keeps nobody
    from installing both: the kernels for GPUs are lost in silence, and removing
    one of them breaks the other.
    """
    found = {}
    for name in ("tensorflow", "tensorflow-cpu"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if len(found) > 1:
        told = ", ".join(f"{k} {version}" for k, version in found.items())
        raise ImportError(
            "One build of TensorFlow is required: tensorflow and "
            "tensorflow-cpu have the same files, so the one that came last "
            f"overwrote the other. Received: {told}. tf-keras, and so "
            '"tfprune[tfmot]", brings tensorflow: do not take the extra cpu '
            "with it. Run: pip uninstall tensorflow tensorflow-cpu, then pip "
            "install tensorflow",
            name="tensorflow",
        )


# What to install for each backend; the CPU build of TensorFlow is smaller.
_BACKENDS = {
    "tensorflow": '"tfprune[cpu]"',
    "jax": '"tfprune[jax]"',
    "torch": "torch",
}
