"""Predictions against truths: confusion matrices and error distributions."""

import dataclasses

import keras
import numpy as np

from tfprune.core import printed
from tfprune.core import tables
from tfprune.datasets import loss_kinds
from tfprune.datasets import output_names
from tfprune.datasets import samples
from tfprune.datasets import tally


@dataclasses.dataclass(frozen=True, eq=False)
class Confusion(printed.Printed):
    """Confusion matrices of one output.

    Attributes:
        name: `str`, the output of the model.
        labels: tuple of `str`, the classes.
        before, after: int arrays, shape `(classes, classes)`: rows are true
            classes, columns predictions; `after` may be `None`.
    """

    name: str
    labels: tuple
    before: np.ndarray
    after: np.ndarray | None = None

    def tables(self):
        """A list of `tables.Table`, one for each model: counts."""
        sides = {"before": self.before, "after": self.after}
        return [
            tables.Table(
                ("class", *self.labels),
                tuple(
                    (label, *map(tables.number, row.tolist()))
                    for label, row in zip(self.labels, counts, strict=True)
                ),
                title=f"{self.name}, {when}: classes and, across, answers",
            )
            for when, counts in sides.items()
            if counts is not None
        ]


@dataclasses.dataclass(frozen=True, eq=False)
class Errors(printed.Printed):
    """Errors of one regression output.

    Attributes:
        name: `str`, the output of the model.
        before, after: float arrays, prediction minus truth of each number;
            `after` may be `None`.
    """

    name: str
    before: np.ndarray
    after: np.ndarray | None = None

    def tables(self):
        """A list of one `tables.Table`: what the errors are on the whole."""
        sides = {"before": self.before, "after": self.after}
        sides = {k: v for k, v in sides.items() if v is not None}
        measures = {
            "mean absolute error": lambda e: np.abs(e).mean(),
            "root mean squared error": lambda e: np.sqrt(np.square(e).mean()),
            "mean error": np.mean,
            "largest error": lambda e: np.abs(e).max(),
        }
        rows = tuple(
            (name, *(f"{measure(errors):.4g}" for errors in sides.values()))
            for name, measure in measures.items()
        )
        return [tables.Table((self.name, *sides), rows)]


def outcomes(models, data, labels=None, batch_size=256, losses=None):
    """Compares the predictions of one or two models with the truth.

    An output counts as a classifier's if the truths are integers, or whole
    numbers beside a sparse loss, one per score vector, or one-hot; or all 0 or
    1, one per probability or logit (see `tfprune.datasets.tally`). All others
    count as regression.

    Args:
        models: list of one or two `keras.Model`s with the same outputs.
        data: `(x, y)` or a source of such batches; see `tfprune.datasets`.
            With several outputs `y` is a structure of arrays, as for `fit`.
        labels: names of the classes; numbers if `None`.
        batch_size: `int`, used if the data are arrays.
        losses: list of losses, as for `compile`, one per output; `None` takes
            those of the first model.

    Returns:
        A tuple of `Confusion` and `Errors`, one per output.

    Raises:
        ValueError: If there are no samples, or labels and outputs do not
            match.

    Example:

    >>> tfprune.reports.outcomes([model, small], (x_test, y_test))
    """
    if not 1 <= len(models) <= 2:
        raise ValueError(
            "One or two models are required, before and after. Received: "
            f"{len(models)} models."
        )
    truths, answers = [], [[] for _ in models]
    for x, y in samples.batches(data, "the outcomes", batch_size, labels=True):
        samples.check_shapes(models[0], x, "the outcomes")
        parts = [np.asarray(part) for part in in_order(y, models[0])]
        for found, model in zip(answers, models, strict=True):
            outputs = in_order(model(x, training=False), model)
            pairs = [with_mask(output) for output in outputs]
            check_count(parts, [pairs])
            kept = [
                tally.unmasked(mask, truth, output)
                for truth, (output, mask) in zip(parts, pairs, strict=True)
            ]
            found.append([output for _, output in kept])
        # All models have the masks of the same inputs.
        truths.append([truth for truth, _ in kept])
    truths = [np.concatenate(part) for part in zip(*truths, strict=True)]
    answers = [
        [np.concatenate(part) for part in zip(*found, strict=True)]
        for found in answers
    ]
    names = names_of(models[0], len(truths))
    if losses is None:
        losses = tally.losses_of(models[0])
    return tuple(
        outcome(name, truth, *given, labels=labels, loss=loss)
        for name, loss, truth, *given in zip(
            names, losses, truths, *answers, strict=True
        )
    )


def with_mask(output):
    """An output and its Keras mask, which may be `None`, as numpy arrays."""
    mask = tally.mask_of(output)
    if mask is not None:
        mask = keras.ops.convert_to_numpy(mask)
    return keras.ops.convert_to_numpy(output), mask


def in_order(structure, model):
    """The parts of an output, or of its labels, in the order of the model."""
    names = output_names.of(model)
    if isinstance(structure, dict) and set(structure) == set(names):
        return [structure[name] for name in names]
    return keras.tree.flatten(structure)


def names_of(model, count):
    """A list of `str`, what each of `count` outputs is called."""
    names = output_names.of(model)
    if len(names) == count:
        return names
    if count == 1:
        return ["output"]
    return [f"output {n}" for n in range(1, count + 1)]


def check_count(truths, answers):
    """Raises a `ValueError` unless each output of all models has labels."""
    if any(len(found) != len(truths) for found in answers):
        raise ValueError(
            "There must be labels for each output. Received: "
            f"{len(truths)} arrays of labels for "
            f"{[len(found) for found in answers]} outputs."
        )


def outcome(name, truth, before, after=None, labels=None, loss=None):
    """What was answered at one output.

    Args:
        name: `str`, the output.
        truth: array of class indices, one-hot classes, or numbers.
        before, after: arrays of answers.
        labels: names of the classes.
        loss: the output's, as for `compile`; tells logits from probabilities
            where there is one answer for two classes, and classes from numbers
            where labels are floats.

    Returns:
        A `Confusion` or `Errors`.
    """
    sides = [before] if after is None else [before, after]
    classes = before.shape[-1] if before.ndim > 1 else 1
    if classes > 1 and truth.shape == before.shape and _one_hot(truth):
        truth = truth.argmax(-1)
    if classes > 1 and _are_classes(truth, before, loss):
        truth = truth.astype(int)
        _check(truth, classes, name)
        counts = [_confused(truth, side, classes) for side in sides]
        return Confusion(name, _names(labels, classes), *counts)
    sides_of = _two_classes(name, truth, sides, loss) if classes == 1 else None
    if sides_of is not None:
        counts = [_confused(truth.astype(int), side, 2) for side in sides_of]
        return Confusion(name, _names(labels, 2), *counts)
    for side in sides:
        if side.size != truth.size:
            raise ValueError(
                "Truths and predictions must have the same number. Received: "
                f"truths of shape {truth.shape} and predictions of shape "
                f"{side.shape} at output {name!r}."
            )
    return Errors(
        name,
        *(side.reshape(-1) - truth.reshape(-1).astype(float) for side in sides),
    )


def _are_classes(truth, scores, loss):
    """Whether there is a class for each vector of scores."""
    if truth.size != scores[..., 0].size:
        return False
    if np.issubdtype(truth.dtype, np.integer):
        return True
    kind, _ = loss_kinds.kind(loss)
    return kind == "sparse" and bool((truth % 1 == 0).all())


def _two_classes(name, truth, sides, loss):
    """Scores of two classes for each array of answers; `None` for numbers."""
    found = []
    for side in sides:
        if side.size != truth.size:
            return None
        counted = tally.Tally(name, loss)
        counted.add(truth, side)
        if counted.quality()[0] != tally.ACCURACY:
            return None
        yes = counted.is_yes(side.reshape(-1))
        found.append(np.stack([~yes, yes], -1))
    return found


def _one_hot(truth):
    return bool(np.isin(truth, (0, 1)).all() and (truth.sum(-1) == 1).all())


def _check(truth, classes, name):
    if truth.min() < 0 or truth.max() >= classes:
        raise ValueError(
            f"Labels must be in [0, {classes}), one for each score. Received: "
            f"labels from {truth.min()} to {truth.max()} at output {name!r}."
        )


def _confused(truth, scores, classes):
    """Counts, shape `(classes, classes)`."""
    places = truth.reshape(-1) * classes + scores.argmax(-1).reshape(-1)
    counts = np.bincount(places, minlength=classes**2)
    return counts.reshape(classes, classes)


def _names(labels, classes):
    if labels is None:
        return tuple(map(str, range(classes)))
    if len(labels) != classes:
        raise ValueError(
            f"A name for each of {classes} classes is required. Received: "
            f"labels={labels!r}."
        )
    return tuple(map(str, labels))
