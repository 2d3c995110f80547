"""Class indices from labels, checked against the model's scores."""

import numpy as np


def of(y, scores, name="the model"):
    """Returns the class index of each sample.

    Args:
        y: array of class indices, one per score vector.
        scores: array of shape `(batch, ..., classes)`.
        name: `str`, the source of the scores, used in error messages.

    Returns:
        Array of shape `(batch, ...)`.

    Raises:
        ValueError: If there is not one label per score vector, or a label has
            no score or is no whole number.
    """
    y, classes = np.asarray(y), scores.shape[-1]
    if y.size != scores.size // classes:
        raise ValueError(
            "Labels must be class indices, one per sample, or one-hot. "
            f"Received: y of shape {y.shape} for scores of shape "
            f"{scores.shape}."
        )
    low, high = y.min(initial=0), y.max(initial=0)
    if not (low >= 0 and high < classes):
        raise ValueError(
            f"Labels must be class indices from 0 to {classes - 1}, as {name} "
            f"has {classes} classes. Received: labels from {low} to {high}. "
            "Check how the classes are numbered, and leave out samples "
            "without a class."
        )
    if y.dtype.kind == "f" and (y % 1).any():
        raise ValueError(
            "Labels must be class indices, which are whole numbers. Received: "
            f"{y[y % 1 != 0][0]} among them. Give soft labels in the shape of "
            "the scores."
        )
    return y.reshape(scores.shape[:-1])


def rows(data, known, classes, name):
    """Returns data with one-hot rows for class indices.

    Args:
        data: a `tf.data.Dataset` of samples `(x, y)`.
        known: `int`, the classes that there are.
        classes: `int`, the length of a row.
        name: `str`, what the data are called, used in error messages.

    Raises:
        ValueError: If there are more or fewer classes.
    """
    import tensorflow as tf

    if known != classes:
        raise ValueError(
            "A model must have an output for each class. Received: "
            f"{name!r} with {known} classes, for a model with {classes} "
            "outputs."
        )

    def changed(x, y):
        message = f"{name} has samples without a class (a label of -1)."
        is_known = tf.debugging.assert_non_negative(y, message)
        with tf.control_dependencies([is_known]):
            return x, tf.one_hot(y, classes)

    return data.map(changed)
