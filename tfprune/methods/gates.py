"""Places channel gates in a model and trains them with all else frozen."""

import collections
import contextlib
import dataclasses
import functools

import keras
import numpy as np

from tfprune.graph import values
from tfprune.scoring import feature_maps
from tfprune.scoring import probe
from tfprune.selection import candidates as candidates_lib
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping


@dataclasses.dataclass(frozen=True, eq=False)
class Site:
    """A layer that a gate can follow.

    Attributes:
        path: `str`, path of the layer.
        axis: `int`, negative, channel axis of its outputs.
        labels: int array, the channels.
    """

    path: str
    axis: int
    labels: np.ndarray


def sites(graph, skip=()):
    """Returns the layers whose outputs are the channels as others read them.

    These come after normalization and activation, and before pooling. A layer
    that is called on different channels cannot have a gate; neither can a
    function that is not a layer.

    Args:
        graph: a `ChannelGraph`.
        skip: name patterns of layers whose channels need no gate.

    Returns:
        List of `Site`, in the order of execution; each has at least one
        channel that may be removed.
    """
    wanted = graph.removable.copy()
    for group in candidates_lib.skipped(graph, skip):
        wanted[group.labels] = False
    calls = collections.defaultdict(list)
    for step in graph.steps:
        calls[step.layer].append(step.outputs)
    found = {}
    maps = feature_maps.sources(graph, before_ops=True)
    for number, outputs in sorted(maps.items()):
        path, tensor = graph.steps[number].layer, outputs[0][1]
        labels = tensor.axes[0]
        same = all(
            len(made) == 1 and np.array_equal(made[0].labels, tensor.labels)
            for made in calls[path]
        )
        is_layer = isinstance(graph.layers[path], keras.layers.Layer)
        if same and is_layer and wanted[labels].any():
            axis = tensor.varying[0] - tensor.rank
            found[path] = Site(path, axis, labels)
    return list(found.values())


def attach(graph, gate, skip=()):
    """Copies a graph's model with gates on all layers that can have one.

    Args:
        graph: a `ChannelGraph`.
        gate: a method that acts on outputs; its field `axis` is set to each
            layer's channel axis.
        skip: as for `sites`.

    Returns:
        A wrapped model.

    Raises:
        ValueError: If no layer can have a gate.
    """
    found = sites(graph, skip)
    if not found:
        raise ValueError(
            "A gate needs a layer that outputs removable channels and is "
            f"called on no others. Received: model="
            f"{graph.model.name!r}, which has none. Give each activation a "
            "layer of its own, or skip fewer layers."
        )
    model = graph.model
    for axis in sorted({site.axis for site in found}):
        paths = [site.path for site in found if site.axis == axis]
        chosen = {id(layer_at(model, path)) for path in paths}
        model = wrapping.wrap(
            model,
            dataclasses.replace(gate, axis=axis),
            functools.partial(_is_one_of, chosen),
        )
    return model


def _is_one_of(ids, layer):
    return id(layer) in ids


def layer_at(model, path):
    """Returns the layer at a path; a slash descends into a nested model."""
    return functools.reduce(
        lambda owner, name: owner.get_layer(name), path.split("/"), model
    )


def frozen(model):
    """Returns a model of the same layers in which only the wrappers train.

    All other layers run in inference mode.

    Args:
        model: a wrapped model. Its layers are frozen in place.

    Returns:
        A functional `keras.Model` that shares all variables with `model`.
    """
    layers = values.layers_of(model)
    for layer in layers:
        # Freezing a nested model would freeze the gates inside it too.
        layer.trainable = isinstance(layer, keras.Model)
    for layer in layers:
        if not isinstance(layer, keras.Model):
            layer.trainable = False
    for wrapper in wrapper_lib.find(model):
        wrapper.trainable = True
        wrapper.layer.trainable = False
    if isinstance(model, keras.Sequential):
        ends = model.inputs[0], model.outputs[0]
    else:
        ends = model.input, model.output
    return probe.Inference(*ends, name=model.name)


@contextlib.contextmanager
def learning(model):
    """Lets the gates of a model train, those on frozen layers, too.

    Within it, all else trains as far as it did before; after it, all of the
    model does.

    Args:
        model: a wrapped model, changed in place.
    """
    layers = [(layer, layer.trainable) for layer in values.layers(model)]
    variables = [(v, v.trainable) for v in model.variables]
    wrappers = wrapper_lib.find(model)
    ours = {
        id(variable)
        for wrapper in wrappers
        for slot in wrapper.slots.values()
        for variable in slot.variables.values()
    }
    on_the_way = (keras.Model, wrapper_lib.PruningWrapper)
    for layer, flag in layers:  # An outer one sets those inside.
        layer.trainable = flag or isinstance(layer, on_the_way)
    for variable, flag in variables:
        if not flag and id(variable) not in ours:
            variable.trainable = False
    try:
        yield
    finally:
        for thing, flag in [*layers, *variables]:
            thing.trainable = flag
