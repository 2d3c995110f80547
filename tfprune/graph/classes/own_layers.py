"""Classes and functions of the user's own in the config of a model.

Keras looks them up by name, and makes each layer once for each place where a
config has it. Here each place gets its own class or function, whatever the
names are, and a layer in several places is made once.
"""

import collections
import inspect

import keras

from tfprune.graph import values


def custom_objects(model):
    """The classes and functions of a model that Keras does not know."""
    objects = {}
    for layer in _with_inner(values.layers_of(model)):
        for thing in (type(layer), *_parts(layer)):
            if not (thing.__module__ or "").startswith("keras."):
                objects[thing.__name__] = thing
                objects[keras.saving.get_registered_name(thing)] = thing
    return objects


def makers(model):
    """As `custom_objects`, for configs that a class of layers does not fit."""
    found = custom_objects(model).items()
    return {name: _maker_of(thing) for name, thing in found}


def _maker_of(thing):
    """What makes a layer of a class; other things as they are."""
    is_plain = (
        isinstance(thing, type)
        and issubclass(thing, keras.layers.Layer)
        and not issubclass(thing, keras.Model)
        and getattr(thing.from_config, "__func__", None) in _PLAIN
    )
    return _Maker(thing) if is_plain else thing


_LAYERS = keras.layers
# Methods that hand a config to `__init__`, and change no more of it than
# settings of quantization.
_PLAIN = {
    cls.from_config.__func__
    for cls in (
        *(_LAYERS.Layer, _LAYERS.Dense, _LAYERS.EinsumDense),
        *(_LAYERS.Embedding, _LAYERS.LSTM, _LAYERS.GRU, _LAYERS.SimpleRNN),
    )
}


class _Maker:
    """Stands for a user's class of layers, which Keras makes from configs.

    The class may write into its config what it does not take back, and may
    leave the name to Keras.
    """

    def __init__(self, cls):
        self._cls = cls

    def from_config(self, config):
        cls, taken, name = self._cls, _taken(self._cls), config.get("name")
        if taken is None or taken >= {*config}:
            layer = cls.from_config(config)
        else:
            config = {k: v for k, v in config.items() if k in taken}
            layer = _LAYERS.Layer.from_config.__func__(cls, config)
        if name is not None:
            layer.name = name
        return layer


def _taken(cls):
    """The names of what a class takes; `None` if that may be any."""
    names = set()
    for base in cls.__mro__:
        if "__init__" in vars(base):
            given = inspect.signature(base.__init__).parameters
            names |= {*given}
            if all(p.kind is not p.VAR_KEYWORD for p in given.values()):
                break
            if cls.get_config is keras.layers.Layer.get_config:
                # Keras writes down what it was given, for layers within too.
                return None
    return names


def _with_inner(layers):
    """The layers and those that they hold: of wrappers, cells of an RNN."""
    found, seen = list(layers), {id(layer) for layer in layers}
    for layer in found:  # which grows
        for value in vars(layer).values():
            for inner in value if isinstance(value, (list, tuple)) else [value]:
                if (
                    isinstance(inner, keras.layers.Layer)
                    and id(inner) not in seen
                ):
                    seen.add(id(inner))
                    found.append(inner)
    return found


def _parts(layer):
    """The functions, and the classes of the small objects, in a layer."""
    small = (
        keras.initializers.Initializer,
        keras.regularizers.Regularizer,
        keras.constraints.Constraint,
    )
    for name, value in vars(layer).items():
        if inspect.isfunction(value):
            # Keras puts the methods that it wraps into the layer itself.
            if not hasattr(type(layer), name):
                yield value
        elif isinstance(value, small):
            yield type(value)


def pinned(config, model):
    """Lets each place in a config find its own class, functions and layer.

    No code is read back, and none is taken for one of Keras, or another one,
    that has the same name. A layer that several others hold is made once.

    Args:
        config: `dict`, the model's config, changed in place.
        model: the model.

    Returns:
        `dict` of custom objects, by which Keras shall read the config.
    """
    objects, layers = makers(model), dict(values.leaves(model))
    _point_to_functions(config, layers, objects)
    _make_once(config, layers, objects)
    return objects


def _point_to_functions(config, layers, objects, path=()):
    for entry in config["layers"]:
        inner = entry["config"]
        here = path + (entry.get("name") or inner["name"],)
        if isinstance(inner.get("layers"), list):
            _point_to_functions(inner, layers, objects, here)
        elif here in layers:
            _point_to_class(entry, layers[here], "/".join(here), objects)


def _point_to_class(entry, layer, path, objects):
    """Several classes may have the same name."""
    if not type(layer).__module__.startswith(("keras.", "tfprune.")):
        name = f"class of {path}"
        objects[name] = _maker_of(type(layer))
        entry["registered_name"] = name
    _point_in_layer(entry["config"], layer, path, objects)


def _point_in_layer(config, layer, path, objects):
    for key, value in config.items():
        if not isinstance(value, (str, dict)):
            continue
        own = _at(layer, key)
        inner = isinstance(value, dict) and isinstance(own, keras.layers.Layer)
        if inner and isinstance(value.get("config"), dict):
            _point_to_class(value, own, f"{path}/{key}", objects)
        elif _is_own_function(layer, own) and (
            key == "function" or not isinstance(layer, keras.layers.Lambda)
        ):
            name = f"{key} of {path}"
            objects[name] = own
            config[key] = {
                "class_name": "function",
                "registered_name": name,
                "module": None,
                "config": name,
            }


def _is_own_function(layer, thing):
    """Whether a layer of Keras has a function of the user's own."""
    from_keras = type(layer).__module__.startswith("keras.")
    module = getattr(thing, "__module__", None) or ""
    return (
        from_keras
        and inspect.isfunction(thing)
        and not module.startswith("keras.")
    )


def _make_once(config, layers, objects):
    places = {}
    for entry, layer in _entries(config, layers):
        places.setdefault(id(layer), []).append(entry)
    for entries in places.values():
        if len(entries) == 1:
            continue
        once = _Once({k: entries[0][k] for k in _CLASS if k in entries[0]})
        name = f"the only {entries[0]['config']['name']} {len(objects)}"
        objects[name] = once
        for entry in entries:
            config = {"name": entry["config"]["name"]}
            stand_in = (None, name, config, name)
            entry.update(zip(_CLASS, stand_in, strict=True))


# The keys of an entry that tell the class of a layer and its settings.
_CLASS = ("module", "class_name", "config", "registered_name")


class _Once:
    """Stands for the class of a layer, which it makes once."""

    def __init__(self, entry):
        self._entry = entry
        self._made = None

    def from_config(self, config):
        if self._made is None:
            self._made = keras.saving.deserialize_keras_object(self._entry)
        return self._made


def _entries(config, layers, path=()):
    """The entries of a config and of what layers hold, with the layers."""
    for entry in config["layers"]:
        inner = entry["config"]
        here = path + (entry.get("name") or inner["name"],)
        if isinstance(inner.get("layers"), list):
            yield from _entries(inner, layers, here)
        elif here in layers:
            yield entry, layers[here]
            held = collections.defaultdict(list)
            for layer in _with_inner([layers[here]])[1:]:
                held[layer.name].append(layer)
            # A name of several, as cells of an RNN may have, tells none.
            only = {k: found[0] for k, found in held.items() if len(found) == 1}
            if held:
                yield from _held(inner, only, layers[here])


def _held(nested, layers, own):
    """The entries in a layer's config that are those of layers in it.

    Args:
        nested: a part of the config.
        layers: `dict` from names to the layers that alone have them.
        own: what is in the layer where that part is in its config: a layer
            for its settings or its entry, a list, or anything else.
    """
    if isinstance(nested, (list, tuple)):
        fits = isinstance(own, (list, tuple)) and len(own) == len(nested)
        places = own if fits else [None] * len(nested)
        for part, place in zip(nested, places, strict=True):
            yield from _held(part, layers, place)
    elif isinstance(nested, dict):
        inner = nested.get("config")
        is_entry = isinstance(inner, dict) and "class_name" in nested
        name = inner.get("name") if isinstance(inner, dict) else None
        found = layers.get(name) if isinstance(name, str) else None
        if isinstance(own, keras.layers.Layer) and own.name == name:
            found = own
        if type(found).__name__ == nested.get("class_name"):
            yield nested, found
        for key, part in nested.items():
            yield from _held(part, layers, own if is_entry else _at(own, key))


def _at(layer, key):
    """What a layer has of a setting."""
    # A bidirectional layer has made its own one of what it was given.
    return getattr(layer, f"forward_{key}", getattr(layer, key, None))
