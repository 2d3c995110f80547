"""Checks that a smaller model gives the right outputs."""

import warnings

import keras
import numpy as np

from tfprune.graph import values
from tfprune.surgery import shrinking


def check_equal(model, small, tolerance=1e-4, seed=0):
    """Compares the outputs of two models on random inputs.

    Args:
        model, small: models with the same inputs and outputs.
        tolerance: float, the largest allowed difference, relative to the
            largest absolute output; multiplied by 100 if an output or a layer
            has half precision.
        seed: `int`, seed of the random inputs.

    Returns:
        The largest relative difference, float.

    Raises:
        ArithmeticError: If the difference exceeds the tolerance.
    """
    worst = 0.0
    half = any(_is_half(layer) for layer in values.layers(model))
    for a, b in _output_pairs(model, small, seed):
        output = keras.backend.standardize_dtype(a.dtype)
        limit = tolerance * 100 if half or output in _HALF else tolerance
        error = _relative_difference(values.numpy(a), values.numpy(b))
        if not error <= limit:
            raise ArithmeticError(
                "The smaller model must give the same outputs. Received: a "
                f"relative difference of {error:.3g}, more than {limit:.3g}, "
                f"for model={model.name!r}. Please report the model: a rule "
                "for one of its layers is wrong."
            )
        worst = max(worst, error)
    return worst


def output_difference(model, small, seed=0):
    """Returns the largest relative output difference on random inputs."""
    return max(
        _relative_difference(values.numpy(a), values.numpy(b))
        for a, b in _output_pairs(model, small, seed)
    )


_HALF = ("float16", "bfloat16")


def _is_half(layer):
    return getattr(layer, "compute_dtype", None) in _HALF


def _output_pairs(model, small, seed):
    inputs = random_inputs(model, seed)
    before, after = _outputs(model, inputs), _outputs(small, inputs)
    return zip(before, after, strict=True)


def _outputs(model, inputs):
    """The flat outputs; restores the model's state, including its seeds."""
    with keras.StatelessScope():
        return keras.tree.flatten(model(inputs, training=False))


def _relative_difference(a, b):
    """The largest difference of two arrays, relative to the largest value.

    Non-finite values must match.
    """
    finite = np.isfinite(a)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return float("inf")
    a, b = (x[finite].astype(np.float64) for x in (a, b))
    scale = max(np.abs(a).max(initial=0), 1e-12)
    return float(np.abs(a - b).max(initial=0) / scale)


def random_inputs(model, seed=0, batch=2):
    """Returns random inputs for a model, in its input structure.

    Unknown sizes become 64 for images and 16 otherwise, or more if kernels and
    strides need it; integers are 0 or 1.
    """
    return values.random_inputs(model, seed, batch)


def warn_of_change(cut, small):
    """Warns how normalizing over fewer channels changes the outputs.

    Args:
        cut: a `Cut` of a graph with `inexact` layers.
        small: the model without the removed channels.

    Returns:
        Float, the largest difference between the outputs and those of the
        model with the removed channels set to zero, on random inputs,
        relative to the largest output.
    """
    inexact = cut.graph.inexact
    change = output_difference(shrinking.masked(cut), small)
    names = ", ".join(inexact[:3])
    more = len(inexact) - 3
    warnings.warn(
        "Normalizations average over fewer channels "
        f"({names}{f' and {more} more' if more > 0 else ''}): the outputs "
        f"differ by up to {change:.3g} of the largest one from those with the "
        "removed channels set to zero. Train the model again.",
        stacklevel=3,
    )
    return change
