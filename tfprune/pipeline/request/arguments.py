"""Checks of the arguments of `compress`, before anything is read."""

import difflib
import math

import keras
import numpy as np

from tfprune.core import packages


def plain(value):
    """A number of numpy's as one of Python's, which JSON knows."""
    return value.item() if isinstance(value, np.generic) else value


def check_options(options, known, arguments):
    """Raises a `TypeError` if an option is unknown.

    Args:
        options: `dict` of what was passed.
        known: names of options.
        arguments: names of the other arguments, for a hint.
    """
    for name, value in options.items():
        if name not in known:
            near = difflib.get_close_matches(name, [*known, *arguments])
            raise TypeError(
                f"An option must be one of {', '.join(known)}, or an "
                f"argument of compress. Received: {name}={value!r}. "
                + (f"Did you mean {near[0]}?" if near else "Leave it out.")
            )


def check(model, minutes, epochs, points, trials, workers, seed):
    """Raises a `TypeError` or a `ValueError` if one cannot be used."""
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"A keras.Model is required. Received: model={model!r}. Load a "
            "file with tfprune.load_model."
        )
    if minutes is not None and epochs is not None:
        raise ValueError(
            "Only one of minutes and epochs may be given. Received: "
            f"minutes={minutes!r}, epochs={epochs!r}."
        )
    if minutes is not None and not (
        isinstance(minutes, (int, float)) and 0 < minutes < math.inf
    ):
        raise ValueError(
            "`minutes` must be a positive, finite number. Received: "
            f"minutes={minutes!r}."
        )
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(
            f"`seed` must be an int, at least 0. Received: seed={seed!r}. "
            "Another seed gives another order and another search."
        )
    counts = {"points": points, "workers": workers}
    if trials is not None:
        counts["trials"] = trials
    if epochs is not None:
        counts["epochs"] = epochs
    for name, value in counts.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(
                f"`{name}` must be a positive int. Received: {name}={value!r}."
            )


def check_packages(runtime):
    """Raises an error if what exports and measures files is missing."""
    if runtime is None:
        return
    advice = "Exporting (export=False does without)"
    packages.require("ai_edge_litert", user=advice)
    if runtime == "micro":
        packages.require("tflite_micro", user=advice)
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "The int8 file needs the TensorFlow backend. Received: "
            f"KERAS_BACKEND={keras.backend.backend()!r}. Pass export=False, "
            "or set KERAS_BACKEND=tensorflow."
        )
