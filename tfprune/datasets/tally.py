"""How often a model is right, and how far off it is, counted by batches."""

import keras
import numpy as np

from tfprune.core import tables
from tfprune.datasets import class_indices
from tfprune.datasets import masking
from tfprune.datasets import outputs as outputs_lib

ACCURACY, ERROR = "accuracy", "mean absolute error"
_NEAR = 1e-3  # By what the sum of probabilities may differ from 1.


class Tally:
    """Counts right answers at one output, and adds up its errors.

    An answer is right
    - if the highest score is at the class, where labels are class indices, or
      rows of probabilities such as one-hot rows,
    - if it is on the label's side of 0.5, of logits on that of 0, where all
      labels are 0 or 1: one for each answer. Without a known loss, answers
      count as probabilities if all are from 0 to 1, else as logits if they may
      be.

    All other labels are numbers, whose distance counts. What a mask hides, or a
    loss ignores, does not.

    Args:
        name: `str`, what gives the answers, for errors.
        output: an `outputs.Output`; `None` if unknown.
        may_be_logits: `bool`, whether answers of an unknown loss may be.

    Example:

    >>> tally = Tally("model")
    >>> tally.add(np.array([1, 0]), np.array([[0.1, 0.9], [0.2, 0.8]]))
    >>> tally.quality()
    ('accuracy', 0.5)
    """

    def __init__(self, name, output=None, may_be_logits=False):
        self._name, self._shape = name, None
        if output is None:
            output = outputs_lib.Output(None, ())
        self._ignored = output.ignored
        self._sides = output.kind != "numbers" or output.has_own_loss
        self._threshold = 0.0 if output.is_logits else 0.5
        # Whether answers outside of [0, 1] have sides, too.
        self._any_range = output.kind == "binary"
        self._may_be_logits = may_be_logits and output.kind == "none"
        self._rows, self._within = True, True
        self._vectors = self._numbers = 0
        self._right_vectors = self._right_numbers = self._right_logits = 0
        self._error = 0.0

    def add(self, y, outputs, mask=None, weights=None):
        """Counts a batch.

        Args:
            y: array of class indices, one for each vector of scores, or of
                the size of the outputs.
            outputs: array of shape `(batch, ...)`, numpy.
            mask: bool array of the first axes of the outputs, as `masking`
                gives it: what does not count is false. `None` counts all.
            weights: array of how much each sample counts, or each step of
                one; `None` counts all alike.

        Raises:
            ValueError: If shapes do not fit, or a class has no score.
        """
        y, outputs = np.asarray(y), np.asarray(outputs)
        self._shape = outputs.shape
        weights = for_answers(weights, outputs)
        y, weights, outputs = masking.unmasked(mask, y, weights, outputs)
        y, outputs, weights = masking.without_label(
            self._ignored, y, outputs, weights
        )
        classes = outputs.shape[-1] if outputs.ndim > 1 else 1
        if y.size != outputs.size or (classes > 1 and y.shape != outputs.shape):
            if classes == 1:
                raise ValueError(
                    "There must be one label for each answer. Received: y of "
                    f"shape {y.shape} for outputs of {self._name} of shape "
                    f"{outputs.shape}."
                )
            labels = class_indices.of(y, outputs, self._name)
            self._count_vectors(labels, outputs, weights)
            self._sides = False
            return
        y = y.reshape(outputs.shape).astype(float)
        self._rows &= classes > 1 and _are_probabilities(y)
        if self._rows:
            self._count_vectors(y.argmax(-1), outputs, weights)
        self._sides &= bool(np.isin(y, (0, 1)).all())
        self._within &= bool(((outputs >= 0) & (outputs <= 1)).all())
        if outputs.ndim > 1:
            weights = np.repeat(weights[..., None], classes, -1)
        right = self.is_yes(outputs) == (y > 0.5)
        self._right_numbers += weights[right].sum()
        self._right_logits += weights[(outputs > 0) == (y > 0.5)].sum()
        self._error += float((weights * np.abs(outputs - y)).sum())
        self._numbers += weights.sum()

    @property
    def is_empty(self):
        """Whether nothing was counted."""
        return not (self._vectors or self._numbers)

    def is_yes(self, outputs):
        """Whether answers, where labels are 0 and 1, are 1: a bool array."""
        return outputs > self._threshold

    def quality(self):
        """How good the answers are.

        Returns:
            `(name, value)`: `ACCURACY` and a fraction of 1, or `ERROR` and
            what numbers differ by on average.
        """
        if self._rows:
            return ACCURACY, float(self._right_vectors / self._vectors)
        if self._sides and (self._within or self._any_range):
            return ACCURACY, float(self._right_numbers / self._numbers)
        if self._sides and self._may_be_logits:
            return ACCURACY, float(self._right_logits / self._numbers)
        return ERROR, float(self._error / self._numbers)

    def accuracy(self, cure):
        """The accuracy, `float`.

        Args:
            cure: `str`, what to do where there is none.

        Raises:
            ValueError: If labels are numbers, or nobody knows whether answers
                are logits.
        """
        if self.is_empty:
            raise ValueError(
                "Accuracy needs labels that count. Received: "
                f"{self._name} and data whose labels are all masked or "
                f"ignored. {cure}"
            )
        name, value = self.quality()
        if name == ACCURACY:
            return value
        shape = ("N", *map(str, self._shape[1:]))
        raise ValueError(
            "Accuracy needs class indices or one-hot rows as labels, for "
            "outputs of shape (batch, ..., classes), or labels 0 and 1, for "
            f"probabilities. Received: {self._name} with outputs of shape "
            f"({', '.join(shape)}) and labels that are other numbers, or 0 "
            f"and 1 for outputs that are not all from 0 to 1. {cure}"
        )

    def _count_vectors(self, labels, outputs, weights):
        self._right_vectors += weights[outputs.argmax(-1) == labels].sum()
        self._vectors += weights.sum()


def of_outputs(model):
    """A list of `Tally`, one for each output of a model."""
    return [Tally(repr(model.name), each) for each in outputs_lib.of(model)]


def check_metric(metric):
    """Raises a `ValueError` for what is neither a function nor `None`.

    A metric of Keras adds up all that it has seen, also in other batches and
    of other networks.
    """
    of_keras = isinstance(metric, keras.metrics.Metric)
    if metric is not None and (of_keras or not callable(metric)):
        hint = "It adds up what it sees. " if of_keras else ""
        raise ValueError(
            "`metric` must be a function of labels and outputs. Received: "
            f"metric={metric!r}. {hint}Pass a function, such as "
            "keras.metrics.sparse_categorical_accuracy."
        )


def of_samples(values, outputs):
    """What a metric gives for a batch, as an array.

    Args:
        values: what it gives, one number per sample, or for whatever it
            counts; a single number is the mean of the batch.
        outputs: of the batch, one array or several.

    Raises:
        ValueError: If these are no numbers.
    """
    found = np.asarray(values).reshape(-1)
    # numpy has no kind for bfloat16.
    if found.dtype.kind not in "biuf" and found.dtype.name != "bfloat16":
        raise ValueError(
            "A metric must return numbers, one per sample, or their mean. "
            f"Received: {values!r} of type {type(values).__name__}."
        )
    found = found.astype(float)  # In bfloat16 a sum of ones ends at 256.
    if len(found) == 1:  # A mean, of what may be a smaller batch.
        return found.repeat(len(keras.tree.flatten(outputs)[0]))
    return found


def mean(found):
    """The mean of what `of_samples` gives for each of several batches.

    Raises:
        ValueError: If these are no numbers at all.
    """
    if not sum(map(len, found)):
        raise ValueError(
            "A metric must return numbers, one per sample, or their mean. "
            "Received: no number for any of the samples."
        )
    return float(np.concatenate(found).mean())


def name_of(metric):
    """What a metric is called: a function, or `None` for accuracy."""
    if metric is None:
        return ACCURACY
    return getattr(metric, "__name__", type(metric).__name__)


def text(metric, value):
    """The value of a metric as text, in percent if it is the accuracy.

    Args:
        metric: `str`, its name; that of accuracy may go on, as in "accuracy
            on training samples".
        value: `float`.
    """
    if metric.startswith(ACCURACY):
        return tables.percent(value, 2)
    return f"{value:.4g}"


def for_answers(weights, outputs):
    """Weights of samples as those of each vector of scores.

    Args:
        weights: as for `Tally.add`.
        outputs: array of shape `(batch, ...)`, numpy.

    Returns:
        An array; integers where there are none: counts, which are exact.

    Raises:
        ValueError: If shapes do not fit.
    """
    shape = outputs.shape[:-1] if outputs.ndim > 1 else outputs.shape
    if weights is None:
        return np.ones(shape, int)
    weights = np.asarray(weights, float)
    while weights.ndim > max(len(shape), 1) and weights.shape[-1] == 1:
        weights = weights[..., 0]
    # As in Keras, one weight may be that of all steps.
    whole = shape[: weights.ndim]
    fits = len(whole) == weights.ndim and weights.shape[:1] == shape[:1]
    if not fits or not all(
        size in (1, steps)
        for size, steps in zip(weights.shape, whole, strict=True)
    ):
        raise ValueError(
            "There must be a weight for each sample, or for each step. "
            f"Received: weights of shape {weights.shape} for outputs of shape "
            f"{outputs.shape}."
        )
    more = (1,) * (len(shape) - weights.ndim)
    return np.broadcast_to(weights.reshape(weights.shape + more), shape)


def _are_probabilities(y):
    return bool((y >= 0).all() and (np.abs(y.sum(-1) - 1) <= _NEAR).all())
