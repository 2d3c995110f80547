"""Packages of the `export` extra, imported where they are used."""

import importlib
import importlib.util


def load(module):
    """Imports a module of the extra.

    Args:
        module: `str`, the dotted name.

    Returns:
        The module.

    Raises:
        ImportError: If its package is missing; tells how to install it.
    """
    require(module.partition(".")[0])
    return importlib.import_module(module)


def require(package):
    """Checks that a package is installed, without importing it.

    Args:
        package: `str`, the name in an import statement.

    Raises:
        ImportError: If it is missing; tells how to install it.
    """
    if importlib.util.find_spec(package) is None:
        raise ImportError(
            f"Exporting requires the package {package!r}, which is not "
            'installed. Run: pip install "tfprune[export]"',
            name=package,
        )
