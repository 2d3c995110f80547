"""Where gates on channels stand, and how they are trained alone."""

import collections
import dataclasses
import functools

import keras
import numpy as np

from tfprune.graph import rebuild
from tfprune.scoring import feature_maps
from tfprune.scoring import probe
from tfprune.selection import candidates as candidates_lib
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping


@dataclasses.dataclass(frozen=True, eq=False)
class Site:
    """A layer after which a gate can stand.

    Attributes:
        path: `str`, of the layer.
        axis: `int`, negative, that of the channels in its outputs.
        labels: int array, the channels.
    """

    path: str
    axis: int
    labels: np.ndarray


def sites(graph, skip=()):
    """The layers whose outputs are the channels as others read them.

    That is after normalization and activation, and before pooling. A layer
    that is called on different channels can have no gate, nor can a function
    that is no layer.

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
    for number, outputs in sorted(feature_maps.sources(graph).items()):
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
    """A copy of a graph's model with gates on all layers that can have one.

    Args:
        graph: a `ChannelGraph`.
        gate: a method that acts on outputs, with a field `axis`, which is
            set to that of each layer.
        skip: as for `sites`.

    Returns:
        A wrapped model.

    Raises:
        ValueError: If no layer can have a gate.
    """
    found = sites(graph, skip)
    if not found:
        raise ValueError(
            "A gate needs a layer whose outputs are channels that may be "
            f"removed, and which is called on these alone. Received: model="
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
    """The layer at a path of names, where a slash leads into a model."""
    return functools.reduce(
        lambda owner, name: owner.get_layer(name), path.split("/"), model
    )


def frozen(model):
    """A model of the same layers, of which only the wrappers learn.

    All else does in training what it does in inference.

    Args:
        model: a wrapped model. Its layers are marked as frozen.

    Returns:
        A functional `keras.Model` that shares all variables with `model`.
    """
    layers = rebuild.layers_of(model)
    for layer in layers:
        # A frozen model would hide the gates inside it.
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
