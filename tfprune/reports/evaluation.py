"""How good models are on data: accuracies, and errors of numbers."""

import keras

from tfprune.datasets import masking
from tfprune.datasets import outputs as outputs_lib
from tfprune.datasets import samples
from tfprune.datasets import tally
from tfprune.reports import answers

_PURPOSE = "the accuracy"


def accuracies(models, data, batch_size=256):
    """Computes the accuracy of classifiers.

    All models see each batch before the next one is drawn, so `data` may be a
    generator.

    Args:
        models: list of `keras.Model`s with one output, scores or
            probabilities of shape `(batch, ..., classes)`; of shape
            `(batch, ..., 1)` for two classes.
        data: `(x, y)` arrays or what gives batches of them; see
            `tfprune.datasets.batches`. `y` holds class indices, shape
            `(batch, ...)`, or is one-hot, of the shape of the scores; for
            shape `(batch, ..., 1)` it holds 0 and 1. See
            `tfprune.datasets.tally`. Samples count by their weights, if there
            are any.
        batch_size: `int`, for arrays.

    Returns:
        A list of floats in [0, 1], one for each model.

    Raises:
        ValueError: If there are no samples or labels, shapes do not fit, a
            label has no score, or labels are not classes.

    Example:

    >>> accuracies([model, small], (x_test, y_test))
    [0.9917, 0.9889]
    """
    for model in models:
        shapes = [tuple(t.shape) for t in keras.tree.flatten(model.outputs)]
        if len(shapes) != 1:
            raise ValueError(
                "Accuracy needs one output with a score for each class, shape "
                f"(batch, ..., classes). Received: model={model.name!r} with "
                f"output shapes {shapes}. Measure other metrics with "
                "model.evaluate."
            )
    cure = "Measure other metrics with model.evaluate."
    return [
        counted.accuracy(cure)
        for (counted,) in _tallied(models, data, batch_size)
    ]


def qualities(models, data, batch_size=256):
    """How good each output is: an accuracy, or the error of numbers.

    Args:
        models: list of `keras.Model`s with the same outputs.
        data: `(x, y)` or batches of them. With several outputs `y` is a
            structure of arrays, as for `fit`. Samples count by their weights,
            if there are any.
        batch_size: `int`, for arrays.

    Returns:
        A list with a `dict` for each model: "accuracy", a fraction of 1, or
        "mean absolute error"; behind them the name of the output, as in
        "accuracy, digit", if there are several.

    Raises:
        ValueError: If there are no samples or labels, or they do not fit.

    Example:

    >>> qualities([model, small], (x_test, y_test))
    [{'accuracy': 0.9917}, {'accuracy': 0.9889}]
    """
    tallied = _tallied(models, data, batch_size)
    return [named(*each) for each in zip(models, tallied, strict=True)]


def named(model, tallies):
    """What each `Tally` of a model's outputs found, as `qualities` names it."""
    found = {}
    names = answers.names_of(outputs_lib.of(model))
    for name, each in zip(names, tallies, strict=True):
        if each.is_empty:
            continue
        what, value = each.quality()
        found[f"{what}, {name}" if names[1:] else what] = value
    return found


def _tallied(models, data, batch_size):
    """For each model, a list with the `Tally` of each output."""
    tallies = [tally.of_outputs(model) for model in models]
    known = [outputs_lib.of(model) for model in models]
    for x, y, weights in samples.batches(
        data, _PURPOSE, batch_size, labels=True, weights=True
    ):
        samples.check_shapes(models[0], x, _PURPOSE)
        for model, own, counted in zip(models, known, tallies, strict=True):
            outputs = outputs_lib.in_order(model(x, training=False), own)
            truths = outputs_lib.in_order(y, own)
            answers.check_count(truths, outputs)
            weighed = outputs_lib.weights_in_order(weights, own)
            for truth, output, weight, each in zip(
                truths, outputs, weighed, counted, strict=True
            ):
                if truth is not None:
                    each.add(truth, *masking.as_numpy(output), weight)
    return tallies
