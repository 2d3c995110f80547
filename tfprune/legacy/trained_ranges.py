"""Ranges that models of quantization-aware training bring along."""

import os
import pathlib
import typing

from tfprune.core.files import leftovers
from tfprune.legacy import live_models
from tfprune.legacy import loading


def quantization_ranges(
    source: typing.Any,
    allow_lambda: bool = False,
    custom_objects: dict | None = None,
) -> dict:
    """Ranges of layers' outputs from quantization-aware training.

    `quantize_model` of tensorflow-model-optimization trains a range for what
    each layer puts out. `load_model` and `from_tf_keras` return the model in
    float; `export_tflite(..., "int8", ranges=)` exports it with these ranges,
    also after pruning. Ranges before an activation (softmax) have no place in
    the export and are left out; ranges of weights follow from the weights.

    Args:
        source: path of a model file, as for `load_model`, or a model of
            `tf_keras`.
        allow_lambda, custom_objects: as for `load_model`.

    Returns:
        `dict` from the name of a layer to `(low, high)`, `float`s; empty if
        the model was not trained so.

    Raises:
        FileNotFoundError, TypeError, ValueError: As for `load_model` and
            `from_tf_keras`.

    Example:

    >>> model = tfprune.load_model("qat.h5")  # doctest: +SKIP
    >>> ranges = tfprune.quantization_ranges("qat.h5")  # doctest: +SKIP
    >>> tfprune.export_tflite(
    ...     model, "m.tflite", "int8", x, ranges=ranges)  # doctest: +SKIP
    """
    with loading.scope(custom_objects):
        if isinstance(source, str | os.PathLike):
            return loading.ranges(source, allow_lambda)
        with leftovers.folder() as folder:
            path = live_models.written(source, pathlib.Path(folder))
            # The code in it was this process's before.
            return loading.ranges(path, allow_lambda=True)
