"""The class of a subclassed model, for the model that is made of its layers.

A subclassed model is read as the Functional model that its `call` leaves. What
comes out is of the user's class again where that class is given its layers
(`Distiller(network)`), so that it can be saved and loaded as before; else it is
Functional, and what the class did in training is named.
"""

import inspect
import warnings
import weakref

import keras
import numpy as np

from tfprune.graph import compile_state
from tfprune.graph import values

# From each Functional model to the subclassed one that it was traced from.
_ORIGINS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

_STEPS = (
    "train_step",
    "test_step",
    "predict_step",
    "compute_loss",
    "compute_metrics",
    "make_train_function",
    "stateless_compute_loss",
    "compile",
    "fit",
    "evaluate",
)
_TRAINING = ("train_step", "compute_loss", "compute_metrics")


def stands_for(functional, model):
    """Notes that a model stands for another one, and compiles it likewise."""
    origin = _ORIGINS.get(model, model)
    if type(origin) is not type(functional):
        _ORIGINS[functional] = origin
    _keep_settings(functional, model)
    compile_state.compile_as(functional, model)


def restored(new):
    """A model in the class of what it stands for.

    Args:
        new: a Functional or Sequential model.

    Returns:
        `new` itself, or one of the class of the user's own with its layers,
        compiled as it is.
    """
    origin = _ORIGINS.get(new)
    if origin is None:
        return new
    carried = _carried(new, origin)
    if carried is not None:
        _keep_settings(carried, origin)
        compile_state.compile_as(carried, origin)
        return carried
    del _ORIGINS[new]
    lost = [name for name in _STEPS if _is_own(type(origin), name)]
    if lost:
        warnings.warn(
            f"The new model is Functional, without {', '.join(lost)} of class "
            f"{type(origin).__name__}: model {origin.name!r} makes its layers "
            "itself, so the class cannot have smaller ones. Let its __init__ "
            "take the network and keep it as an attribute of that name, or "
            "give the new model's `input` and `output` to a class with these "
            "methods.",
            stacklevel=2,
        )
    return new


def defines(model, name):
    """Whether the user's class of a model defines a method itself."""
    cls = type(_ORIGINS.get(model, model))
    return not cls.__module__.startswith("tfprune.") and _is_own(cls, name)


def warn_of_own_training(model, trainer):
    """Warns that the user's class of a model does not train it.

    Args:
        model: a `keras.Model`.
        trainer: `str`, what trains it instead.
    """
    own = [name for name in _TRAINING if defines(model, name)]
    if own:
        cls = type(_ORIGINS.get(model, model))
        warnings.warn(
            f"{trainer} trains by the loss and metrics that it is compiled "
            f"with. Received: model={model.name!r}, a {cls.__name__} with "
            f"{' and '.join(own)} of its own, which does not count. Compile "
            "with a loss and metrics that say the same.",
            stacklevel=3,
        )


def _is_own(cls, name):
    """Whether a class defines a method of a model itself."""
    own = [c for c in cls.__mro__ if not c.__module__.startswith("keras.")]
    return any(name in vars(c) for c in own if c is not object)


def _keep_settings(new, model):
    """Plain attributes of a user's class that are not in its config."""
    if type(model).__module__.startswith("keras.") or (
        type(new) is not type(model)
    ):
        return
    for name, value in vars(model).items():
        plain = isinstance(value, (bool, int, float, str)) or value is None
        if name.startswith("_") or not plain or name in ("name", "built"):
            continue
        if name not in vars(new) or vars(new)[name] != value:
            setattr(new, name, value)


def _carried(new, origin):
    """A model of the class of `origin` with the layers of `new`, or `None`."""
    layers = {layer.name: layer for layer in new.layers}
    for way in (_from_config, _from_attributes):
        try:
            made = way(new, origin, layers)
            if made is not None and _equal(made, new):
                return made
        except Exception:  # The class is the user's: it may want anything.
            continue
    return None


def _equal(made, new):
    inputs = _inputs(new)
    with keras.StatelessScope():
        pairs = zip(
            keras.tree.flatten(made(inputs, training=False)),
            keras.tree.flatten(new(inputs, training=False)),
            strict=True,
        )
        return all(
            np.allclose(values.numpy(a), values.numpy(b), 1e-4, 1e-5)
            for a, b in pairs
        )


def _inputs(new):
    return keras.tree.map_structure(
        keras.ops.convert_to_tensor, values.random_inputs(new)
    )


def _from_config(new, origin, layers):
    """Its config holds layers: those of `new` take their places."""
    config = _with_layers(origin.get_config(), layers)
    if config is None:
        return None
    cls = type(origin)
    objects = {cls.__name__: cls}
    for layer in values.layers(new):
        if not type(layer).__module__.startswith("keras."):
            objects[type(layer).__name__] = type(layer)
    with keras.saving.custom_object_scope(objects):
        made = _made(cls, config)
    made(_inputs(new))
    for own, old in zip(_attributes(made), _attributes(origin), strict=True):
        _copy(own, layers.get(old.name, old))
    return made


def _from_attributes(new, origin, layers):
    """Its `__init__` takes what it keeps as attributes of the same names."""
    found = []

    def put(value):
        if isinstance(value, keras.layers.Layer) and value.name in layers:
            found.append(value)
            return layers[value.name]
        if isinstance(value, keras.Model):
            copy = keras.models.clone_model(value)
            copy.set_weights(value.get_weights())
            return copy
        return value

    given = {}
    for name, parameter in inspect.signature(type(origin)).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if hasattr(origin, name):
            given[name] = keras.tree.map_structure(put, getattr(origin, name))
        elif parameter.default is parameter.empty:
            return None
    if not found:
        return None
    made = type(origin)(**given)
    made(_inputs(new))
    return made


def _made(cls, config):
    """An object of a class that reads its config, or lets Keras do it."""
    if _is_own(cls, "from_config"):
        return cls.from_config(config)
    deserialize = keras.saving.deserialize_keras_object
    return cls.from_config(
        {
            key: deserialize(value, safe_mode=False)
            if isinstance(value, (dict, list))
            else value
            for key, value in config.items()
        }
    )


def _with_layers(nested, layers):
    """A config with those of other layers by name; `None` if it has none."""
    found = []

    def put(part):
        if isinstance(part, dict):
            inner = part.get("config")
            name = inner.get("name") if isinstance(inner, dict) else None
            if name in layers and "class_name" in part:
                found.append(name)
                return keras.saving.serialize_keras_object(layers[name])
            return {key: put(value) for key, value in part.items()}
        if isinstance(part, (list, tuple)):
            return type(part)([put(value) for value in part])
        return part

    changed = put(nested)
    return changed if found else None


def _attributes(model):
    """The layers that are attributes of a model, or stand in a list there."""
    found = {}
    for name, value in sorted(vars(model).items()):
        if not name.startswith("_"):
            for item in keras.tree.flatten(value):
                if isinstance(item, keras.layers.Layer):
                    found.setdefault(id(item), item)
    return list(found.values())


def _copy(new, old):
    for target, source in zip(new.variables, old.variables, strict=True):
        target.assign(keras.ops.convert_to_numpy(source))
        target.trainable = source.trainable
