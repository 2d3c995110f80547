"""Runs the `call` of a layer on symbolic tensors."""

import contextlib
import functools
import inspect

import keras


class StaysWholeError(Exception):
    """Says why a layer cannot be opened."""


class StartAgainError(Exception):
    """A layer that was opened has to stay whole."""


def traced(layer, args, kwargs, batch, name):
    """The graph that a layer's `call` leaves on symbolic tensors.

    Args:
        layer: a built layer.
        args, kwargs: the arguments of a call, with symbolic tensors.
        batch: `int` or `None`, the batch size of the tensors in their place.
        name: `str`, the name of the model.

    Returns:
        A Functional model of one input for each tensor.

    Raises:
        StaysWholeError: If the call needs real arrays or sizes that are not
            known, draws random numbers or changes a variable.
    """
    tensors = tensors_of((args, kwargs))
    inputs = [
        keras.Input(batch_shape=(batch, *x.shape[1:]), dtype=x.dtype)
        for x in tensors
    ]
    place = {id(x): new for x, new in zip(tensors, inputs, strict=True)}
    given = {id(x) for x in inputs}
    args, kwargs = keras.tree.map_structure(
        lambda x: place.get(id(x), x), (args, kwargs)
    )
    inputs = inputs if len(inputs) > 1 else inputs[0]
    with (
        explained(),
        _general_shapes(layer),
        keras.StatelessScope() as scope,
    ):
        # What goes straight through becomes a tensor of its own.
        outputs = keras.tree.map_structure(
            lambda x: keras.layers.Identity()(x) if id(x) in given else x,
            layer.call(*args, **kwargs),
        )
        model = keras.Model(inputs, outputs, name=name)
    if scope.state_mapping:
        raise StaysWholeError("it keeps a state or draws random numbers")
    for op in model.operations:
        if None in (getattr(op, "newshape", None) or ()):
            raise StaysWholeError("its call needs known sizes")
    return model


@contextlib.contextmanager
def explained():
    """Turns what goes wrong in a trace into a reason to stay whole."""
    try:
        yield
    except StartAgainError:
        raise
    except Exception as error:
        reason = f"its call cannot be traced: {type(error).__name__}"
        raise StaysWholeError(reason) from error


@contextlib.contextmanager
def _general_shapes(layer):
    """Lets layers within one be called with all that their `call` takes.

    A class may take more arguments than the method for the shapes of its
    outputs, which it inherits.
    """
    changed = []
    for inner in _within(layer):
        given = inspect.signature(inner.compute_output_spec).parameters
        if not set(parameters(inner)) <= set(given) and "kwargs" not in given:
            general = keras.Operation.compute_output_spec
            inner.compute_output_spec = functools.partial(general, inner)
            changed.append(inner)
    try:
        yield
    finally:
        for inner in changed:
            del inner.compute_output_spec


def _within(layer):
    """The layers that are attributes of a layer, or stand in a list there."""
    for value in list(vars(layer).values()):
        items = value if isinstance(value, (list, tuple)) else [value]
        for item in items:
            if isinstance(item, keras.layers.Layer):
                yield item


def tensors_of(structure):
    """The symbolic tensors of a structure, each once."""
    flat = keras.tree.flatten(structure)
    found = {id(x): x for x in flat if isinstance(x, keras.KerasTensor)}
    return list(found.values())


def parameters(layer):
    """The parameters of a layer's `call`, by name."""
    return inspect.signature(layer.call).parameters


def new_inputs(model, tensors=None):
    """Inputs as those of a model: names, shapes, dtypes and flags.

    Args:
        model: a Functional or Sequential model.
        tensors: symbolic tensors, flat, from which sizes are taken that the
            model leaves open.
    """
    configs = {
        id(layer.output): layer.get_config()
        for layer in model.layers
        if isinstance(layer, keras.layers.InputLayer)
    }
    for x, other in zip(model.inputs, tensors or (), strict=False):
        pairs = zip(x.shape[1:], other.shape[1:], strict=True)
        sizes = [a if a is not None else b for a, b in pairs]
        configs[id(x)]["batch_shape"] = (x.shape[0], *sizes)
    return keras.tree.map_structure(
        lambda x: keras.layers.InputLayer(**configs[id(x)]).output, model.input
    )


def is_model(layer):
    """Whether a layer is a Functional or Sequential model."""
    return isinstance(layer, keras.Sequential) or (
        isinstance(layer, keras.Model) and hasattr(layer, "operations")
    )
