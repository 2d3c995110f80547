"""Predictions against truths: confusion matrices and error distributions."""

import dataclasses

import numpy as np

from tfprune.core import printed
from tfprune.core import tables
from tfprune.datasets import masking
from tfprune.datasets import outputs as outputs_lib
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
            Samples, or steps of one, whose weight is 0 do not count.
        labels: names of the classes; numbers if `None`.
        batch_size: `int`, used if the data are arrays.
        losses: as for `compile`; `None` takes those of the first model.

    Returns:
        A tuple of `Confusion` and `Errors`, one per output that has labels.

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
    known = outputs_lib.of(models[0], losses)
    found = [[] for _ in known]
    for x, y, weights in samples.batches(
        data, "the outcomes", batch_size, labels=True, weights=True
    ):
        samples.check_shapes(models[0], x, "the outcomes")
        truths = outputs_lib.in_order(y, known)
        answers = []
        for model in models:
            outputs = outputs_lib.in_order(model(x, training=False), known)
            check_count(truths, outputs)
            answers.append([masking.as_numpy(output) for output in outputs])
        weighed = outputs_lib.weights_in_order(weights, known)
        for output, parts, truth, weight, *sides in zip(
            known, found, truths, weighed, *answers, strict=True
        ):
            if truth is not None:
                arrays = [np.asarray(truth), *(array for array, _ in sides)]
                weight = tally.for_answers(weight, arrays[-1])
                # All models have the masks of the same inputs.
                weight, *arrays = masking.unmasked(sides[0][1], weight, *arrays)
                arrays = _weighed(weight, arrays)
                parts.append(masking.without_label(output.ignored, *arrays))
    return tuple(
        outcome(
            name,
            *(np.concatenate(part) for part in zip(*parts, strict=True)),
            labels=labels,
            output=output,
        )
        for name, output, parts in zip(
            names_of(known), known, found, strict=True
        )
        if any(part[0].size for part in parts)
    )


def _weighed(weight, arrays):
    """The rows of arrays whose weight is not 0."""
    if all(a.shape[: weight.ndim] == weight.shape for a in arrays):
        return [array[weight != 0] for array in arrays]
    return arrays


def names_of(outputs):
    """A list of `str`, what each of the outputs is called."""
    names = [output.name for output in outputs]
    if None not in names:
        return names
    if len(names) == 1:
        return ["output"]
    return [f"output {n}" for n in range(1, len(names) + 1)]


def check_count(truths, answers):
    """Raises a `ValueError` unless there are labels for each answer.

    Args:
        truths: list of arrays of labels, `None` for an output without.
        answers: list of arrays, one for each output.
    """
    if len(answers) != len(truths):
        raise ValueError(
            "There must be labels for each output. Received: "
            f"{len(truths)} arrays of labels for {len(answers)} outputs."
        )


def outcome(name, truth, before, after=None, labels=None, output=None):
    """What was answered at one output.

    Args:
        name: `str`, the output.
        truth: array of class indices, one-hot classes, or numbers.
        before, after: arrays of answers.
        labels: names of the classes.
        output: an `outputs.Output`, which tells logits from probabilities
            where there is one answer for two classes, and classes from numbers
            where labels are floats.

    Returns:
        A `Confusion` or `Errors`.
    """
    sides = [before] if after is None else [before, after]
    classes = before.shape[-1] if before.ndim > 1 else 1
    if classes > 1 and truth.shape == before.shape and _one_hot(truth):
        truth = truth.argmax(-1)
    if classes > 1 and _are_classes(truth, before, output):
        truth = truth.astype(int)
        _check(truth, classes, name)
        counts = [_confused(truth, side, classes) for side in sides]
        return Confusion(name, _names(labels, classes), *counts)
    scores = None
    if classes == 1:
        scores = _two_classes(name, truth, sides, output)
    if scores is not None:
        counts = [_confused(truth.astype(int), side, 2) for side in scores]
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


def _are_classes(truth, scores, output):
    """Whether there is a class for each vector of scores."""
    if truth.size != scores[..., 0].size:
        return False
    if np.issubdtype(truth.dtype, np.integer):
        return True
    is_sparse = output is not None and output.kind == "sparse"
    return is_sparse and bool((truth % 1 == 0).all())


def _two_classes(name, truth, sides, output):
    """Scores of two classes for each array of answers; `None` for numbers."""
    found = []
    for side in sides:
        if side.size != truth.size:
            return None
        counted = tally.Tally(name, output)
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
