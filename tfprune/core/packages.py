"""Packages of the extras, imported on first use."""

import importlib
import importlib.util


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
            f'installed. Run: pip install "tfprune[{extra}]"',
            name=package,
        )


def require_backend():
    """Imports Keras with its configured backend.

    Raises:
        ImportError: If the backend is missing; says how to install it.
    """
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


# What to install for each backend; the CPU build of TensorFlow is smaller.
_BACKENDS = {
    "tensorflow": '"tfprune[cpu]"',
    "jax": '"tfprune[jax]"',
    "torch": "torch",
}
