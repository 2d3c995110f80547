"""Packages of the extras, imported where they are used."""

import importlib
import importlib.util


def load(module, extra="export", user="Exporting"):
    """Imports a module of the extra.

    Args:
        module: `str`, the dotted name.
        extra: `str`, the extra that its package belongs to.
        user: `str`, what needs it, in the words of an error.

    Returns:
        The module.

    Raises:
        ImportError: If its package is missing; tells how to install it.
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
        ImportError: If it is missing; tells how to install it.
    """
    if importlib.util.find_spec(package) is None:
        raise ImportError(
            f"{user} requires the package {package!r}, which is not "
            f'installed. Run: pip install "tfprune[{extra}]"',
            name=package,
        )
