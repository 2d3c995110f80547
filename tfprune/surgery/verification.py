"""Whether a smaller model gives the outputs that it should."""

import warnings

import keras
import numpy as np

from tfprune.graph import values
from tfprune.surgery import shrinking


def check_equal(model, small, tolerance=1e-4, seed=0):
    """Compares the outputs of two models on random inputs.

    Args:
        model, small: models with the same inputs and outputs.
        tolerance: float, the largest difference allowed, relative to the
            largest absolute output; 100 times that for half precision.
        seed: `int` of the random inputs.

    Returns:
        The largest relative difference, float.

    Raises:
        ArithmeticError: If it is above the tolerance.
    """
    worst = 0.0
    for a, b in _output_pairs(model, small, seed):
        half = keras.backend.standardize_dtype(a.dtype) in _HALF
        limit = tolerance * 100 if half else tolerance
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
    """The largest difference of outputs on random inputs, relative."""
    return max(
        _relative_difference(values.numpy(a), values.numpy(b))
        for a, b in _output_pairs(model, small, seed)
    )


_HALF = ("float16", "bfloat16")


def _output_pairs(model, small, seed):
    inputs = random_inputs(model, seed)
    before, after = _outputs(model, inputs), _outputs(small, inputs)
    return zip(before, after, strict=True)


def _outputs(model, inputs):
    """The flat outputs; the model's state, seeds included, stays as it is."""
    with keras.StatelessScope():
        return keras.tree.flatten(model(inputs, training=False))


def _relative_difference(a, b):
    """The largest difference of two arrays, relative to the largest value.

    What is not finite must be so in both arrays.
    """
    finite = np.isfinite(a)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return float("inf")
    a, b = (x[finite].astype(np.float64) for x in (a, b))
    scale = max(np.abs(a).max(initial=0), 1e-12)
    return float(np.abs(a - b).max(initial=0) / scale)


def random_inputs(model, seed=0, batch=2):
    """Random inputs of a model, in the structure that it takes.

    Unknown sizes become 64 for images and 16 otherwise; integers are 0 or 1.
    """
    rng = np.random.default_rng(seed)
    structure = (
        model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    )
    return keras.tree.map_structure(
        lambda x: values.random(rng, x, batch=batch), structure
    )


def warn_of_change(cut, small):
    """Warns of what normalizations over fewer channels do to the outputs.

    Args:
        cut: a `Cut` of a graph with `inexact` layers.
        small: the model without the other channels.

    Returns:
        Float, the largest difference of the outputs from those of the model
        with zeros in place of the removed channels, on random inputs,
        relative to the largest output.
    """
    inexact = cut.graph.inexact
    change = output_difference(shrinking.masked(cut), small)
    names = ", ".join(inexact[:3])
    more = len(inexact) - 3
    warnings.warn(
        "Normalizations average over fewer channels "
        f"({names}{f' and {more} more' if more > 0 else ''}): the outputs "
        f"differ by {change:.3g} of the largest one from those with zeros in "
        "place of the removed channels. Train the model again.",
        stacklevel=3,
    )
    return change
