"""Reads a Keras model's config into a `ChannelGraph`."""

import collections.abc
import numbers
import warnings

import keras

from tfprune.core import typed
from tfprune.graph import call as call_lib
from tfprune.graph import channel_graph as graph_lib
from tfprune.graph import document
from tfprune.graph import findings as records_lib
from tfprune.graph import quantized_layers
from tfprune.graph import rulebook
from tfprune.graph import rules
from tfprune.graph import tensor as tensor_lib
from tfprune.graph import values
from tfprune.graph.classes import model_class
from tfprune.graph.composites import opening
from tfprune.graph.composites import spreading


def channel_graph(
    model: keras.Model,
    input_shape: typed.Shapes | None = None,
    allow_inexact: bool = False,
) -> graph_lib.ChannelGraph:
    """Finds the channels of a model and everything that each one touches.

    Args:
        model: a built `keras.Model`: Functional, Sequential, or a subclassed
            one whose `call` can be run on `keras.Input`s.
        input_shape: tuple without the batch axis, or a list of such tuples
            for several inputs; needed for costs when the model's own input
            has unknown sizes.
        allow_inexact: `bool`, whether channels that a LayerNormalization,
            GroupNormalization or RMSNormalization averages over may be
            removed, which changes the averages; the graph's `inexact` lists
            these layers.

    Returns:
        A `ChannelGraph`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model is not built, or cannot be traced.

    Example:

    >>> graph = tfprune.channel_graph(model)
    >>> print(graph)
    """
    model, config, whole = _graph_model(model, spread=True)
    ways: dict = {}
    while True:
        records = records_lib.Records(whole, ways, allow_inexact)
        try:
            graph = _read(model, config, input_shape, records)
        except ValueError as error:
            _check_fits(model, input_shape, error)
            raise
        better = records.better_ways()
        if better == ways:
            return graph
        ways = better


def _read(model, config, input_shape, records):
    steps, layers = [], {}
    inputs = _input_tensors(model, input_shape, records)

    def apply(site, args, kwargs):
        call = call_lib.Call(
            site, args, kwargs, _output_shapes(site, args, kwargs), records
        )
        layers[site.path] = site.live
        if not isinstance(site.live, keras.layers.Softmax):
            for mask in keras.tree.flatten(kwargs.get("mask")):
                if isinstance(mask, tensor_lib.Tensor):
                    call.freeze(mask.labels, "a mask over time steps")
        mode = values.quantization(site.live)
        if mode:
            if not quantized_layers.count(call):
                name = f"{site.entry['class_name']}, quantized to {mode}"
                records.unknown[site.path] = name
            labels = call.freeze_all(
                f"weights quantized to {mode}; prune the model in float, then "
                "quantize the pruned one"
            )
            call.file.complete(labels[0])
        elif any(x.batch for x in call.tensors) and not rulebook.finds_batch(
            site.entry, site.live
        ):
            labels = call.freeze_all("the batch is not on the first axis")
            call.file.complete(labels[0])
        else:
            labels = call.follow(rules.of(site.entry, site.live))
        pairs = zip(call.output_shapes, labels, strict=True)
        outputs = tuple(
            tensor_lib.Tensor(
                *(shape, array, _dtype(site, call, k)),
                *(call.rows, call.alike, call.batch),
            )
            for k, (shape, array) in enumerate(pairs)
        )
        call.file.end(outputs)
        steps.append(
            graph_lib.Step(
                site.path,
                site.entry["class_name"],
                tuple(call.tensors),
                outputs,
                tuple((n * call.rows, axes) for n, axes in call.work),
                call.memory,
                tuple(call.file.ops),
                call.moves,
            )
        )
        return list(outputs) if len(outputs) > 1 else outputs[0]

    def enter(site, tensors):
        places = zip(document.input_keys(site), tensors, strict=False)
        for keys, tensor in places:
            for axis, labels in zip(tensor.varying, tensor.axes, strict=True):
                edit = graph_lib.Edit(keys + (axis,), labels)
                records.edit(edit, site.path)

    outputs = document.run(config, model, inputs, apply, enter)
    for path, live in layers.items():
        records.freeze_held(path, getattr(live, "variables", ()))
    for tensor in outputs:
        records.store.freeze_first(tensor.labels, "the model", "its output")
    return graph_lib.ChannelGraph(
        model, config, inputs, outputs, steps, layers, records
    )


def as_graph_model(model):
    """Returns the model itself if its config is its graph, else a traced one.

    Args:
        model: a `keras.Model`.

    Returns:
        `(graph_model, config)`: a Functional or Sequential model that shares
        the layers of `model`, composite ones opened, and its config.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model is not built, or its `call` cannot be traced.
    """
    return _graph_model(model)[:2]


def _graph_model(model, spread=False):
    values.check_model(model)
    if not model.built:
        raise ValueError(
            "A built model is required. Received: "
            f"model={model.name!r}, which has no weights yet. Call it once on "
            "data, or model.build(input_shape)."
        )
    model = _functional(model)
    if spread:
        model = spreading.spread_out(model)
    model, whole = opening.opened(model)
    if spread:
        # Opened layers may share one that they were given.
        model = spreading.spread_out(model)
    return model, document.of(model), whole


def _functional(model):
    """A Functional or Sequential model of the same layers."""
    if isinstance(model, keras.Sequential):
        return model if getattr(model, "inputs", None) else _trace(model)
    if not getattr(model, "inputs", None):
        return _trace(model)
    if opening.lists_layers(model):
        return model
    functional = keras.Model(model.input, model.output, name=model.name)
    model_class.stands_for(functional, model)
    return functional


def _trace(model):
    shapes = (model.get_build_config() or {}).get("input_shape")
    if shapes is None:
        raise ValueError(
            "The input shape of a subclassed model must be known. Received: "
            f"model={model.name!r} of class {type(model).__name__}. Call "
            "model.build(input_shape) with one shape for all inputs."
        )
    inputs = _map_shapes(lambda shape: keras.Input(shape[1:]), shapes)
    try:
        outputs = model.call(inputs)
    except Exception as error:
        raise ValueError(
            "The call method of a subclassed model must run on keras.Input "
            f"with Keras layers and keras.ops. Received: model={model.name!r} "
            f"of class {type(model).__name__}, which stopped with "
            f"{type(error).__name__}: {error}. Use keras.ops in its call, or "
            "rebuild it with the functional API."
        ) from error
    functional = keras.Model(inputs, outputs, name=model.name)
    _check_weights(model, functional)
    model_class.stands_for(functional, model)
    return functional


def _check_weights(model, functional):
    """Warns if ops use weights: a trace knows their values alone.

    Raises:
        ValueError: If the trace gives other outputs than the model.
    """
    found = {id(v) for v in functional.variables}
    own = [v.path for v in model.trainable_variables if id(v) not in found]
    try:
        has_all = not own and opening.equal(model, functional)
        is_same = has_all or opening.equal(model, functional, moved=False)
    except Exception:  # The model takes no inputs that are drawn at random.
        has_all, is_same = not own, True
    if has_all:
        return
    if not is_same:
        raise ValueError(
            "The call method of a subclassed model must compute the same each "
            f"time. Received: model={model.name!r} of class "
            f"{type(model).__name__}, whose trace gives other outputs. Rebuild "
            "it with the functional API."
        )
    warnings.warn(
        "Weights that ops in a model's call use become constants, which do "
        f"not train. Received: model={model.name!r} of class "
        f"{type(model).__name__}, in which ops use "
        f"{', '.join(own) or 'weights of its layers'}. To train them, move "
        "these ops into a layer that has these weights, or read a table in "
        "both directions with keras.layers.ReversibleEmbedding.",
        stacklevel=2,
    )


def _map_shapes(function, shapes):
    if isinstance(shapes, dict):
        return {k: _map_shapes(function, v) for k, v in shapes.items()}
    if all(n is None or isinstance(n, int) for n in shapes):
        return function(shapes)
    return [_map_shapes(function, v) for v in shapes]


def _input_tensors(model, input_shape, records):
    shapes = [tuple(x.shape) for x in model.inputs]
    if input_shape is not None:
        given = _given_shapes(input_shape)
        if given is None or [len(g) + 1 for g in given] != [*map(len, shapes)]:
            raise ValueError(
                "One shape per model input is required, without the batch "
                f"axis, like {[s[1:] for s in shapes]}. Received: "
                f"input_shape={input_shape}."
            )
        shapes = [s[:1] + g for s, g in zip(shapes, given, strict=True)]
    tensors = []
    for x, shape in zip(model.inputs, shapes, strict=True):
        axis = len(shape) - 1
        labels = records.store.fresh(1 if axis == 0 else shape[axis] or 1)
        records.store.freeze(labels, x.name, "an input of the model")
        labels = tensor_lib.on_axis(labels, len(shape), axis)
        tensors.append(tensor_lib.Tensor(shape, labels, str(x.dtype)))
    return tensors


def _given_shapes(shapes):
    """A list of tuples, one for each input; `None` if these are no shapes."""
    given = [shapes] if _is_shape(shapes) else shapes
    known = _is_listed(given) and all(map(_is_shape, given))
    return list(map(tuple, given)) if known else None


def _is_listed(thing):
    is_iterable = isinstance(thing, collections.abc.Iterable)
    return is_iterable and not isinstance(thing, (str, dict))


def _is_shape(shape):
    return _is_listed(shape) and all(
        n is None or (isinstance(n, numbers.Integral) and n > 0) for n in shape
    )


def _check_fits(model, input_shape, error):
    """Tells that sizes which a model does not have are why it is not read.

    Raises:
        ValueError: If a given size is not that of the model's own input.
    """
    if input_shape is None:
        return
    own = [tuple(x.shape[1:]) for x in model.inputs]
    given = _given_shapes(input_shape) or own
    if [*map(len, given)] == [*map(len, own)] and any(
        known not in (None, size)
        for before, after in zip(own, given, strict=True)
        for known, size in zip(before, after, strict=True)
    ):
        raise ValueError(
            "`input_shape` must have sizes that the layers take. Received: "
            f"input_shape={input_shape}, and the inputs of the model are {own}."
            " Give those, with numbers in place of None."
        ) from error


def _output_shapes(site, args, kwargs):
    """Shapes of a call's outputs: from the document, or from the layer."""
    # Of a layer's states the document knows those that are used.
    whole = not getattr(site.live, "return_state", False)
    if site.shapes and whole and _called_as_written(site, args, kwargs):
        if set(site.shapes) == set(range(len(site.shapes))):
            return [site.shapes[k] for k in range(len(site.shapes))]

    def symbolic(x):
        if isinstance(x, tensor_lib.Tensor):
            return keras.KerasTensor(x.shape, x.dtype)
        return x.value if isinstance(x, tensor_lib.Constant) else x

    args, kwargs = keras.tree.map_structure(symbolic, (args, kwargs))
    spec = site.live.compute_output_spec(*args, **kwargs)
    return [tuple(x.shape) for x in keras.tree.flatten(spec)]


def _called_as_written(site, args, kwargs):
    """Whether the inputs have the shapes that the document gives them."""
    written = document.input_shapes(site)
    tensors = [
        x
        for x in keras.tree.flatten((args, kwargs))
        if isinstance(x, tensor_lib.Tensor)
    ]
    return written == [x.shape for x in tensors]


def _dtype(site, call, k):
    """The dtype of an output: from the document, or from the layer."""
    own = getattr(site.live, "compute_dtype", None) or call.x.dtype
    return site.dtypes.get(k, own)
