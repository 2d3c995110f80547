"""Ranges of outputs that are given, in place of those that calibration sees.

While the model is traced, the outputs of these layers pass an op that rounds
as int8 does. The converter takes its ends for the range of the tensor, and
leaves the op out.
"""

import contextlib
import math
from collections import abc

import keras

from tfprune.core import kinds
from tfprune.export.convert.traced import overrides
from tfprune.graph import values


def checked(model, ranges):
    """The layers and their ranges.

    Args:
        model: a built `keras.Model`.
        ranges: `dict` from the name of a layer to `(low, high)`.

    Returns:
        List of `(layer, low, high)`; the range of int8 always holds 0.

    Raises:
        ValueError: If there is no `dict`, if a name is none of a layer, or a
            range is none.
    """
    if not isinstance(ranges, abc.Mapping):
        raise ValueError(
            "ranges must be a dict from names of layers to (low, high). "
            f"Received: {kinds.told('ranges', ranges)}. Pass dict(...) of it."
        )
    layers = {x.name: x for x in values.layers(model) if x is not model}
    # One within a layer may have a name of the model's own.
    layers |= {x.name: x for x in values.layers_of(model)}
    found = []
    for name, ends in ranges.items():
        if name not in layers:
            raise ValueError(
                "ranges must name layers. Received: a range for "
                f"{name!r}; the model has {', '.join(sorted(layers))}. Leave "
                "it out."
            )
        try:
            low, high = (float(end) for end in ends)
        except (TypeError, ValueError):
            low = high = math.nan
        if not -math.inf < low < high < math.inf:
            raise ValueError(
                "A range must be two finite numbers, the lower one first. "
                f"Received: ranges[{name!r}]={ends!r}."
            )
        found.append((layers[name], min(low, 0.0), max(high, 0.0)))
    return found


@contextlib.contextmanager
def applied(ranges):
    """Gives outputs their range within the context.

    Args:
        ranges: what `checked` returns.
    """
    calls = (
        (layer, "call", _limited(layer.call, low, high))
        for layer, low, high in ranges
    )
    with overrides.of(calls):
        yield


def _limited(call, low, high):
    import tensorflow as tf

    def one(x):
        if not x.dtype.is_floating:
            return x
        # The op takes no half precision.
        whole = tf.cast(x, tf.float32)
        found = tf.quantization.fake_quant_with_min_max_args(whole, low, high)
        return tf.cast(found, x.dtype)

    def limited(*args, **kwargs):
        return keras.tree.map_structure(one, call(*args, **kwargs))

    return limited
