"""Runs the document that a model's `get_config()` gives.

The config of a Functional or Sequential model, with those of the models
nested in it, says everything about the graph: which layer or op is called, in
which order, on what. `run` plays it, with any objects in place of tensors:
label records when the graph is read, arrays when values are needed.
"""

import dataclasses
import functools

import keras
import numpy as np

from tfprune.graph import tensor as tensor_lib


@dataclasses.dataclass(frozen=True)
class Site:
    """One call of one layer or op in the document.

    Attributes:
        path: `str`, names of the enclosing models and of the layer, joined
            by slashes; the outermost model's name is left out.
        keys: tuple, where the layer's entry stands in the document.
        entry: `dict`, the layer's entry (`class_name`, `config`, ...).
        node: `int`, which of the entry's calls this is.
        live: the layer or operation itself.
        shapes: `dict` of the output shapes that the document knows, by the
            number of the output, or `None`.
        dtypes: `dict` of their dtypes, likewise.
        is_masked: `bool`, whether Keras gives the layer a mask of which the
            document says nothing, as in Sequential models.
    """

    path: str
    keys: tuple
    entry: dict
    node: int
    live: object
    shapes: object = None
    dtypes: dict = dataclasses.field(default_factory=dict)
    is_masked: bool = False


def of(model):
    """The document of a model, in which each layer has its name.

    Keras leaves the name out of a config that it makes for a user's class.

    Args:
        model: a Functional or Sequential model.

    Returns:
        `dict`, the model's config.
    """
    config = model.get_config()
    _name(config, model)
    return config


def _name(config, model):
    layers = {layer.name: layer for layer in model.layers}
    rest = iter(
        name
        for name, layer in layers.items()
        if not isinstance(layer, keras.layers.InputLayer)
    )
    for entry in config["layers"]:
        name = entry.get("name")
        if name is None and entry["class_name"] != "InputLayer":
            name = next(rest)  # Of a Sequential model.
        if name in layers:
            entry["config"].setdefault("name", name)
            if is_model(entry, layers[name]):
                _name(entry["config"], layers[name])


def run(
    config, model, inputs, apply, enter=None, path="", keys=(), training=None
):
    """Calls `apply` for every layer and op of the model, in order.

    Args:
        config: `dict`, the model's config.
        model: the model, or a nested one.
        inputs: the objects that stand for the input tensors, flat.
        apply: function `(site, args, kwargs) -> output`; in `args` and
            `kwargs` tensors are replaced by the objects that stand for them.
        enter: function `(site, tensors)`, called for every call of a nested
            model before its layers are, or `None`.
        path, keys: where the model stands in the whole document.
        training: `bool`, what the model is called with; its layers get it.

    Returns:
        The flat list of objects that stand for the outputs.
    """
    play = _run_functional if "input_layers" in config else _run_sequential
    call = functools.partial(_call, apply, enter, training)
    return play(config, model, inputs, call, path, keys)


def is_model(entry, live):
    """Whether an entry is a model whose own layers the document lists."""
    config = entry["config"]
    return isinstance(live, keras.Model) and (
        "input_layers" in config
        or (isinstance(live, keras.Sequential) and "layers" in config)
    )


def input_keys(site):
    """Where the shape of each input of a nested model stands."""
    entries = site.entry["config"]["layers"]
    if "input_layers" in site.entry["config"]:
        places = {entry["name"]: i for i, entry in enumerate(entries)}
        inputs = references(site.entry["config"]["input_layers"])
        found = [places[name] for name, _, _ in inputs]
    else:
        found = [
            i for i, e in enumerate(entries) if e["class_name"] == "InputLayer"
        ]
    below = site.keys + ("config", "layers")
    return [below + (i, "config", "batch_shape") for i in found]


def _run_sequential(config, model, inputs, call, path, keys):
    lives = {layer.name: layer for layer in model.layers}
    x, is_masked = inputs[0], False
    for i, entry in enumerate(config["layers"]):
        name = entry["config"]["name"]
        if entry["class_name"] == "InputLayer":
            continue
        live, place = lives[name], keys + ("layers", i)
        site = Site(path + name, place, entry, 0, live, is_masked=is_masked)
        x = call(site, (x,), {})
        is_masked = _gives_mask(live, is_masked)
    return keras.tree.flatten(x)


def _gives_mask(layer, is_masked):
    """Whether a mask goes on from a layer, or begins there."""
    if isinstance(layer, keras.layers.Masking) or getattr(
        layer, "mask_zero", False
    ):
        return True
    goes_on = getattr(layer, "return_sequences", layer.supports_masking)
    return is_masked and goes_on


def _run_functional(config, model, inputs, call, path, keys):
    lives = {op.name: op for op in model.operations}
    starts = references(config["input_layers"])
    values = dict(zip(starts, inputs, strict=True))
    shapes, dtypes = _known_outputs(config, model)
    waiting = {
        i: len(entry["inbound_nodes"])
        for i, entry in enumerate(config["layers"])
        if entry["inbound_nodes"]
    }
    while waiting:
        before = dict(waiting)
        for i in before:
            entry = config["layers"][i]
            calls = entry["inbound_nodes"]
            for node in range(len(calls) - waiting[i], len(calls)):
                if not all(r in values for r in _inputs_of(calls[node])):
                    break
                name = entry["name"]
                site = Site(
                    path + name,
                    keys + ("layers", i),
                    entry,
                    node,
                    lives[name],
                    shapes.get((name, node)),
                    dtypes.get((name, node), {}),
                )
                here = ("inbound_nodes", node)
                args = _decode(calls[node]["args"], values, here + ("args",))
                kwargs = _decode(
                    calls[node]["kwargs"], values, here + ("kwargs",)
                )
                out = call(site, args, kwargs)
                for k, value in enumerate(keras.tree.flatten(out)):
                    values[name, node, k] = value
                waiting[i] -= 1
        waiting = {i: n for i, n in waiting.items() if n}
        if waiting == before:
            stuck = [config["layers"][i]["name"] for i in waiting]
            raise ValueError(
                "A model's config must be a graph without loops. Received: "
                f"layers whose inputs never come: {stuck}."
            )
    return [values[r] for r in _output_references(config, lives)]


def _call(apply, enter, training, site, args, kwargs):
    # Layers that do not take it hand it on to those inside of them.
    if training is not None and isinstance(site.live, keras.layers.Layer):
        kwargs = {**kwargs, "training": training}
    if not is_model(site.entry, site.live):
        return apply(site, args, kwargs)
    given = args[0] if args else kwargs["inputs"]
    tensors = in_order(site.live, given)
    if enter is not None:
        enter(site, tensors)
    outputs = run(
        site.entry["config"],
        site.live,
        tensors,
        apply,
        enter,
        site.path + "/",
        site.keys + ("config",),
        kwargs.get("training"),
    )
    return outputs[0] if len(outputs) == 1 else outputs


def in_order(model, given):
    """What a nested model is called on, in the order of its inputs.

    Args:
        model: the model.
        given: the argument of its call: one object for a tensor, or a list or
            `dict` of them; a `dict` may name the inputs of a list.
    """
    if isinstance(given, dict) and not isinstance(_structure(model), dict):
        return [given[x.name] for x in model.inputs]
    return keras.tree.flatten(given)


def _structure(model):
    one = isinstance(model, keras.Sequential)
    return model.inputs if one else model.input


def references(nested):
    """The `(layer, node, tensor)` triples of `input_layers`, flat."""
    if isinstance(nested, dict):
        return [r for key in sorted(nested) for r in references(nested[key])]
    if nested and isinstance(nested[0], str):
        return [tuple(nested)]
    return [r for item in nested for r in references(item)]


def _output_references(config, lives):
    # Keras counts the calls of a nested Functional model from 1 in
    # `output_layers` (node 0 is the model's own graph), from 0 elsewhere.
    def adjust(name, node, k):
        live = lives[name]
        nested = hasattr(live, "operations") and not isinstance(
            live, keras.Sequential
        )
        return name, node - nested, k

    return [adjust(*r) for r in references(config["output_layers"])]


def _known_outputs(config, model):
    """Shapes and dtypes of every call's outputs, as the document tells them."""
    shapes, dtypes = {}, {}

    def note(reference, shape, dtype):
        name, node, k = reference
        shapes.setdefault((name, node), {})[k] = tuple(shape)
        dtypes.setdefault((name, node), {})[k] = dtype

    for entry in config["layers"]:
        for call in entry["inbound_nodes"]:
            for leaf in tensor_entries((call["args"], call["kwargs"])):
                note(leaf["keras_history"], leaf["shape"], leaf["dtype"])
    lives = {op.name: op for op in model.operations}
    outputs = zip(_output_references(config, lives), model.outputs, strict=True)
    for reference, output in outputs:
        note(reference, output.shape, str(output.dtype))
    return shapes, dtypes


def tensor_entries(nested):
    """The entries of the symbolic tensors in the arguments of a call."""
    if isinstance(nested, dict):
        if nested.get("class_name") == "__keras_tensor__":
            yield nested["config"]
        elif nested.get("class_name") not in ("__numpy__", "__tensor__"):
            for value in nested.values():
                yield from tensor_entries(value)
    elif isinstance(nested, (list, tuple)):
        for value in nested:
            yield from tensor_entries(value)


def input_shapes(site):
    """Shapes of the tensors in a site's arguments, as the document has them."""
    call = site.entry["inbound_nodes"][site.node]
    entries = tensor_entries((call["args"], call["kwargs"]))
    return [tuple(e["shape"]) for e in entries]


def _inputs_of(call):
    entries = tensor_entries((call["args"], call["kwargs"]))
    return [tuple(e["keras_history"]) for e in entries]


def _decode(nested, values, keys):
    """Arguments of a call with tensors, slices and arrays put in place."""
    if isinstance(nested, (list, tuple)):
        items = [_decode(v, values, keys + (i,)) for i, v in enumerate(nested)]
        return type(nested)(items)
    if not isinstance(nested, dict):
        return nested
    decode = _LEAVES.get(nested.get("class_name"))
    if decode is None:
        return {k: _decode(v, values, keys + (k,)) for k, v in nested.items()}
    return decode(nested["config"], values, keys + ("config",))


def _decode_slice(config, values, keys):
    parts = [
        _decode(config[key], values, keys + (key,))
        for key in ("start", "stop", "step")
    ]
    return slice(*parts)


def _decode_array(config, values, keys):
    value = np.array(config["value"], config["dtype"])
    return tensor_lib.Constant(value, keys + ("value",))


_LEAVES = {
    "__keras_tensor__": lambda c, values, _: values[tuple(c["keras_history"])],
    "__slice__": _decode_slice,
    "__ellipsis__": lambda c, values, _: Ellipsis,
    "__numpy__": _decode_array,
    "__tensor__": _decode_array,
}


def copied(nested):
    """A copy of a nested document; what is not a container is shared."""
    if isinstance(nested, dict):
        return {k: copied(v) for k, v in nested.items()}
    if isinstance(nested, (list, tuple)):
        return type(nested)([copied(v) for v in nested])
    return nested


def set_in(nested, keys, value):
    """Puts `value` at `keys` of a nested document; tuples are rebuilt."""
    if not keys:
        return value
    inner = set_in(nested[keys[0]], keys[1:], value)
    if isinstance(nested, tuple):
        return nested[: keys[0]] + (inner,) + nested[keys[0] + 1 :]
    nested[keys[0]] = inner
    return nested


def get_in(nested, keys):
    """What stands at `keys` of a nested document."""
    for key in keys:
        nested = nested[key]
    return nested
