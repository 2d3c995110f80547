"""Labels as the numbers of classes, checked against the scores."""

import numpy as np


def of(y, scores, name="the model"):
    """The class of each sample.

    Args:
        y: array of class indices, one for each score vector, or one-hot, of
            the shape of the scores.
        scores: array of shape `(batch, ..., classes)`.
        name: `str`, what gave the scores, for errors.

    Returns:
        Array of shape `(batch, ...)`.

    Raises:
        ValueError: If there is not one label for each score vector, or if a
            label has no score.
    """
    y, classes = np.asarray(y), scores.shape[-1]
    if y.shape == scores.shape:
        return y.argmax(-1)
    if y.size != scores.size // classes:
        raise ValueError(
            "Labels must be class indices, one for each sample, or one-hot. "
            f"Received: y of shape {y.shape} for scores of shape "
            f"{scores.shape}."
        )
    low, high = y.min(initial=0), y.max(initial=0)
    if not (low >= 0 and high < classes):
        raise ValueError(
            f"Labels must be class indices from 0 to {classes - 1}, as {name} "
            f"has {classes} classes. Received: labels from {low} to {high}. "
            "Look at how the classes are numbered, and leave samples without "
            "a class out."
        )
    return y.reshape(scores.shape[:-1])
