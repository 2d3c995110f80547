"""Finds the rule of a layer; the rules themselves are in `graph/rules/`."""

from collections.abc import Callable

from tfprune.core import registry

_RULES = registry.Registry("layer rule")


def rule(*names: str) -> Callable[[Callable], Callable]:
    """A decorator that makes a function the rule of some layer classes.

    Args:
        *names: `str`s: the class name of a Keras layer (`"Conv2D"`), of a raw
            op with `ops.` before it (`"ops.Add"`), or the registered name of
            a custom class (`"my_package>MyLayer"`, or the bare class name
            where it is not registered).

    Example:

    >>> @tfprune.rule("Scale")
    ... def scale(call):
    ...     channels = call.channels(axis=-1)
    ...     call.bind("factor", axis=0, labels=channels)
    ...     return call.x.labels
    """

    def add(function):
        for name in names:
            _RULES.register(name)(function)
        return function

    return add


def of(entry):
    """The rule for a layer's entry in the document."""
    if is_known(entry):
        return _RULES.get(name_of(entry))
    return lambda call: call.unknown(entry["class_name"])


def is_known(entry):
    """Whether there is a rule for a layer's entry."""
    name = name_of(entry)
    if name not in _RULES:
        return False
    # A function made by `exec` has no module.
    module = _RULES.get(name).__module__ or ""
    own = module.startswith(__name__.rpartition(".")[0])
    # A user's class may be called as one of Keras is; a registered name has
    # its package before it.
    from_keras = (entry.get("module") or "").startswith("keras.")
    return from_keras or not own or ">" in name


def name_of(entry):
    """The name under which the rule of an entry is looked up."""
    module = entry.get("module") or ""
    if module == "keras.layers":
        return entry["class_name"]
    if module.startswith("keras.") and ".ops." in module:
        return "ops." + entry["class_name"]
    return entry.get("registered_name") or entry["class_name"]
