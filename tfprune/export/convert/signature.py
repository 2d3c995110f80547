"""The inputs of a model with a batch size of 1: shapes, types and names."""

import dataclasses
import operator
import re

import keras
import numpy as np

from tfprune.export.convert import states as states_lib
from tfprune.export.file import tensor_names

# Keras numbers unnamed inputs per process, so such names are arbitrary.
_UNNAMED = re.compile(r"keras_tensor(_\d+)?")


@dataclasses.dataclass(frozen=True)
class Input:
    """One input of a model.

    Attributes:
        name: `str`, its name in the exported file: ASCII letters, digits and
            underscores.
        shape: `tuple` of `int`, with the batch axis of size 1.
        dtype: `str`.
        key: `str`, its key if the model takes a `dict`, else its name in the
            model.
    """

    name: str
    shape: tuple
    dtype: str
    key: str


@dataclasses.dataclass(frozen=True)
class Signature:
    """How a model is called.

    Attributes:
        structure: The argument of `model(...)`, with a `keras.KerasTensor` at
            each leaf.
        inputs: `tuple` of `Input`, the leaves in order, then the states.
        states: `tuple` of `states.State`, the states of the model.
    """

    structure: object
    inputs: tuple
    states: tuple = ()

    @property
    def data_inputs(self):
        """The inputs without the states."""
        return self.inputs[: len(self.inputs) - len(self.states)]

    def pack(self, leaves):
        """Packs the leaves into the structure that the model takes."""
        return keras.tree.pack_sequence_as(self.structure, list(leaves))

    def call(self, model, tensors):
        """The flat outputs, given a tensor for each of `inputs`.

        The states after the call follow; the model itself is not changed.
        """
        count = len(self.data_inputs)
        leaves, values = tensors[:count], tensors[count:]
        return states_lib.call(model, self.pack(leaves), self.states, values)


def of(model, input_shapes=None):
    """The signature of a model.

    Args:
        model: A built `keras.Model`.
        input_shapes: Shapes without the batch, for models that leave some
            dimension open: a `tuple` of `int`, or a list of them, in the
            order of `model.inputs`.

    Returns:
        A `Signature`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built, leaves a dimension open or takes
            texts.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "A keras.Model is required. Received: model of type "
            f"{type(model).__name__}. Load files with "
            "keras.models.load_model(path)."
        )
    structure = _structure(model)
    leaves = keras.tree.flatten_with_path(structure)
    shapes = _completed([leaf.shape[1:] for _, leaf in leaves], input_shapes)
    inputs = tuple(
        Input(
            name=_name(leaf.name, path, len(leaves)),
            shape=(1, *shape),
            dtype=keras.backend.standardize_dtype(leaf.dtype),
            key=_key(path) or leaf.name,
        )
        for (path, leaf), shape in zip(leaves, shapes, strict=True)
    )
    if len({spec.name for spec in inputs}) < len(inputs):
        inputs = tuple(
            dataclasses.replace(spec, name=f"{spec.name}_{i}")
            for i, spec in enumerate(inputs)
        )
    for spec in inputs:
        if spec.dtype == "string":
            raise ValueError(
                "Inputs of numbers are required. Received: input "
                f"{spec.name!r} of dtype string, which no file reads. Look "
                "texts up outside of the file: export the model behind its "
                "lookup, keras.Model(lookup.output, model.output)."
            )
        if None in spec.shape:
            raise ValueError(
                "Fixed input shapes are required. Received: input "
                f"{spec.name!r} of shape {(None, *spec.shape[1:])}. Pass "
                "input_shapes=(...) without the batch, one for each input."
            )
    return _remembering(model, Signature(structure, inputs))


def in_order(model, x):
    """The samples of a model's inputs, in the order of its file.

    Args:
        model: a built `keras.Model`.
        x: array, or a tuple, list or `dict` of them, as the model takes them.

    Returns:
        A list in the place of a `dict`, whose keys need not be the names in
        the file; anything else as it is.
    """
    if not isinstance(x, dict):
        return x
    leaves = keras.tree.flatten_with_path(_structure(model))
    if any(len(path) > 1 for path, _ in leaves):
        return keras.tree.flatten(x)
    keys = [_key(path) or leaf.name for path, leaf in leaves]
    return [x[key] for key in keys] if set(keys) <= set(x) else x


def _remembering(model, signature):
    """The signature with the model's states as further inputs."""
    zeros = [np.zeros(i.shape, i.dtype) for i in signature.inputs]
    states = states_lib.of(model, signature.pack(zeros))
    more = tuple(
        Input(
            name=state.name,
            shape=tuple(state.variable.shape),
            dtype=keras.backend.standardize_dtype(state.variable.dtype),
            key=state.name,
        )
        for state in states
    )
    return Signature(signature.structure, signature.inputs + more, states)


def _structure(model):
    """The model's argument, with a `keras.KerasTensor` at each leaf."""
    tensors = getattr(model, "inputs", None)
    if tensors:
        sequential = isinstance(model, keras.Sequential)
        return tensors[0] if sequential else model.input
    if not model.built:
        raise ValueError(
            "A built model is required. Received: "
            f"{type(model).__name__} {model.name!r} without weights. Call it "
            "once on data, or give it a keras.Input."
        )
    shapes = (model.get_build_config() or {}).get("input_shape")
    if shapes is None:
        raise ValueError(
            "A model that knows its input shape is required. Received: "
            f"{type(model).__name__} {model.name!r}. Make it functional: "
            "keras.Model(inputs, model(inputs)) with inputs=keras.Input(...)."
        )
    return keras.tree.map_shape_structure(
        lambda shape: keras.KerasTensor(shape, dtype=model.input_dtype), shapes
    )


def _completed(shapes, given):
    if given is None:
        return shapes
    found = _sizes(given)
    fits = len(found) == len(shapes) and all(
        len(new) == len(old)
        and all(_fits(n, o) for n, o in zip(new, old, strict=True))
        for new, old in zip(found, shapes, strict=True)
    )
    if not fits:
        raise ValueError(
            "Input shapes must be those of the model, open dimensions "
            f"filled in. Received: input_shapes={given!r}, the model has "
            f"{shapes}."
        )
    return found


def _fits(size, known):
    """Whether a size is the known one, or fills in an open dimension."""
    return size == known or (known is None and size > 0)


def _sizes(given):
    """A list of tuples of `int`; an empty one for what are no shapes."""
    try:
        shapes = list(given)
        if all(hasattr(n, "__index__") for n in shapes):
            shapes = [shapes]
        return [tuple(map(operator.index, shape)) for shape in shapes]
    except TypeError:
        return []


def _key(path):
    return path[0] if path and isinstance(path[0], str) else None


def _name(name, path, count):
    """The name of an input, the same in every process."""
    if _UNNAMED.fullmatch(name):
        name = "_".join(map(str, path)) if _key(path) else ""
    return tensor_names.plain(name) or (
        "input" if count == 1 else f"input_{path[0]}"
    )
