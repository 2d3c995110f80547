"""Registries: named objects, found by the name that a user types."""

import difflib


class Registry:
    """Named objects of one kind (criteria, schedules, networks).

    Args:
        kind: What the objects are, in the singular, as errors name them
            ("criterion").

    Example:

    >>> criteria = Registry("criterion")
    >>> @criteria.register("l1")
    ... def l1(values, axis): ...
    >>> criteria.names()
    ['l1']
    """

    def __init__(self, kind):
        self.kind = kind
        self._objects = {}

    def register(self, *names):
        """Decorator that registers an object under one or more names.

        What is defined anew, as when the cell of a notebook runs again, takes
        the place of its earlier self.

        Args:
            *names: `str`s; the first one is the name that `names()` lists,
                the others are aliases.

        Raises:
            ValueError: If a name is taken by another object.
        """

        def add(obj):
            for name in names:
                known = self._objects.get(name, (obj,))[0]
                if known is not obj and not _defined_anew(known, obj):
                    raise ValueError(
                        f"A {self.kind} with this name is already "
                        f"registered. Received: name={name!r}. Choose another."
                    )
            for name in names:
                self._objects[name] = (obj, name == names[0])
            return obj

        return add

    def names(self):
        """Returns the registered names without aliases, sorted."""
        return sorted(n for n, (_, main) in self._objects.items() if main)

    def get(self, name):
        """Returns the object registered under `name`.

        Raises:
            ValueError: If the name is unknown; the message lists the known
                names and the closest match.
        """
        if name in self._objects:
            return self._objects[name][0]
        near = difflib.get_close_matches(str(name), self._objects, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"Unknown {self.kind}. Known: {', '.join(self.names())}. "
            f"Received: {name!r}.{hint}"
        )

    def __contains__(self, name):
        return name in self._objects


def _defined_anew(known, obj):
    """Whether both are what one module has by one name."""
    place = _place(known)
    return place is not None and place == _place(obj)


def _place(obj):
    """Where a function or a class is defined; `None` for all else."""
    # A record of what is registered, and of facts about it.
    obj = getattr(obj, "definition", obj)
    name = getattr(obj, "__qualname__", "<locals>")
    return None if "<locals>" in name else (obj.__module__, name)
