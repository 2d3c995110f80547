"""Batch normalization in training mode, whatever the model is in."""

import keras
import numpy as np

from tfprune.legacy.layers import parts
from tfprune.legacy.layers import settings

_LAYERS = keras.layers
_OPS = keras.ops


def build(config):
    """Builds a normalization by the mean and the variance of each batch.

    Ops normalize; a layer has the scale and the offset. A file's moving
    statistics are never used and left out.

    Args:
        config: `dict`, of a BatchNormalization of Keras 2 whose calls all have
            `training=True`.

    Returns:
        `parts.Part`.

    Raises:
        ValueError: If it has several axes or no scale.
    """
    axis = config.get("axis", -1)
    axes = axis if isinstance(axis, list) else [axis]
    scaled, biased = config.get("scale", True), config.get("center", True)
    if len(axes) > 1 or not scaled:
        raise ValueError(
            "Batch normalization in training mode must have one axis and a "
            f"scale. Received: axis={axis}, scale={scaled} of layer "
            f"{config['name']!r}, called with training=True. Build the model "
            "in code."
        )
    own = []

    def call(x):
        last = axes[0] in (-1, len(x.shape) - 1)
        x = x if last else _OPS.moveaxis(x, axes[0], -1)
        around = tuple(range(len(x.shape) - 1))
        x = x - _OPS.mean(x, around, keepdims=True)
        variance = _OPS.mean(_OPS.square(x), around, keepdims=True)
        x = x * _OPS.rsqrt(variance + config.get("epsilon", 1e-3))
        if not own:
            own.append(_scale(config, x, biased))
        y = own[0](x)
        return y if last else _OPS.moveaxis(y, -1, axes[0])

    def convert(arrays):
        gamma, *rest = arrays
        kernel = np.reshape(gamma, own[0].kernel.shape)
        return [kernel, *rest[:biased]]

    return parts.Part(
        config["name"], own, convert=convert, call=call, counts=(1 + biased, 2)
    )


def _scale(config, x, biased):
    """A layer that multiplies each channel by a number, and adds one."""
    base, found = settings.base(config), settings.regularizers(config)
    gamma, beta = found.get("gamma_regularizer"), found.get("beta_regularizer")
    if len(x.shape) == 4:
        return _LAYERS.DepthwiseConv2D(
            1,
            use_bias=biased,
            depthwise_regularizer=gamma,
            bias_regularizer=beta,
            data_format="channels_last",
            **base,
        )
    sizes = "xyz"[: len(x.shape) - 2]
    return _LAYERS.EinsumDense(
        f"b{sizes}c,c->b{sizes}c",
        (*[None] * len(sizes), x.shape[-1]),
        bias_axes="c" if biased else None,
        kernel_regularizer=gamma,
        bias_regularizer=beta,
        **base,
    )
