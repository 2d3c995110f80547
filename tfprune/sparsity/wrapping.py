"""Wraps layers of a model for pruning in training, and unwraps them."""

import collections
import fnmatch

import keras
import numpy as np
from absl import logging

from tfprune.core import deep_chains
from tfprune.core import typed
from tfprune.graph import document
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.graph import values
from tfprune.graph.classes import model_class
from tfprune.graph.classes import own_layers
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import shared_variables as shared_lib
from tfprune.sparsity import weights as weights_lib
from tfprune.sparsity import wrapper as wrapper_lib

_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)


def kernels(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer has a kernel; embeddings do not count."""
    return any(
        not name.endswith("embeddings") for name in weights_lib.names(layer)
    )


def convolutions(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer is a convolution of any kind."""
    return isinstance(layer, _CONVOLUTIONS)


def dense(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer is `Dense` or `EinsumDense`."""
    return isinstance(layer, (keras.layers.Dense, keras.layers.EinsumDense))


def normalizations(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer is `BatchNormalization` with scales."""
    return bool(weights_lib.scales(layer))


def wrap(
    model: keras.Model, method: method_lib.Method, where: typed.Where = kernels
) -> keras.Model:
    """Copies a model and applies a method to some of its layers.

    The copy gives the same outputs until it is trained, unless the method
    quantizes. It has the layers, names, weights and settings of the original,
    which is not changed. A `keras.models.clone_model` of the copy lacks what
    methods learn here about the model, such as which channels can go: clone the
    plain model and wrap the clone, or save and load the copy.

    Args:
        model: a built `keras.Model`: Functional, Sequential, or subclassed
            and traceable.
        method: a method object, such as `Masked()`.
        where: the layers to wrap: a predicate (`kernels`, `convolutions`,
            `dense`, `normalizations` or any function of a layer), a name
            pattern (`"stage1/*"`, where a slash descends into a nested
            model), or a list of these. Layers without a weight for the method
            are skipped, and those that share a layer, as
            `TimeDistributed(layer)` and `layer` do.

    Returns:
        A model of the same class, compiled if `model` is.

    Raises:
        ValueError: If something in `where` matches nothing, or matches a
            layer that is already wrapped, or if a weight is NaN or infinite.

    Example:

    >>> wrapped = tfprune.wrap(model, tfprune.methods.Masked())
    """
    model, _ = read.as_graph_model(model)
    if not isinstance(method, method_lib.Method):
        raise ValueError(
            f"`method` must be a method object. Received: method={method!r}. "
            f"Registered: {', '.join(method_lib.METHODS.names())}."
        )
    values.check_finite(model)
    chosen = _choose(model, method, where)
    shapes = method.shared_shapes(model)
    shared = shared_lib.Shared(shapes, len(chosen)) if shapes else None
    copies: dict = {}

    def edit(layer, entry):
        if id(layer) in chosen:
            _put_wrapper(layer, entry, method, shared)
        elif isinstance(layer, wrapper_lib.PruningWrapper):
            layer.renew_shared(entry["config"], copies)

    wrapped = _edited(model, edit, _copy_state)
    for each, slots in wrapper_lib.groups(wrapped):
        each.prepare(wrapped, slots)
    return wrapped


def plain(model):
    """Returns a wrapped model as `unwrap` does, any other as it is."""
    wrapped = isinstance(model, keras.Model) and wrapper_lib.find(model)
    return unwrap(model) if wrapped else model


def unwrap(model: keras.Model, fold: bool = True) -> keras.Model:
    """Copies a wrapped model without wrappers, as plain Keras layers.

    Args:
        model: a built `keras.Model`.
        fold: `bool`, whether weights get their effective values in inference;
            otherwise they keep their trained values.

    Returns:
        A model of the same class, compiled if `model` is.

    Raises:
        ValueError: If a method's effect on outputs cannot be folded into
            weights.
    """
    model, _ = read.as_graph_model(model)

    def edit(layer, entry):
        if isinstance(layer, wrapper_lib.PruningWrapper):
            _take_wrapper(entry)

    def copy(old, new):
        if isinstance(old, wrapper_lib.PruningWrapper):
            _copy_state(old.layer, new)
            if fold:
                _fold(old, new)
        else:
            _copy_state(old, new)

    return _edited(model, edit, copy)


def exchange(model, change):
    """Copies a wrapped model with other methods on the same layers.

    Variables of a method keep their values if the new method has a variable
    of the same name.

    Args:
        model: a model from `wrap`; it is not changed.
        change: function from a method to its replacement; in a `Chain`, each
            method is replaced.

    Returns:
        A model of the same class, compiled if `model` is.
    """
    model, _ = read.as_graph_model(model)

    copies = {}

    def edit(layer, entry):
        if isinstance(layer, wrapper_lib.PruningWrapper):
            entry["config"]["method"] = layer.method.mapped(change)
            layer.renew_shared(entry["config"], copies)

    def copy(old, new):
        if isinstance(old, wrapper_lib.PruningWrapper):
            _copy_state(old.layer, new)
            _copy_slots(old, new)
        else:
            _copy_state(old, new)

    return _edited(model, edit, copy)


def _choose(model, method, where):
    """The `id`s of the layers that `where` selects."""
    matchers = list(where) if isinstance(where, (list, tuple)) else [where]
    layers = list(_paths(model))
    chosen, sharing = set(), _sharing(layers)
    if len(layers) and not any(
        method.sites(_inner(layer)) for _, layer in layers
    ):
        _refuse_odd(layers)
    for matcher in matchers:
        matches = _matcher(matcher, layers)
        found = [
            layer
            for path, layer in layers
            if matches(path, layer) and method.sites(_inner(layer))
        ]
        if not found:
            able = [
                path for path, layer in layers if method.sites(_inner(layer))
            ]
            told = getattr(matcher, "__name__", repr(matcher))
            raise ValueError(
                "`where` must match a layer that the method can act on. "
                f"Received: where={told}, which matches none. "
                f"{type(method).__name__} acts on: {', '.join(able) or 'none'}."
            )
        for layer in found:
            if isinstance(layer, wrapper_lib.PruningWrapper):
                raise ValueError(
                    f"A layer can be wrapped once. Received: where={matcher!r}"
                    f", which matches layer {layer.name!r}, wrapped with "
                    f"{layer.method} already. Unwrap the model first, or "
                    "choose other layers."
                )
        chosen.update(id(layer) for layer in found)
    shared = [path for path, layer in layers if id(layer) in chosen & sharing]
    chosen -= sharing
    if shared and not chosen:
        raise ValueError(
            "A weight can have one wrapper. Received: layers that share the "
            f"layer that they hold: {', '.join(shared)}. Choose other layers."
        )
    if shared:
        logging.warning(
            "These layers are not wrapped, because they share the layer that "
            "they hold: %s.",
            ", ".join(shared),
        )
    odd = [p for p, layer in layers if id(layer) not in chosen and _odd(layer)]
    if odd:
        logging.warning(
            "These layers are not wrapped, because their weights are quantized "
            "or sums (LoRA): %s. Wrap, train and strip the model before "
            "model.quantize() and enable_lora().",
            ", ".join(odd),
        )
    return chosen


def _sharing(layers):
    """The `id`s of layers with weights that another one holds as well."""
    owners = collections.defaultdict(set)
    for layer in {id(layer): layer for _, layer in layers}.values():
        for variable in layer.weights:
            owners[id(variable)].add(id(layer))
    return set().union(*(found for found in owners.values() if len(found) > 1))


def _refuse_odd(layers):
    """Raises an error if quantization or LoRA leaves nothing to wrap."""
    odd = [path for path, layer in layers if _odd(layer)]
    if odd:
        raise ValueError(
            "Weights must be plain to be wrapped. Received: layers with "
            f"weights that are quantized or sums (LoRA): {', '.join(odd)}. "
            "Wrap, train and strip the model before model.quantize() and "
            "enable_lora()."
        )


def _odd(layer):
    lora = (getattr(x, "lora_enabled", False) for x in values.layers(layer))
    return any(lora) or bool(values.quantization(layer))


def _matcher(matcher, layers):
    if isinstance(matcher, str):
        if any(matcher in (path, layer.name) for path, layer in layers):
            return lambda path, layer: matcher in (path, layer.name)
        return lambda path, layer: (
            fnmatch.fnmatchcase(path, matcher)
            or fnmatch.fnmatchcase(layer.name, matcher)
        )
    if callable(matcher):
        return lambda path, layer: matcher(_inner(layer))
    raise ValueError(
        "`where` must be a predicate, a pattern of names, or a list of these. "
        f"Received: where={matcher!r}"
    )


def _inner(layer):
    wrapped = isinstance(layer, wrapper_lib.PruningWrapper)
    return layer.layer if wrapped else layer


def _paths(model, prefix="", seen=None):
    """`(path, layer)` of all layers, nested models opened."""
    seen = {} if seen is None else seen
    for layer in model.layers:
        path = prefix + layer.name
        if id(layer) in seen and seen[id(layer)] != prefix:
            raise ValueError(
                "A layer must not be shared between a model and one nested "
                f"in it, because their configs lose the sharing. Received: "
                f"layer {path!r}, which is also in "
                f"{seen[id(layer)] or 'the outer model'!r}. Call the layer in "
                "only one of them."
            )
        seen[id(layer)] = prefix
        if _is_nested(layer):
            yield from _paths(layer, path + "/", seen)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield path, layer


def _is_nested(layer):
    return isinstance(layer, keras.Model) and "layers" in layer.get_config()


# Keys of a Functional model's entry that do not describe the layer itself.
_CALLS = ("name", "inbound_nodes")


def _put_wrapper(layer, entry, method, shared):
    """Turns a layer's config entry into that of a wrapper around it."""
    cls = wrapper_lib.PruningWrapper
    calls = {k: entry.pop(k) for k in _CALLS if k in entry}
    inner = dict(entry)
    entry.clear()
    entry.update(
        calls,
        module=cls.__module__,
        class_name=cls.__name__,
        registered_name=keras.saving.get_registered_name(cls),
        config={
            "name": layer.name,
            "layer": inner,
            "method": method,
            "shared": shared,
        },
    )


def _take_wrapper(entry):
    calls = {k: entry.pop(k) for k in _CALLS if k in entry}
    inner = entry["config"]["layer"]
    entry.clear()
    entry.update(inner, **calls)


def _edited(model, edit, copy):
    """Rebuilds a model from its config, edited layer by layer.

    Args:
        model: a Functional or Sequential model.
        edit: function `(layer, entry)` that changes a layer's entry.
        copy: function `(old, new)` that copies a layer's state.
    """
    cls, config = type(model), document.of(model)
    objects = own_layers.pinned(config, model) | {cls.__name__: cls}
    _edit_entries(model, config, edit)
    # The model is a live object, so its lambdas are already trusted.
    with deep_chains.explained(model.name):
        new = keras.saving.deserialize_keras_object(
            {
                "module": cls.__module__,
                "class_name": cls.__name__,
                "registered_name": cls.__name__,
                "config": config,
            },
            custom_objects=objects,
            safe_mode=False,
        )
    _copy_layers(model, new, copy)
    model_class.stands_for(new, model)
    return model_class.restored(new)


def _edit_entries(model, config, edit):
    layers = {layer.name: layer for layer in model.layers}
    for entry in config["layers"]:
        layer = layers.get(entry["config"].get("name"))
        if layer is None:
            continue
        if _is_nested(layer):
            _edit_entries(layer, entry["config"], edit)
        else:
            edit(layer, entry)


def _copy_layers(old, new, copy):
    # The model's flag first: setting it sets those of all its layers.
    new.trainable = old.trainable
    for old_layer in old.layers:
        new_layer = new.get_layer(old_layer.name)
        if _is_nested(old_layer):
            _copy_layers(old_layer, new_layer, copy)
        else:
            new_layer.trainable = old_layer.trainable
            copy(old_layer, new_layer)
            both = old_layer, new_layer
            if all(isinstance(x, wrapper_lib.PruningWrapper) for x in both):
                # What the model is compiled with spares the same.
                new_layer.state.spared = old_layer.state.spared


def _copy_state(old, new):
    """Copies values and flags of variables; `new` may be newly wrapped."""
    if not isinstance(old, wrapper_lib.PruningWrapper):
        new = _inner(new)
    pairs = [
        *rebuild.variables(old, new),
        *zip(values.states(old), values.states(new), strict=True),
    ]
    for source, target in pairs:
        # Copy: on JAX both would own one buffer, which training donates.
        target.assign(np.array(keras.ops.convert_to_numpy(source)))
        target.trainable = source.trainable
    rebuild.copy_assets(old, new)


def _copy_slots(old, new):
    pairs = [(old.updated, new.updated)]
    for name, slot in new.slots.items():
        known = old.slots[name].variables if name in old.slots else {}
        pairs += [(known.get(k), v) for k, v in slot.variables.items()]
    for source, target in pairs:
        if source is not None and target is not None:
            target.assign(np.array(keras.ops.convert_to_numpy(source)))


def _fold(wrapper, layer):
    folded = wrapper.folded()
    factors = folded.pop(method_lib.OUTPUTS, None)
    for name, value in folded.items():
        weights_lib.variable(layer, name).assign(value)
    if factors is not None:  # They scale what the layer computes with by now.
        weights_lib.scale_outputs(layer, factors)
