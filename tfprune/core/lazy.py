"""Packages whose names are imported on first use."""

import importlib
import sys


def attach(package, homes):
    """Makes the names of a package load on demand (PEP 562).

    Args:
        package: `str`, the `__name__` of the package.
        homes: `dict` from each public name to the module that has it; a name
            that is itself the last part of its module is that module.

    Returns:
        `(get, names)`: a function from a name to its object, for the
        package's `__getattr__`, which raises `AttributeError` for any other
        name; and the list of all names, sorted, for `__all__`.
    """

    def get(name):
        if name not in homes:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}"
            )
        module = importlib.import_module(homes[name])
        is_module = homes[name] == f"{package}.{name}"
        found = module if is_module else getattr(module, name)
        # Cache it: from now on Python finds it without this function.
        setattr(sys.modules[package], name, found)
        return found

    return get, sorted(homes)
