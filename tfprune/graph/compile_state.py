"""How a model is compiled, given to another one.

The objects are at hand, so nothing has to be registered: losses are shared,
optimizers and metrics, which have variables, are made anew.
"""

import collections
import inspect
import itertools
import re
import warnings

import keras

_PLAIN = (bool, int, float, str, type(None))


def compile_as(new, model):
    """Compiles a model as another one is compiled, if it is.

    Args:
        new: the `keras.Model` to be compiled.
        model: the other one; it is not changed.
    """
    if not model.compiled:
        return
    given = arguments(model)
    if given is None:
        new.compile_from_config(model.get_compile_config())
        return
    given["optimizer"] = model.optimizer
    try:
        for key in ("optimizer", "metrics", "weighted_metrics"):
            given[key] = renewed(given.get(key))
    except Exception as error:  # That of a class of the user's own.
        warnings.warn(
            f"The new model is not compiled: a copy of the {key} of "
            f"{model.name!r} cannot be made ({type(error).__name__}: {error})."
            " Give its class a get_config() with what its __init__ takes, or "
            "compile the new model.",
            stacklevel=2,
        )
        return
    # A class may have a compile of its own, with other arguments.
    keras.Model.compile(new, **given)
    _exclude(new, model)
    graph = hasattr(new, "operations") or isinstance(new, keras.Sequential)
    if graph and new.built and new.optimizer is not None:
        # A file that is saved before the first step has its variables.
        new.optimizer.build(new.trainable_variables)
    if type(new) is type(model) and "compile" in _own_names(type(model)):
        for name, value in vars(model).items():
            if not name.startswith("_") and name not in vars(new):
                setattr(new, name, renewed(value))


def _exclude(new, model):
    """Excludes from weight decay what the other model's optimizer excludes."""
    if model.optimizer is None:
        return
    asked = keras.optimizers.SGD()
    pairs = itertools.product(parts(model.optimizer), parts(new.optimizer))
    for old, own in pairs:
        keys, patterns = _excluded(old)
        if old.name != own.name or not (keys or patterns):
            continue
        spared = {
            place
            for variable, place in _placed(model)
            if keys & _keys(variable, asked)
        }
        found = [v for v, place in _placed(new) if place in spared]
        own.exclude_from_weight_decay(found, patterns)


def decays(optimizer, variable):
    """Returns whether an optimizer's weight decay acts on a variable."""
    own = _keys(variable, keras.optimizers.SGD())
    for part in [] if optimizer is None else parts(optimizer):
        keys, patterns = _excluded(part)
        named = any(re.search(pattern, variable.name) for pattern in patterns)
        if part.weight_decay and not (named or keys & own):
            return True
    return False


def _keys(variable, asked):
    """The keys by which optimizers know a variable; `asked` is any of them."""
    asked.exclude_from_weight_decay([variable])
    return _excluded(asked)[0]


def parts(optimizer):
    """The optimizers that update weights, as a list.

    They are inside of a `LossScaleOptimizer` or a `MultiOptimizer`.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return list(getattr(inner, "optimizers", [inner]))


def _excluded(optimizer):
    """What an optimizer does not decay: keys of variables, name patterns.

    Its config does not tell.
    """
    kept = list(vars(optimizer).values())
    keys = set().union(*(value for value in kept if isinstance(value, set)))
    return keys, [v.pattern for v in kept if isinstance(v, re.Pattern)]


def _placed(model):
    """Pairs of each variable and its place, the same in a wrapped model.

    That is the end of its path, and how many before it have the same end.
    """
    seen = collections.Counter()
    for variable in model.variables:
        end = "/".join(variable.path.split("/")[-2:])
        yield variable, (end, seen[end])
        seen[end] += 1


def arguments(model):
    """What `compile` was given, as objects; `None` if that is not kept."""
    for value in vars(model).values():
        kept = getattr(value, "config", None)
        if isinstance(kept, dict) and {"optimizer", "loss"} <= set(kept):
            return dict(kept)
    return None


def custom_objects(nested):
    """The classes and functions that Keras does not know, by their names.

    Args:
        nested: lists and `dict`s of losses, metrics and optimizers.

    Returns:
        `dict` for `keras.saving.custom_object_scope`.
    """
    found = {}
    for thing in keras.tree.flatten(nested):
        inner = getattr(thing, "__dict__", {}).values()
        for part in (thing, *filter(inspect.isfunction, inner)):
            found |= dict(_named(part))
    return found


def _own_names(cls):
    """What the classes of the user's own define."""
    own = [c for c in cls.__mro__ if not c.__module__.startswith("keras.")]
    return {name for c in own if c is not object for name in vars(c)}


def renewed(nested):
    """A structure with new optimizers and metrics; all else is shared.

    Args:
        nested: lists and `dict`s of what `compile` takes.
    """
    if isinstance(nested, dict):
        return {key: renewed(value) for key, value in nested.items()}
    if isinstance(nested, (list, tuple)):
        return [renewed(value) for value in nested]
    if isinstance(nested, (keras.metrics.Metric, keras.optimizers.Optimizer)):
        return _renewed(nested)
    return nested


def _renewed(thing):
    """An object of the same class and settings, with variables of its own."""
    objects = {
        name: value
        for part in (thing, *vars(thing).values())
        for name, value in _named(part)
    }
    with keras.saving.custom_object_scope(objects):
        try:
            new = type(thing).from_config(thing.get_config())
        except Exception:
            if isinstance(thing, keras.metrics.Metric):
                return thing  # It is reset before each use.
            raise
    for name, value in vars(thing).items():
        # Settings that a class takes but does not write into its config.
        setting = not name.startswith("_") and name != "built"
        if setting and isinstance(value, _PLAIN):
            if getattr(new, name, value) != value:
                setattr(new, name, value)
    return new


def _named(part):
    """The class or function of a part under the names that a config uses."""
    for thing in (part, type(part)):
        name = getattr(thing, "__name__", None)
        module = getattr(thing, "__module__", None) or "keras."
        if name and not module.startswith(("keras.", "builtins")):
            yield name, thing
            yield keras.saving.get_registered_name(thing), thing
