"""How often classifiers are right."""

import operator

import keras
import numpy as np


def accuracies(models, data, batch_size=256):
    """The share of samples whose highest score is that of their class.

    All models see each batch before the next one is drawn, so that `data`
    may be a generator.

    Args:
        models: list of `keras.Model`s with one output, scores or
            probabilities of shape `(batch, ..., classes)`, two or more.
        data: `(x, y)` arrays, or an iterable of batches `(x, y)` that ends:
            a `tf.data.Dataset`, a `keras.utils.PyDataset`, a generator. `y`
            holds class indices, shape `(batch, ...)`, or is one-hot, of the
            shape of the scores.
        batch_size: `int`, for arrays.

    Returns:
        A list of floats in [0, 1], one for each model.

    Raises:
        ValueError: If there are no samples, or shapes do not fit.

    Example:

    >>> accuracies([model, small], (x_test, y_test))
    [0.9917, 0.9889]
    """
    hits = [
        [_hits(model, x, y) for model in models]
        for x, y in _batches(data, batch_size)
    ]
    if not hits:
        raise ValueError(
            "Accuracy needs samples. Received: data of type "
            f"{type(data).__name__} that gives none. A generator can be used "
            "only once: make a new one."
        )
    return [float(np.concatenate(h).mean()) for h in zip(*hits, strict=True)]


def _batches(data, batch_size):
    if not _is_arrays(data):
        yield from map(_pair, data)
        return
    x, y = data
    y = np.asarray(y)
    lengths = {len(part) for part in keras.tree.flatten((x, y))}
    if len(lengths) > 1:
        raise ValueError(
            "Each sample needs a label. Received: "
            f"{len(keras.tree.flatten(x)[0])} samples and {len(y)} labels."
        )
    for start in range(0, len(y), batch_size):
        rows = slice(start, start + batch_size)
        take = operator.itemgetter(rows)
        yield keras.tree.map_structure(take, x), y[rows]


def _is_arrays(data):
    pair = isinstance(data, tuple) and len(data) == 2
    return pair and all(hasattr(p, "shape") for p in keras.tree.flatten(data))


def _pair(batch):
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise ValueError(
            "Data must be (x, y), or give batches (x, y). Received: "
            f"{type(batch).__name__} in place of such a pair."
        )
    return batch


def _hits(model, x, y):
    """Whether the highest score is at the right class, flat bool array."""
    scores = model(x, training=False)
    if not hasattr(scores, "shape") or scores.shape[-1] < 2:
        raise ValueError(
            "Accuracy needs one output with a score for each class, shape "
            "(batch, ..., classes). Received: "
            f"model={model.name!r} with output shape {model.output_shape}."
        )
    scores = keras.ops.convert_to_numpy(scores)
    y = keras.ops.convert_to_numpy(y)
    if y.shape == scores.shape:
        y = y.argmax(-1)
    predicted = scores.argmax(-1)
    if y.size != predicted.size:
        raise ValueError(
            "Labels must be class indices, one for each sample, or one-hot. "
            f"Received: y of shape {y.shape} for scores of shape "
            f"{scores.shape}."
        )
    return (predicted == y.reshape(predicted.shape)).ravel()
