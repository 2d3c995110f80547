"""Finds the rule of a layer; the rules themselves are in `graph/rules/`."""

from collections.abc import Callable

import keras

from tfprune.core import registry

_RULES = registry.Registry("layer rule")
_FILE_OPS: dict[str, tuple] = {}
_ANY_BATCH: set[str] = set()
# The name of the rule for layers that have none of their own.
ANY_OTHER = "*"


def rule(
    *names: str, file_ops: str | tuple[str, ...] = (), any_batch: bool = False
) -> Callable[[Callable], Callable]:
    """Decorator that registers a function as the rule of layer classes.

    Args:
        *names: `str`s: the class name of a Keras layer (`"Conv2D"`), of an op
            with the prefix `ops.` (`"ops.Add"`), or the registered name of a
            custom class (`"my_package>MyLayer"`, or the bare class name if it
            is not registered).
        file_ops: `str` or tuple of them, what the layers become in a .tflite
            file of integers, as its schema names it ("MAX_POOL_2D"), if each
            op reads what the one before it makes; predictions use it.
        any_batch: `bool`, whether the rule finds the batch where
            `Tensor.batch` says; if not, channels stay where that is not the
            first axis.

    Example:

    >>> @tfprune.rule("Scale")
    ... def scale(call):
    ...     channels = call.channels(axis=-1)
    ...     call.bind("factor", axis=0, labels=channels)
    ...     return call.x.labels
    """

    ops = (file_ops,) if isinstance(file_ops, str) else tuple(file_ops)

    def add(function):
        for name in names:
            _RULES.register(name)(function)
            _FILE_OPS[name] = ops
            if any_batch:
                _ANY_BATCH.add(name)
        return function

    return add


def of(entry, live=None):
    """Returns the rule for a layer's entry in the config.

    Args:
        entry: `dict`, the layer's entry.
        live: the layer itself; a subclass with the same computation uses the
            rule of its base class.
    """
    return _RULES.get(_name_in_book(entry, live))


def finds_batch(entry, live=None):
    """Whether the rule of an entry takes tensors of any `batch` axis."""
    return _name_in_book(entry, live) in _ANY_BATCH


def file_ops(entry, live=None):
    """Returns the `file_ops` that the rule of an entry was registered with."""
    return _FILE_OPS.get(_name_in_book(entry, live), ())


def _name_in_book(entry, live):
    if is_known(entry):
        return name_of(entry)
    base = base_of(live)
    return ANY_OTHER if base is None else base.__name__


# What a subclass may define without changing the computation of its base.
_HARMLESS = {"get_config", "from_config", "build"}
_COUNTS = ("filters", "units", "output_dim", "num_heads", "key_dim")


def base_of(live):
    """Returns the Keras class with the same computation, or `None`.

    Args:
        live: a layer of a custom class, which must be able to build other
            sizes from a changed config.
    """
    cls = type(live)
    if not isinstance(live, keras.layers.Layer) or _of_keras(cls):
        return None
    at = next(i for i, c in enumerate(cls.__mro__) if _of_keras(c))
    base = cls.__mro__[at]
    if base.__name__ not in _RULES or not hasattr(keras.layers, base.__name__):
        return None
    own = {n for c in cls.__mro__[:at] for n in vars(c)}
    changed = {n for n in own if hasattr(base, n) and not n.startswith("__")}
    if changed - _HARMLESS or isinstance(live, keras.Model):
        return None
    return base if _takes_sizes(live) else None


def _of_keras(cls):
    return cls.__module__.startswith("keras.")


def _takes_sizes(live):
    """Whether the class can build the layer with one more channel."""
    try:
        config = live.get_config()
        for key in _COUNTS:
            if isinstance(config.get(key), int):
                config[key] += 1
        made = type(live).from_config(config).get_config()
    except Exception:  # Its __init__ takes something else.
        return False
    return all(made.get(key) == config.get(key) for key in _COUNTS)


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
