"""Spreads nested models that share layers with others into one model."""

import collections

import keras

from tfprune.graph import document
from tfprune.graph import tensor as tensor_lib
from tfprune.graph.classes import model_class
from tfprune.graph.composites import opening
from tfprune.graph.composites import tracing


def spread_out(model):
    """A model without nested ones that share a layer with another model.

    A config makes such a layer anew in each of them. Called in place of the
    nested model, its layers stay what they are.

    Args:
        model: a Functional or Sequential model.

    Raises:
        ValueError: If layers that come together have the same name.
    """
    if _sharing(model):
        model = opening.with_plain_ops(model)
    while True:
        nested = _sharing(model)
        if not nested:
            return model
        try:
            new = _spread(model, nested)
        except ValueError as error:
            raise ValueError(
                "Nested models that share layers become one, in which each "
                "layer needs a name of its own. Received: "
                f"model={model.name!r}, with {', '.join(nested.values())}: "
                f"{error} Rename these layers."
            ) from error
        model_class.stands_for(new, model)
        model = new


def _spread(model, nested):
    if isinstance(model, keras.Sequential):
        ends = model.inputs[0], model.outputs[0]
        model = keras.Model(*ends, name=model.name)
    return keras.models.clone_model(
        model,
        input_tensors=tracing.new_inputs(model),
        clone_function=lambda layer: layer,
        call_function=lambda layer, *args, **kwargs: (
            _layer_by_layer(layer, *args, **kwargs)
            if id(layer) in nested
            else layer(*args, **kwargs)
        ),
    )


def _layer_by_layer(model, inputs, training=None, mask=None):
    """Calls the layers of a nested model in its place."""

    def apply(site, args, kwargs):
        args, kwargs = keras.tree.map_structure(
            lambda x: x.value if isinstance(x, tensor_lib.Constant) else x,
            (args, kwargs),
        )
        return site.live(*args, **kwargs)

    flat = document.in_order(model, inputs)
    outputs = document.run(
        document.of(model), model, flat, apply, training=training
    )
    if isinstance(model, keras.Sequential):
        return outputs[0]
    return keras.tree.pack_sequence_as(model.output, outputs)


def _sharing(model):
    """The nested models of the first level to be spread out: names by `id`."""
    owners = collections.defaultdict(set)
    inside = {}

    def visit(owner):
        if id(owner) in inside:
            return inside[id(owner)]
        found = inside[id(owner)] = {id(owner)}
        for layer in owner.layers:
            if layer.variables:
                owners[id(layer)].add(id(owner))
            if tracing.is_model(layer):
                found |= visit(layer)
        return found

    visit(model)
    several = [found for found in owners.values() if len(found) > 1]
    marked = set().union(*several) - {id(model)}
    return {
        id(x): x.name
        for x in model.layers
        if tracing.is_model(x) and visit(x) & marked
    }
