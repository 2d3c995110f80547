"""Recalibrates the statistics of batch normalization.

Removing channels shifts the activations of later layers, while the moving means
and variances of batch normalization still describe the full model. Measuring
them again, without a gradient step, recovers much of the accuracy.

References:

- Li, Wu, Su, Wang, "EagleEye: Fast Sub-net Evaluation for Efficient Neural
  Network Pruning", ECCV 2020, https://arxiv.org/abs/2007.02491
"""

import contextlib

import keras

from tfprune.core import typed
from tfprune.datasets import samples
from tfprune.graph import document
from tfprune.graph import read
from tfprune.graph import tensor as tensor_lib
from tfprune.graph import values
from tfprune.graph.composites import opening
from tfprune.scoring import probe

_PURPOSE = "the recalibration"


def recalibrate(
    model: keras.Model,
    data: typed.Data,
    batch_size: int = 128,
    limit: int | None = None,
) -> keras.Model:
    """Replaces the moving statistics of batch normalization by those of data.

    Each batch is normalized by its own statistics, as in training, and the
    moving statistics become their mean over all samples, and over all calls of
    a layer that is called several times. All other layers run in inference
    mode. Frozen layers are recalibrated too, and those inside of wrappers.

    Args:
        model: a built `keras.Model`; it is not changed.
        data: inputs, as for `tfprune.datasets.batches`. Labels are not used.
        batch_size: `int`, used if the data are arrays. Small batches give
            noisy variances.
        limit: `int`, maximum number of samples to use; `None` uses all.

    Returns:
        A copy of the model with new statistics; an identical copy if it has
        no batch normalization.

    Raises:
        ValueError: If data are missing or have the wrong shape, or if
            another weight is NaN or infinite.

    Example:

    >>> small = tfprune.prune(model, 0.5)
    >>> small = tfprune.recalibrate(small, x_train[:2000])
    """
    graph = read.channel_graph(model)
    values.check_finite(graph.model, but=_statistics(_normalizing(graph.model)))
    copy = probe.clone(graph)
    measure(graph.config, copy, data, batch_size, limit)
    return copy


def measure(config, model, data, batch_size=128, limit=None):
    """Recalibrates a model in place.

    Args:
        config: `dict`, the model's config, as in a `ChannelGraph`.
        model: the model, which is changed.
        data, batch_size, limit: as for `recalibrate`.
    """
    layers = _normalizing(model)
    for variable in _statistics(layers):
        # NaN would stay NaN, with whatever momentum it is multiplied.
        number = keras.ops.nan_to_num(variable, posinf=0.0, neginf=0.0)
        variable.assign(number)
    meter = _Meter(layers)
    with _restored(layers):
        for x, _ in samples.batches(
            data, _PURPOSE, batch_size, limit, model=model
        ):
            document.run(config, model, x, meter.apply, training=False)


class _Meter:
    """Calls layers, and lets normalizations measure what they are called on."""

    def __init__(self, layers):
        self._seen = {id(layer): 0 for layer in layers}

    def apply(self, site, args, kwargs):
        args, kwargs = keras.tree.map_structure(_plain, (args, kwargs))
        return self._call(site.live, args, kwargs)

    def _call(self, live, args, kwargs):
        if not any(id(layer) in self._seen for layer in _inside(live)):
            return live(*args, **kwargs)
        if isinstance(live, keras.layers.TimeDistributed):
            return self._call_on_rows(live.layer, *args, **kwargs)
        if isinstance(live, keras.Model):
            config = live.get_config()
            (output,) = document.run(
                config, live, list(args), self.apply, training=False
            )
            return output
        (layer,) = _inside(live)
        inputs = keras.tree.flatten((args, kwargs))[0]
        count, seen = len(inputs), self._seen[id(layer)]
        # This momentum turns the moving average into a cumulative one.
        layer.momentum = seen / (seen + count)
        self._seen[id(layer)] += count
        return live(*args, **{**kwargs, "training": True})

    def _call_on_rows(self, layer, inputs, **_):
        """Calls a layer on all steps at once, for statistics of them all."""
        shape = tuple(inputs.shape)
        rows = keras.ops.reshape(inputs, (-1, *shape[2:]))
        outputs = self._call(layer, (rows,), {})
        return keras.ops.reshape(outputs, (*shape[:2], *outputs.shape[1:]))


def _normalizing(model):
    found = {
        id(inner): inner
        for layer in values.layers_of(model)
        for inner in _inside(layer)
    }
    return list(found.values())


def _inside(layer):
    """The batch normalizations of a layer: itself, or those it wraps."""
    while isinstance(layer, keras.layers.Wrapper):
        layer = layer.layer
    if isinstance(layer, keras.Model):
        return _normalizing(layer) if opening.lists_layers(layer) else []
    return [layer] if isinstance(layer, keras.layers.BatchNormalization) else []


def _statistics(layers):
    pairs = [(each.moving_mean, each.moving_variance) for each in layers]
    return [variable for pair in pairs for variable in pair]


def _plain(leaf):
    return leaf.value if isinstance(leaf, tensor_lib.Constant) else leaf


@contextlib.contextmanager
def _restored(layers):
    """Restores momentum and trainability at the end."""
    before = [(layer.momentum, layer.trainable) for layer in layers]
    for layer in layers:
        layer.trainable = True
    try:
        yield
    finally:
        for layer, (momentum, trainable) in zip(layers, before, strict=True):
            layer.momentum, layer.trainable = momentum, trainable
