"""Warnings about suspicious calibration samples."""

import functools

import keras
import numpy as np
from absl import logging

from tfprune.export.convert.traced import overrides
from tfprune.export.run import output_check
from tfprune.graph import values

# Fewer samples rarely reach the ends of all ranges.
_ENOUGH = 20
_LOOKED_AT = 64
# Standard deviations that a mean may be away, and how many times as large a
# standard deviation may be, where training and calibration saw the same data.
_FAR, _FACTOR = 3.0, 4.0


def warn(model, samples, signature):
    """Warns of samples that are too few, constant or on a different scale.

    The first batch normalization records the scale of training; models
    without one are not checked.

    Args:
        model: the `keras.Model` to be exported.
        samples: list of arrays, as `calibration.samples` returns them; then
            those of `states.met`.
        signature: its `signature.Signature`.
    """
    count = len(samples[0])
    if count < _ENOUGH:
        logging.warning(
            "Calibrating on only %d samples; use a few hundred.", count
        )
    # Behind the inputs there are states, which may well be zero.
    for array, spec in zip(samples, signature.data_inputs, strict=False):
        if array.size > 1 and array.min() == array.max():
            logging.warning(
                "All calibration samples for %r are %g everywhere.",
                spec.name,
                array.flat[0],
            )
    norm = _first_normalization(model)
    if norm is not None:
        few = [array[:_LOOKED_AT] for array in samples]
        maps = _read_by(norm, model, few, signature)
        if maps:  # A model of a user's own class may leave it out.
            _check_scale(norm, np.concatenate(maps))


def _first_normalization(model):
    """The first batch normalization, if it was trained."""
    if not getattr(model, "inputs", None):
        return None
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            return layer if _trained(layer) else None
    return None


def _trained(norm):
    mean, variance = map(values.numpy, (norm.moving_mean, norm.moving_variance))
    return bool(mean.any() or (variance != 1).any())


def _read_by(norm, model, samples, signature):
    """What a normalization of a model reads on samples, channels last.

    Its attribute `input` may be that in another model, which it came from.

    Returns:
        List of arrays of shape `(N, channels)`, one for each call.
    """
    found, call = [], norm.call

    @functools.wraps(call)
    def noted(inputs, *args, **kwargs):
        maps = np.moveaxis(values.numpy(inputs), norm.axis, -1)
        found.append(maps.reshape(-1, maps.shape[-1]))
        return call(inputs, *args, **kwargs)

    with overrides.of([(norm, "call", noted)]):
        output_check.predicted(model, signature, samples)
    return found


def _check_scale(norm, maps):
    deviation = np.sqrt(values.numpy(norm.moving_variance) + norm.epsilon)
    far = np.median(
        np.abs(maps.mean(0) - values.numpy(norm.moving_mean)) / deviation
    )
    factor = np.median(np.sqrt(maps.var(0) + norm.epsilon) / deviation)
    if far > _FAR or not 1 / _FACTOR < factor < _FACTOR:
        logging.warning(
            "Calibration samples seem to be on another scale than the training "
            "data: before %s the standard deviation is %.3g times that of "
            "training, and the mean %.3g standard deviations away. Preprocess "
            "them as the model expects.",
            norm.name,
            factor,
            far,
        )
