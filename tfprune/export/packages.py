"""Packages of the extras for exporting, imported where they are used."""

import importlib
import importlib.util


def load(module, extra="export"):
    """Imports a module of the extra.

    Args:
        module: `str`, the dotted name.
        extra: `str`, the extra that its package belongs to.

    Returns:
        The module.

    Raises:
        ImportError: If its package is missing; tells how to install it.
    """
    require(module.partition(".")[0], extra)
    return importlib.import_module(module)


def require(package, extra="export"):
    """Checks that a package is installed, without importing it.

    Args:
        package: `str`, the name in an import statement.
        extra: `str`, the extra that it belongs to.

    Raises:
        ImportError: If it is missing; tells how to install it.
    """
    if importlib.util.find_spec(package) is None:
        raise ImportError(
            f"Exporting requires the package {package!r}, which is not "
            f'installed. Run: pip install "tfprune[{extra}]"',
            name=package,
        )
