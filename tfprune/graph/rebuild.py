"""Builds a new model from the config of another, with its weights."""

import collections
import functools
import inspect

import keras
import numpy as np

from tfprune.core import deep_chains
from tfprune.core import slices
from tfprune.core.files import leftovers
from tfprune.graph import document
from tfprune.graph import model_class
from tfprune.graph import rulebook
from tfprune.graph import values
from tfprune.graph.rules import additions


def shrink(graph, keep, changes=None):
    """Rebuilds a model with only some of its channels.

    Layers, names, order and everything else in the config stay the same; only
    channel counts change, and the weights are slices of the original ones.

    Args:
        graph: a `ChannelGraph`.
        keep: bool array, shape `(graph.size,)`.
        changes: `dict` from `id(variable)` to the variable's new value before
            slicing (numpy array of its original shape).

    Returns:
        A model of the class of `graph.model`, compiled if the original is.
    """
    changes = changes or {}
    config = document.copied(graph.config)
    sums = [] if keep.all() else additions.as_numpy(config)
    for edit in graph.edits:
        config = document.set_in(config, edit.keys, _edited(config, edit, keep))
    additions.turn(sums)

    factors = {
        id(f.variable): keep[f.labels].mean() ** f.power for f in graph.factors
    }

    def value_of(variable):
        bindings = graph.bound(variable)
        value = changes.get(id(variable))
        if value is None:
            if all(keep[b.labels].all() for b in bindings):
                return variable.value
            value = values.numpy(variable, exact=True)
        found = slices.taken(value, {b.axis: keep[b.labels] for b in bindings})
        factor = factors.get(id(variable), 1)
        if factor != 1:
            return (found * factor).astype(found.dtype)
        return found if found is value else values.given(found)

    return model_class.restored(build(graph.model, config, value_of))


def build(model, config, value_of):
    """Builds a model from a changed config, with weights from the old layers.

    Args:
        model: the Functional or Sequential model that the config belongs to.
        config: `dict`, the changed config; it is consumed.
        value_of: function from a variable of `model` to the value of its
            replacement.

    Returns:
        A model of the class of `model`, compiled if the original is;
        Functional if a subclassed model was traced.
    """
    starts = _Starts(value_of)
    layers, objects = dict(_leaves(model)), makers(model)
    _prepare(config, layers, starts)
    _point_to_functions(config, layers, objects)
    _make_once(config, layers, objects)
    with deep_chains.explained(model.name):
        new = type(model).from_config(config, objects)
    for path, new_layer in _leaves(new):
        _assign(layers[path], new_layer, starts)
        for key in starts.keys.get(path, ()):
            _restore(layers[path], new_layer, key)
    _copy_flags(model, new)
    for path, new_layer in _leaves(new):
        for old, own in variables(layers[path], new_layer):
            if own.trainable != old.trainable:
                own.trainable = old.trainable  # One of a layer may be frozen.
    model_class.stands_for(new, model)
    return new


class _Starts:
    """Initializers that give new variables the values of old ones.

    Args:
        value_of: as for `build`.

    Attributes:
        keys: `dict` from the path of each layer to the settings that hold an
            initializer of these.
        given: set of the `id`s of the old variables whose value is given.
        shared: `dict` from the `id` of what wrappers share to its copy.
    """

    def __init__(self, value_of):
        self.value_of = value_of
        self.keys = collections.defaultdict(list)
        self.given = set()
        self.shared = {}

    def initializer(self, layer, key):
        """What stands in for `layer`'s initializer of the name `key`."""
        stem = key.removesuffix("_initializer")
        # That of a depthwise layer alone may be called its kernel.
        other = ("kernel",) if stem == "depthwise" else ()
        for name in (stem, f"{stem}_kernel", *other):
            variable = getattr(layer, name, None)
            if isinstance(variable, keras.Variable):
                return functools.partial(self._start, variable)
        return "zeros"

    def _start(self, variable, shape, dtype=None):
        value = self.value_of(variable)
        if tuple(value.shape) != tuple(shape):
            return keras.ops.zeros(shape, dtype)
        self.given.add(id(variable))
        return values.own(value, dtype)


def custom_objects(model):
    """The classes and functions of a model that Keras does not know."""
    objects = {}
    for layer in _with_inner(layers_of(model)):
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


def layers_of(model):
    """All layers of a model and of the models nested in it, once each."""
    seen, found = set(), []

    def visit(layers):
        for layer in layers:
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            found.append(layer)
            if isinstance(layer, keras.Model):
                visit(layer.layers)

    visit(model.layers)
    return found


def _edited(config, edit, keep):
    kept = keep[edit.labels]
    if edit.axis is None:
        return int(kept.sum())
    array = np.array(document.get_in(config, edit.keys))
    return np.take(array, np.flatnonzero(kept), axis=edit.axis).tolist()


def _prepare(config, layers, starts, path=()):
    """Makes a config quick to build: no random numbers, no old shapes."""
    for entry in config["layers"]:
        _forget_shapes(entry)
        inner = entry["config"]
        name = path + (entry.get("name") or inner["name"],)
        if isinstance(inner.get("layers"), list) and inner["layers"]:
            _prepare(inner, layers, starts, name)
        if entry.get("module") != "keras.layers" or not (
            rulebook.is_known(entry)
        ):
            if name in layers:
                if hasattr(layers[name], "renew_shared"):
                    layers[name].renew_shared(inner, starts.shared)
            continue
        attributes = vars(layers[name]) if name in layers else ()
        for key, value in inner.items():
            own = key in attributes
            if own and key.endswith("_initializer") and value is not None:
                starts.keys[name].append(key)
                inner[key] = starts.initializer(layers[name], key)
            elif key == "dtype" and _is_plain_policy(value):
                inner[key] = value["config"]["name"]


def _forget_shapes(entry):
    """Lets a layer, and those within it, be built by their first call."""
    entry.pop("build_config", None)
    entry.pop("compile_config", None)
    for value in entry["config"].values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict) and isinstance(
                inner.get("config"), dict
            ):
                _forget_shapes(inner)


def _is_plain_policy(value):
    return isinstance(value, dict) and value["class_name"] == "DTypePolicy"


def point_to_functions(config, model, objects):
    """Lets layers find classes and functions of the user's own themselves.

    No code is read back, and none is taken for one of Keras, or another one,
    that has the same name.

    Args:
        config: `dict`, the model's config, changed in place.
        model: the model.
        objects: `dict` of custom objects, to which the functions are added.
    """
    _point_to_functions(config, dict(_leaves(model)), objects)


def _point_to_functions(config, layers, objects, path=()):
    for entry in config["layers"]:
        inner = entry["config"]
        here = path + (entry.get("name") or inner["name"],)
        if isinstance(inner.get("layers"), list):
            _point_to_functions(inner, layers, objects, here)
        elif here in layers:
            _point_to_class(entry, layers[here], "/".join(here), objects)


def _point_to_class(entry, layer, path, objects):
    """As `point_to_functions`: several classes may have the same name."""
    if not type(layer).__module__.startswith(("keras.", "tfprune.")):
        name = f"class of {path}"
        objects[name] = _maker_of(type(layer))
        entry["registered_name"] = name
    _point_in_layer(entry["config"], layer, path, objects)


def _point_in_layer(config, layer, path, objects):
    for key, value in config.items():
        if not isinstance(value, (str, dict)):
            continue
        # A bidirectional layer has made its own one of what it was given.
        own = getattr(layer, f"forward_{key}", getattr(layer, key, None))
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


def make_once(config, model, objects):
    """Lets a layer that several others hold be made once.

    Args:
        config: `dict`, the model's config, changed in place.
        model: the model.
        objects: `dict` of custom objects, to which what makes it is added.
    """
    _make_once(config, dict(_leaves(model)), objects)


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
            if only:
                yield from _held(inner, only)


def _held(nested, layers):
    """The entries in a layer's config that are those of layers in it."""
    if isinstance(nested, (list, tuple)):
        for part in nested:
            yield from _held(part, layers)
    elif isinstance(nested, dict):
        inner = nested.get("config")
        name = inner.get("name") if isinstance(inner, dict) else None
        found = layers.get(name) if isinstance(name, str) else None
        if type(found).__name__ == nested.get("class_name"):
            yield nested, found
        for part in nested.values():
            yield from _held(part, layers)


def _leaves(model, path=()):
    """Paths and layers of a model, nested models opened."""
    for layer in model.layers:
        here = path + (layer.name,)
        if hasattr(layer, "operations") or isinstance(layer, keras.Sequential):
            yield from _leaves(layer, here)
        else:
            yield here, layer


def _copy_flags(old, new):
    """Freezes what is frozen: a config does not say so of all layers inside."""
    # The outer flag first: setting it sets those of all layers inside.
    if new.trainable != old.trainable:
        new.trainable = old.trainable
    layers = {layer.name: layer for layer in values.sublayers(old)}
    for layer in values.sublayers(new):
        if layer.name in layers:
            _copy_flags(layers[layer.name], layer)


def _assign(old_layer, new_layer, starts):
    pairs = [
        *variables(old_layer, new_layer),
        *zip(values.states(old_layer), values.states(new_layer), strict=True),
    ]
    for old, new in pairs:
        if id(old) in starts.given:
            continue
        value = starts.value_of(old)
        if tuple(value.shape) != tuple(new.shape):
            raise ValueError(
                "A rule must bind every variable that a channel passes "
                f"through. Received: variable={old.path!r}, which should "
                f"have shape {tuple(new.shape)} and has {tuple(value.shape)}. "
                f"Fix the rule of {type(old_layer).__name__}, or exclude the "
                "layer with `skip`."
            )
        new.assign(values.own(value))
    copy_assets(old_layer, new_layer)


def copy_assets(old, new):
    """Gives a layer what another one knows beside its variables.

    The vocabulary of a lookup layer, for example, is not a variable.
    """
    if hasattr(new, "save_assets"):
        with leftovers.folder() as folder:
            old.save_assets(folder)
            new.load_assets(folder)
    if hasattr(new, "finalize_state"):
        new.finalize_state()


def variables(old_layer, new_layer):
    """Pairs of the variables of a layer and of the one that is built for it.

    What a config does not say of the layers inside (LoRA, quantization) is
    done to the new one first.
    """
    inner = zip(
        values.layers(old_layer), values.layers(new_layer), strict=False
    )
    for old, new in inner:
        rank = getattr(old, "lora_rank", None)
        if getattr(old, "lora_enabled", False) and not new.lora_enabled:
            new.enable_lora(rank, lora_alpha=old.lora_alpha)
        mode = getattr(old, "quantization_mode", None)
        if mode and not new.quantization_mode:
            new.quantize(mode)
    old, new = old_layer.variables, new_layer.variables
    by_name = {variable.name: variable for variable in new}
    if len(by_name) == len(new) and {v.name for v in old} == set(by_name):
        return [(variable, by_name[variable.name]) for variable in old]
    by_path = [[_tail(v) for v in side] for side in (old, new)]
    if by_path[0] != by_path[1] and sorted(by_path[0]) == sorted(by_path[1]):
        places = [by_path[1].index(tail) for tail in by_path[0]]
        return [(v, new[i]) for v, i in zip(old, places, strict=True)]
    return list(zip(old, new, strict=True))


def _tail(variable):
    return variable.path.split("/")[-2:]


def _restore(old_layer, new_layer, key):
    initializer = getattr(old_layer, key, None)
    if initializer is not None:
        clone = getattr(initializer, "clone", lambda: initializer)
        setattr(new_layer, key, clone())
