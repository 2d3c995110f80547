"""Accuracy of classifiers."""

import keras
import numpy as np

from tfprune.datasets import class_indices
from tfprune.datasets import samples


def accuracies(models, data, batch_size=256):
    """Computes the accuracy of classifiers.

    All models see each batch before the next one is drawn, so `data` may be a
    generator.

    Args:
        models: list of `keras.Model`s with one output, scores or
            probabilities of shape `(batch, ..., classes)`, two or more.
        data: `(x, y)` arrays or what gives batches of them; see
            `tfprune.datasets.batches`. `y` holds class indices, shape
            `(batch, ...)`, or is one-hot, of the shape of the scores.
        batch_size: `int`, for arrays.

    Returns:
        A list of floats in [0, 1], one for each model.

    Raises:
        ValueError: If there are no samples or labels, shapes do not fit, or
            a label has no score.

    Example:

    >>> accuracies([model, small], (x_test, y_test))
    [0.9917, 0.9889]
    """
    found = [
        [hits(model(x, training=False), y, model.name) for model in models]
        for x, y in samples.batches(
            data, "the accuracy", batch_size, labels=True
        )
    ]
    return [float(np.concatenate(h).mean()) for h in zip(*found, strict=True)]


def hits(scores, y, name):
    """Whether the highest score is at the right class.

    Args:
        scores: array of shape `(batch, ..., classes)`.
        y: array of class indices, shape `(batch, ...)`, or one-hot.
        name: `str`, what gave the scores, for errors.

    Returns:
        Flat bool array.

    Raises:
        ValueError: If the shapes do not fit, or a label has no score.
    """
    if not hasattr(scores, "shape") or scores.shape[-1] < 2:
        shapes = keras.tree.map_structure(lambda t: tuple(t.shape), scores)
        raise ValueError(
            "Accuracy needs one output with a score for each class, shape "
            f"(batch, ..., classes). Received: model={name!r} with output "
            f"shape {shapes}. Leave the data out, and measure other metrics "
            "with model.evaluate."
        )
    scores = keras.ops.convert_to_numpy(scores)
    labels = class_indices.of(y, scores, repr(name))
    return (scores.argmax(-1) == labels).ravel()
