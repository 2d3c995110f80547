"""Batch normalisation measures again what it normalises.

Removing channels shifts what the remaining ones sum up to; the moving means and
variances of batch normalisation still describe the full model. Measured anew on
data without a gradient step, they recover much of the accuracy.

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
from tfprune.graph import rebuild
from tfprune.graph import tensor as tensor_lib
from tfprune.scoring import probe

_PURPOSE = "the recalibration"


def recalibrate(
    model: keras.Model,
    data: typed.Data,
    batch_size: int = 128,
    limit: int | None = None,
) -> keras.Model:
    """Replaces the statistics of batch normalisation by those of data.

    They become the mean over all samples of what each batch has while it is
    normalised by itself, as in training; all other layers behave as in
    inference. Frozen layers are measured too.

    Args:
        model: a built `keras.Model`; it is not changed.
        data: inputs, as for `tfprune.datasets.batches`. Labels are not used.
        batch_size: `int`, for arrays. Small batches give noisy variances.
        limit: `int`, samples that are looked at; `None` for all.

    Returns:
        A copy of the model with new statistics; equal to it if it has no
        batch normalisation.

    Raises:
        ValueError: If data are missing or have the wrong shape.

    Example:

    >>> small = tfprune.prune(model, 0.5)
    >>> small = tfprune.recalibrate(small, x_train[:2000])
    """
    graph = read.channel_graph(model)
    copy = probe.clone(graph)
    measure(graph.config, copy, data, batch_size, limit)
    return copy


def measure(config, model, data, batch_size=128, limit=None):
    """As `recalibrate`, in place.

    Args:
        config: `dict`, the config of the model, as that of a `ChannelGraph`.
        model: the model, which is changed.
        data, batch_size, limit: as for `recalibrate`.
    """
    layers = [
        layer
        for layer in rebuild.layers_of(model)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    seen = 0
    with _restored(layers):
        for x, _ in samples.batches(
            data, _PURPOSE, batch_size, limit, model=model
        ):
            count = len(x[0])
            # With this momentum the moving averages are cumulative ones.
            momentum = seen / (seen + count)
            for layer in layers:
                layer.momentum = momentum
            document.run(config, model, x, _apply)
            seen += count


def _apply(site, args, kwargs):
    args, kwargs = keras.tree.map_structure(_plain, (args, kwargs))
    if isinstance(site.live, keras.layers.BatchNormalization):
        kwargs = {**kwargs, "training": True}
    return site.live(*args, **kwargs)


def _plain(leaf):
    return leaf.value if isinstance(leaf, tensor_lib.Constant) else leaf


@contextlib.contextmanager
def _restored(layers):
    """Puts momentum and trainability back at the end."""
    before = [(layer.momentum, layer.trainable) for layer in layers]
    for layer in layers:
        layer.trainable = True
    try:
        yield
    finally:
        for layer, (momentum, trainable) in zip(layers, before, strict=True):
            layer.momentum, layer.trainable = momentum, trainable
