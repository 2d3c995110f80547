"""Costs of a model by layer, and the savings of a smaller one."""

import collections
import math

import keras
import numpy as np

from tfprune.core import typed
from tfprune.costs import counting
from tfprune.costs import memory
from tfprune.graph import read
from tfprune.reports import evaluation
from tfprune.reports import kept_channels
from tfprune.reports import micronet_score
from tfprune.reports import profiles
from tfprune.reports import strips
from tfprune.selection import peak_cut


def profile(
    model: keras.Model,
    data: typed.Data = None,
    input_shape: typed.Shapes | None = None,
) -> profiles.Profile:
    """Profiles the costs of a model, in total and by layer.

    Args:
        model: a built `keras.Model`.
        data: `(x, y)` or batches of them, to measure how good each output is:
            the accuracy of classes, the mean absolute error of numbers; see
            `tfprune.datasets.tally`.
        input_shape: as for `tfprune.channel_graph`; required if the model has
            unknown input sizes.

    Returns:
        A `profiles.Profile`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model cannot be read, an input size is unknown, or
            `data` does not suit the model.

    Example:

    >>> print(tfprune.profile(model).to_text())
    """
    (result,) = _profiles([model], _graphs([model], input_shape), data)
    return result


def compare(
    dense: keras.Model,
    small: keras.Model,
    data: typed.Data = None,
    input_shape: typed.Shapes | None = None,
) -> profiles.Comparison:
    """Compares the costs of two models, and how good they are.

    Args:
        dense, small: built `keras.Model`s. Layers with the same path are
            compared; a layer that one model lacks is listed alone.
        data, input_shape: as for `profile`.

    Returns:
        A `profiles.Comparison`.

    Raises:
        TypeError, ValueError: as `profile`.

    Example:

    >>> report = tfprune.compare(model, small, data=(x_test, y_test))
    >>> print(report.to_text())
    """
    models = [dense, small]
    graphs = _graphs(models, input_shape)
    before, after = _profiles(models, graphs, data)
    return profiles.Comparison(before, after, channels=_kept(*graphs))


def _graphs(models, input_shape):
    graphs = [read.channel_graph(model, input_shape) for model in models]
    for graph in graphs:
        counting.check_sizes(graph)
    return graphs


def _kept(dense, small):
    """Tuple of `Strip`; empty if the models are not of one origin."""
    try:
        found = kept_channels.kept_channels(dense, small)
    except ValueError:
        return ()
    return tuple(strips.channel_strips(dense, *found))


def _profiles(models, graphs, data):
    qualities = [{} for _ in models]
    if data is not None:
        qualities = evaluation.qualities(models, data)
    return map(_profile, graphs, qualities)


def _profile(graph, qualities):
    meter = counting.Meter(graph)
    weight_bytes, peak_bytes = _weight_bytes(graph), _peak_bytes(graph)
    layers = tuple(
        profiles.LayerProfile(
            row.layer,
            row.op,
            row.output_shape,
            row.params,
            row.macs,
            weight_bytes[row.layer],
            peak_bytes[row.layer],
        )
        for row in meter.by_layer()
    )
    everything = np.ones(graph.size, bool)
    usage = meter.over_time("ram_bytes")
    timeline = _timeline(usage, everything, graph)
    peak = max(timeline, key=lambda moment: moment.fullness)
    return profiles.Profile(
        graph.model.name,
        meter.cost(),
        micronet_score.of_graph(graph),
        layers,
        qualities,
        graph.unknown,
        tuple((tensor.layer, tensor.shape) for tensor in peak.alive),
        peak.running,
        timeline,
        tuple(strips.channel_strips(graph)),
    )


def _timeline(usage, keep, graph):
    """Tuple of `profiles.Moment`, what the arena holds at each step."""
    return tuple(
        profiles.Moment(
            running,
            load,
            tuple(profiles.ArenaTensor(*tensor) for tensor in alive),
        )
        for load, running, alive in peak_cut.over_time(usage, keep, graph)
    )


def _weight_bytes(graph):
    """`Counter` from layer paths to bytes; each weight counts once."""
    owners = {id(b.variable): b.layer for b in graph.bindings}
    for path, layer in graph.layers.items():
        for variable in getattr(layer, "weights", ()):
            owners.setdefault(id(variable), path)
    counter = collections.Counter()
    for variable in graph.model.weights:
        size = math.prod(variable.shape) * memory.itemsize(str(variable.dtype))
        counter[owners.get(id(variable), "")] += size
    return counter


def _peak_bytes(graph):
    """`dict` from layer paths to the most bytes alive while they run."""
    keep = np.ones(graph.size, bool)
    alive = memory.plan(graph).loads(keep)
    peaks = collections.Counter()
    for step, size in zip(graph.steps, alive[1:], strict=True):
        peaks[step.layer] = max(peaks[step.layer], int(size))
    return peaks
