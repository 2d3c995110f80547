"""Checks of model, data and arguments, before any work."""

import warnings

import keras
import numpy as np

from tfprune.datasets import checks
from tfprune.datasets import label_checks
from tfprune.datasets import outputs as outputs_lib
from tfprune.datasets import samples
from tfprune.graph import values as values_lib
from tfprune.graph.classes import op_configs
from tfprune.pipeline.request import sources

_DRAWS = 20  # Permutations that estimate the chance level.
_LIMIT = 2048  # Samples of the check for a model that is not trained.
_SIGMA = 3.0


def check_inputs(model, x, purpose):
    """Raises a `ValueError` if a batch is not one of the model's inputs."""
    # A tuple of one: of several inputs, the second is no label.
    for _ in samples.batches((x,), purpose, model=model):
        pass


def check_data(model, outputs, source):
    """Reads all data once: shapes, numbers that are finite, labels in range.

    Args:
        model: a `keras.Model`.
        outputs: list of `datasets.outputs.Output`; `None` for labels that no
            loss looks at, which may be anything.
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

    purpose = source.purpose
    for x, _ in samples.batches(inputs(), purpose, model=model):
        y, weights = rest.pop()
        if outputs is not None:
            label_checks.check(y, outputs, purpose, count)
        for part in keras.tree.flatten(weights):
            if part is not None:
                checks.numbers(part, "Sample weights", purpose, "a float each")
                checks.finite(part, "Sample weights", purpose, count)
        count += len(x[0])
    return count


def check_training(model):
    """Warns of training of the model's own, which is not what happens here.

    Args:
        model: a `keras.Model`, as it was given.

    Raises:
        ValueError: If a layer keeps a state from batch to batch, or if Keras
            cannot save the model.
    """
    op_configs.check(model)
    if values_lib.states(model):
        raise ValueError(
            "Samples must not depend on those before. Received: "
            f"model={model.name!r} with a recurrent layer of stateful=True. "
            "Make it with stateful=False and the same weights: "
            "tfprune.compress shuffles samples."
        )
    own = [
        name
        for name in ("train_step", "compute_loss", "compute_metrics")
        if getattr(type(model), name) is not getattr(keras.Model, name)
    ]
    if own:
        warnings.warn(
            "Training is by the compiled loss and metrics, or those given. "
            f"Received: model={model.name!r}, a {type(model).__name__} with "
            f"{' and '.join(own)} of its own, which does not count. Pass loss= "
            "and metrics= that say the same.",
            stacklevel=3,
        )


def check_labels(model, labels):
    """Raises a `ValueError` unless each class of the first output has a name.

    Args:
        model: a `keras.Model`.
        labels: sequence of `str`; none if empty.
    """
    first = outputs_lib.of(model)[0]
    wanted = max(2, first.shape[-1] or 0)
    if len(labels) and (
        # The letters of a word are no names.
        isinstance(labels, str)
        or len(labels) != wanted
        or not all(isinstance(name, str) for name in labels)
    ):
        raise ValueError(
            f"`labels` must name the {wanted} classes of the output "
            f"{first.name or model.layers[-1].name!r}. Received: "
            f"labels={labels!r}."
        )


def check_teacher(teacher, model, outputs, x):
    """Checks that a teacher's outputs mean the same as the model's.

    Args:
        teacher, model: `keras.Model`s.
        outputs: list of `datasets.outputs.Output`, of both.
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
    for output, given in zip(outputs, told, strict=True):
        if output.kind not in ("sparse", "categorical", "binary"):
            continue
        given = keras.ops.convert_to_numpy(given)
        chances = bool(((given >= 0) & (given <= 1)).all())
        if output.kind != "binary":
            chances &= bool(np.allclose(given.sum(-1), 1, atol=1e-3))
        logits = output.is_logits
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

    Raises:
        ValueError: If the metric is NaN.
    """
    # Data may come class by class: some of each.
    source = sources.Source(source.some(_LIMIT), source.purpose, model)
    outputs = [
        keras.tree.map_structure(
            keras.ops.convert_to_numpy, model.predict_on_batch(x)
        )
        for x, _, _ in source.batches()
    ]
    whole = keras.tree.map_structure(lambda *a: np.concatenate(a), *outputs)
    count = len(keras.tree.flatten(whole)[0])
    if count < 2:
        return False

    def gain(order):
        given = _Given(
            keras.tree.map_structure(lambda part: part[order], whole)
        )
        return task.gain(task.evaluate(given, source))

    rng = np.random.default_rng(0)
    own = gain(np.arange(count))
    if np.isneginf(own):
        raise ValueError(
            "The metric to keep must be a number. Received: "
            f"model={model.name!r}, whose {task.monitor} is NaN on {count} "
            "validation samples. Choose another monitor, or a trained model."
        )
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
