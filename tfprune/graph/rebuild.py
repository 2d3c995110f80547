"""Builds a new model from the config of another, with its weights."""

import collections
import functools

import keras
import numpy as np

from tfprune.core import deep_chains
from tfprune.core import slices
from tfprune.core.files import leftovers
from tfprune.graph import document
from tfprune.graph import rulebook
from tfprune.graph import values
from tfprune.graph.classes import model_class
from tfprune.graph.classes import own_layers
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
    layers = dict(values.leaves(model))
    _prepare(config, layers, starts)
    objects = own_layers.pinned(config, model)
    with deep_chains.explained(model.name):
        new = type(model).from_config(config, objects)
    for path, new_layer in values.leaves(new):
        _assign(layers[path], new_layer, starts)
        for key in starts.keys.get(path, ()):
            _restore(layers[path], new_layer, key)
    _copy_flags(model, new)
    for path, new_layer in values.leaves(new):
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


def _edited(config, edit, keep):
    kept = keep[edit.labels]
    if edit.axis is None:
        return int(kept.sum())
    array = np.array(document.get_in(config, edit.keys))
    if edit.among is not None:
        array = (np.cumsum(keep[edit.among]) - 1)[array]
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


def _copy_flags(old, new):
    """Freezes what is frozen: a config does not say so of all layers inside."""
    # The outer flag first: setting it sets those of all layers inside.
    if new.trainable != old.trainable:
        new.trainable = old.trainable
    layers = collections.defaultdict(list)
    for layer in values.sublayers(old):
        layers[layer.name].append(layer)
    for layer in values.sublayers(new):
        if layers[layer.name]:
            _copy_flags(layers[layer.name].pop(0), layer)


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
    done to the new one first. One that is built by its first call on data, as
    an activation with weights is, is built as the old one.
    """
    inner = zip(
        values.layers(old_layer), values.layers(new_layer), strict=False
    )
    for old, new in inner:
        if old.built and not new.built:
            new.build_from_config(old.get_build_config() or {})
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
