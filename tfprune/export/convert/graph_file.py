"""Writes a traced model for a process without the model's classes.

The graph is written as a GraphDef and the weights as raw bytes. Where weights
are few, a SavedModel takes several times as long to write and to read. Where
they are many, the converter makes one of them, as it reads that with fewer
copies. Inputs and outputs then get other names and another order.
"""

import itertools
import pathlib

import keras
import numpy as np

from tfprune.export.convert import converter
from tfprune.export.convert import states
from tfprune.export.convert.rewritten import dilations
from tfprune.export.convert.rewritten import error_function
from tfprune.export.convert.rewritten import graph_types
from tfprune.export.convert.rewritten import ids
from tfprune.export.convert.rewritten import layer_names
from tfprune.export.convert.rewritten import many_slices
from tfprune.export.convert.rewritten import own_scales
from tfprune.export.convert.rewritten import plain_ops
from tfprune.export.convert.rewritten import pooled_volumes
from tfprune.export.convert.rewritten import rows_of_channels
from tfprune.export.convert.rewritten import small_maps
from tfprune.export.convert.rewritten import steep_ops
from tfprune.export.convert.rewritten import summed_letters
from tfprune.export.convert.traced import fused_lstm
from tfprune.export.convert.traced import inlined
from tfprune.export.convert.traced import layer_scopes
from tfprune.export.convert.traced import plain_names
from tfprune.export.file import tensor_names
from tfprune.graph import values

# Weights of a size from which on a SavedModel is the faster way.
_MANY_BYTES = 16 << 20


def write(model, signature, folder, interface=None, wide=False, micro=False):
    """Traces the inference of a model and writes it.

    Args:
        model: A built `keras.Model`.
        signature: Its `signature.Signature`.
        folder: `str` or path-like, an existing folder.
        interface: `str`, the dtype of the inputs of a file whose activations
            are quantized; `None` if they are not.
        wide: `bool`, whether activations are int16.
        micro: `bool`, whether TFLite Micro shall read the file, which takes
            fewer types of integers.

    Returns:
        The manifest that `converter.py` reads, a `dict` for `json`: `inputs`
        (name, shape and dtype of each), `outputs` (tensor names), `weights`
        (placeholder, dtype, shape, and whether it is a variable; in the
        order of the bytes on disk), `saved` (whether the converter shall
        read a SavedModel: some layer shall be one op, or weights are many),
        `places` (from the name of each op to a node that uses it),
        `quantized` (the names of layers that Keras has quantized) and
        `floats` (the outputs that layers in float give).

    Raises:
        RuntimeError: If the model cannot be called on symbolic inputs.
        ValueError: If ids would be quantized.
    """
    function, ends, floats = _traced(model, signature)
    graph = function.graph.as_graph_def()
    told = layer_names.rewrite(graph)
    count = len(signature.inputs)
    names = [x.op.name for x in function.inputs[:count]]
    wanted = [spec.name for spec in signature.inputs]
    ends = [*zip(names, wanted, strict=True), *ends]
    ends = layer_names.give(graph, ends)
    names, outputs = ends[:count], [f"{end}:0" for end in ends[count:]]
    tables = _tables(model, function, len(signature.inputs))
    plain_ops.rewrite(graph, [told[name] for name in tables])
    dilations.rewrite(graph)
    small_maps.rewrite(graph, _told(small_maps.found(function), told))
    many_slices.rewrite(graph, _told(many_slices.found(function), told))
    pooled_volumes.rewrite(graph, _told(pooled_volumes.found(function), told))
    squeezes = _told(rows_of_channels.found(function), told)
    rows_of_channels.rewrite(graph, squeezes)
    einsums = _told(summed_letters.found(function), told)
    added = summed_letters.rewrite(graph, einsums)
    if interface:
        added |= _told(_added(function), told)
        own_scales.rewrite(graph, outputs, added, wide)
    graph_types.single(graph)
    error_function.rewrite(graph)
    whole = set()
    if interface:
        whole = ids.keep_whole(graph, names, interface)
    if interface or micro:
        whole |= graph_types.narrow(graph, names)
    if wide:
        plain_ops.suit_int16(graph)
        steep_ops.rewrite(graph)
    folder = pathlib.Path(folder)
    (folder / converter.GRAPH).write_bytes(graph.SerializeToString())
    with open(folder / converter.WEIGHTS, "wb") as file:
        weights = [
            _put(file, told[placeholder], value, variable)
            for placeholder, value, variable in _captured(function, count)
        ]
        file_bytes = file.tell()
    return {
        "inputs": [
            {
                "name": f"{name}:0",
                "shape": spec.shape,
                "dtype": "int32"
                if name in whole
                else graph_types.stored(spec.dtype),
            }
            for name, spec in zip(names, signature.inputs, strict=True)
        ],
        "outputs": outputs,
        "weights": weights,
        # Quantized, ops shall keep the names of their layers.
        "saved": _remembers(graph)
        or (interface is None and file_bytes >= _MANY_BYTES),
        "places": _places(graph),
        "quantized": _quantized(model),
        "floats": list(itertools.compress(outputs, floats)),
    }


def _traced(model, signature):
    """The concrete function of the model, and its outputs.

    Each output is a pair: the name of its node, and that which it shall have.
    The last result tells of each whether a layer in float gives it.
    """
    import tensorflow as tf

    outputs, floats = [], []

    def infer(*tensors):
        outputs.clear()
        floats.clear()
        results = signature.call(model, tensors)
        count = len(results) - len(signature.states)
        names = list(getattr(model, "output_names", None) or [])
        if len(names) != count:
            names = [f"output_{i}" for i in range(count)]
        names += [state.name + states.NEXT for state in signature.states]
        for name, result in zip(names, results, strict=True):
            name = tensor_names.plain(name) or "output"
            floats.append(converter.MARK in tf.convert_to_tensor(result).name)
            outputs.append((tf.identity(result, name=name).op.name, name))
        return results

    specs = [
        tf.TensorSpec(spec.shape, spec.dtype, name=spec.name)
        for spec in signature.inputs
    ]
    try:
        with layer_scopes.named(model), plain_names.renamed(model):
            function = _graph_of(infer, specs)
        return function, outputs, floats
    except Exception as error:
        shapes = [spec.shape for spec in signature.inputs]
        raise RuntimeError(
            "The model must be callable on symbolic inputs with a batch of "
            f"1. Received: {type(model).__name__} {model.name!r}, inputs of "
            f"shape {shapes}. It raised: {error}"
        ) from error


def _graph_of(infer, specs):
    """The concrete function, if possible without others that it calls."""
    import tensorflow as tf

    try:
        with inlined.calls():
            return tf.function(infer, autograph=False).get_concrete_function(
                *specs
            )
    # AutoGraph must rewrite a function that branches, or this one is at fault.
    except Exception:
        return tf.function(infer, autograph=False).get_concrete_function(*specs)


def _added(function):
    """How many values each float sum adds, by the name of its node."""
    sums = {
        op.name: (op.inputs[0].shape, op.outputs[0].shape)
        for op in function.graph.get_operations()
        if op.type == "Sum" and op.outputs[0].dtype.is_floating
    }
    return {
        name: before.num_elements() // after.num_elements()
        for name, (before, after) in sums.items()
        if before.num_elements() and after.num_elements()
    }


def _captured(function, count):
    """`(name of its node, value, is variable)` of each capture."""
    variables = {id(v.handle): v for v in function.variables}
    captures = function.captured_inputs
    for tensor, value in zip(function.inputs[count:], captures, strict=True):
        if id(value) in variables:
            yield tensor.op.name, variables[id(value)], True
        elif value.dtype.name in ("resource", "variant"):
            raise ValueError(
                "The model's state must be numbers. Received: a resource of "
                f"another kind at {tensor.name!r} (a lookup table?). TFLite "
                "has none: do that step outside of the model."
            )
        else:
            yield tensor.op.name, value, False


def _told(found, names):
    """A `dict` from names of nodes, with their new names."""
    return {names[name]: value for name, value in found.items()}


def _tables(model, function, count):
    """The nodes that hold the weights of `Embedding` layers."""
    weights = [
        layer.embeddings.value
        for layer in values.layers(model)
        if isinstance(layer, keras.layers.Embedding)
        and isinstance(layer.embeddings, keras.Variable)
    ]
    return [
        placeholder
        for placeholder, value, _ in _captured(function, count)
        if any(value is weight for weight in weights)
    ]


def _quantized(model):
    """The names of the layers that Keras has quantized."""
    return [
        layer.name
        for layer in values.layers_of(model)
        if not isinstance(layer, keras.Model) and values.quantization(layer)
    ]


def _places(graph):
    bodies = [graph.node, *(f.node_def for f in graph.library.function)]
    places = {}
    for node in itertools.chain.from_iterable(bodies):
        places.setdefault(node.op, node.name)
    return places


def _remembers(graph):
    """Whether a function declares to implement an op of the converter."""
    return any(fused_lstm.IMPLEMENTS in f.attr for f in graph.library.function)


def _put(file, placeholder, value, variable):
    dtype = graph_types.stored(value.dtype.name)
    array = value.numpy()
    if dtype != value.dtype.name:
        array = array.astype(dtype)
    file.write(np.ascontiguousarray(array).tobytes())
    return {
        "placeholder": f"{placeholder}:0",
        "dtype": dtype,
        "shape": array.shape,
        "variable": variable,
    }
