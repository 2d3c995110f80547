"""Checks of model, data and arguments, before any work."""

import warnings

import keras
import numpy as np

from tfprune.datasets import checks
from tfprune.datasets import samples
from tfprune.pipeline.request import task as task_lib

_DRAWS = 20  # Permutations that estimate the chance level.
_LIMIT = 2048  # Samples of the check for a model that is not trained.
_SIGMA = 3.0


def check_inputs(model, x, purpose):
    """Raises a `ValueError` if a batch is not one of the model's inputs."""
    # A tuple of one: of several inputs, the second is no label.
    for _ in samples.batches((x,), purpose, model=model):
        pass


def check_data(model, kinds, source):
    """Reads all data once: shapes, numbers that are finite, labels in range.

    Args:
        model: a `keras.Model`.
        kinds: list of `(kind, is_logits)` of the outputs, as `Task.kinds`
            gives; empty for labels that no loss looks at.
        source: a `Source`.

    Returns:
        `int`, the number of samples.

    Raises:
        ValueError: If something does not fit.
    """
    count, rest = 0, []

    def inputs():
        for x, y, weights in source.batches():
            rest.append((y, weights))
            yield (x,)

    for x, _ in samples.batches(inputs(), source.purpose, model=model):
        y, weights = rest.pop()
        for name, part in (("y", y), ("weights", weights)):
            if kinds or name == "weights":
                _check_numbers(name, part, source.purpose)
            _check_finite(name, part, count, source.purpose)
        _check_labels(model, kinds, y, count, source.purpose)
        count += len(x[0])
    return count


def _check_numbers(name, part, purpose):
    for array in keras.tree.flatten(() if part is None else part):
        # numpy has no kind for bfloat16.
        if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
            raise ValueError(
                f"Data for {purpose} must have numbers as {name}. Received: "
                f"{name} of dtype {array.dtype}, such as "
                f"{array.reshape(-1)[:1].tolist()}. Pass the number of each "
                "class."
            )


def _check_finite(name, part, before, purpose):
    for array in keras.tree.flatten(() if part is None else part):
        if np.issubdtype(array.dtype, np.floating):
            bad = ~np.isfinite(array.reshape(len(array), -1)).all(1)
            if bad.any():
                raise ValueError(
                    f"Data for {purpose} must be finite. Received: {name} "
                    "with NaN or infinity, first in sample "
                    f"{before + int(np.argmax(bad))}."
                )


def check_names(names, model):
    """Raises a `ValueError` unless there is a name for each class.

    Args:
        names: sequence of `str`, the classes of an output; empty without any.
        model: a `keras.Model`.
    """
    # One score tells two classes apart.
    wanted = sorted({max(t.shape[-1] or 2, 2) for t in model.outputs})
    if len(names) and (isinstance(names, str) or len(names) not in wanted):
        raise ValueError(
            f"A sequence of {' or '.join(map(str, wanted))} names of classes "
            f"is required. Received: labels={names!r}. Omit labels for numbers."
        )


def _check_labels(model, kinds, y, before, purpose):
    """Classes must be among those of the output, and so on."""
    parts = y if isinstance(y, (list, tuple)) else [y]
    names = task_lib.output_names(model)
    if isinstance(y, dict):
        parts = [y.get(name) for name in names]
    for (kind, _), part, output, name in zip(
        kinds, parts, model.outputs, names, strict=False
    ):
        if part is None:
            continue
        least, most = None, None
        if kind == "sparse":
            least, most = 0, output.shape[-1] - 1
        elif kind in ("binary", "categorical"):
            least, most = 0, 1
        if most is None:
            continue
        checks.check_form(part, tuple(output.shape), kind, kind, purpose)
        flat = part.reshape(len(part), -1)
        bad = ((flat < least) | (flat > most)).any(1)
        if kind == "sparse":
            bad |= (flat != np.round(flat)).any(1)
        if bad.any():
            first = int(np.argmax(bad))
            what = "whole numbers" if kind == "sparse" else "numbers"
            raise ValueError(
                f"Labels for {purpose} must be {what} from {least} to {most}, "
                f"as the output {name!r} of shape "
                f"{tuple(output.shape[1:])} and its loss say. Received: "
                f"{flat[first].tolist()[:5]} in sample {before + first}."
            )


def check_teacher(teacher, model, kinds, x):
    """Checks that a teacher's outputs mean the same as the model's.

    Args:
        teacher, model: `keras.Model`s.
        kinds: list of `(kind, is_logits)` of the outputs, as for `check_data`.
        x: samples of the inputs.

    Raises:
        TypeError: If the teacher is not a Keras model.
        ValueError: If shapes differ, or one has logits and one probabilities.
    """
    if not isinstance(teacher, keras.Model):
        raise TypeError(
            f"A teacher must be a keras.Model. Received: teacher={teacher!r}."
        )
    check_inputs(teacher, x, "the teacher")
    shapes = [
        [tuple(output.shape[1:]) for output in one.outputs]
        for one in (teacher, model)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"A teacher must have outputs of shapes {shapes[1]}, as the model. "
            f"Received: {teacher.name!r} with {shapes[0]}."
        )
    told = keras.tree.flatten(teacher.predict_on_batch(x))
    for (kind, logits), output in zip(kinds, told, strict=True):
        if kind not in ("sparse", "categorical", "binary"):
            continue
        output = keras.ops.convert_to_numpy(output)
        chances = bool(((output >= 0) & (output <= 1)).all())
        if kind != "binary":
            chances &= bool(np.allclose(output.sum(-1), 1, atol=1e-3))
        if chances is logits:
            names = "logits", "probabilities"
            raise ValueError(
                f"A teacher must give {names[not logits]}, as the model. "
                f"Received: {teacher.name!r}, which gives {names[logits]}. Add "
                "a softmax or a sigmoid to one of them, or take it away."
            )


def warn_of_chance(model, task, source):
    """Warns if a model is no better than chance.

    The chance level is the metric with the outputs permuted over samples.

    Args:
        model: a `keras.Model`.
        task: a `Task`.
        source: a `Source`.

    Returns:
        `bool`, whether it warned.
    """
    parts = list(source.batches(limit=_LIMIT))
    outputs = [
        keras.tree.map_structure(
            keras.ops.convert_to_numpy, model.predict_on_batch(x)
        )
        for x, _, _ in parts
    ]
    whole = keras.tree.map_structure(lambda *a: np.concatenate(a), *outputs)
    count = len(keras.tree.flatten(whole)[0])
    if count < 2:
        return False

    def gain(order):
        given = _Given(
            keras.tree.map_structure(lambda part: part[order], whole)
        )
        return task.gain(task.evaluate(given, source, limit=_LIMIT))

    rng = np.random.default_rng(0)
    own = gain(np.arange(count))
    chance = [gain(rng.permutation(count)) for _ in range(_DRAWS)]
    if own > np.mean(chance) + _SIGMA * np.std(chance):
        return False
    sign = 1 if task.larger else -1
    warnings.warn(
        "A trained model is needed. Received: "
        f"model={model.name!r}, whose {task.monitor} of {sign * own:.4f} on "
        f"{count} validation samples is at chance level "
        f"({sign * np.mean(chance):.4f}). Train it first, or preprocess the "
        "data as for its training.",
        stacklevel=4,
    )
    return True


class _Given:
    """Outputs that are known, batch by batch."""

    def __init__(self, outputs):
        self._outputs, self._begin = outputs, 0

    def __call__(self, x):
        begin = self._begin
        self._begin += len(keras.tree.flatten(x)[0])
        return keras.tree.map_structure(
            lambda part: part[begin : self._begin], self._outputs
        )
