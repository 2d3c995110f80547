"""Distillation from the dense network for any kind of task.

The loss is `label_weight` times the compiled loss, sample weights included,
plus `1 - label_weight` times the distance to the teacher's outputs: for
classes, the Kullback-Leibler divergence of softened distributions (Hinton,
Vinyals and Dean, 2015, "Distilling the Knowledge in a Neural Network", section
2, https://arxiv.org/abs/1503.02531); for binary outputs, the cross-entropy; for
regression, the mean squared error. Steps of a sequence that are masked do not
count.
"""

import keras

from tfprune.datasets import tally


class Tutored(keras.Model):
    """A model whose `fit` trains a student with a teacher; see `of`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.lesson, self._is_told = None, False

    @classmethod
    def of(
        cls,
        student,
        teacher,
        kinds,
        temperature=4.0,
        label_weight=0.3,
        is_told=False,
    ):
        """Makes a model of the student's layers.

        Args:
            student: a built Functional or Sequential `keras.Model`, which is
                trained in place.
            teacher: a `keras.Model` with the same outputs, which must not be
                trainable.
            kinds: list of `(kind, is_logits)` for each output, as from
                `Task.kinds`.
            temperature: `float`, temperature of the softened distributions.
            label_weight: `float` in [0, 1], weight of the loss on the labels.
            is_told: `bool`, whether the teacher's outputs come with the
                targets, as `(y, outputs)`; otherwise each step computes them.

        Returns:
            A `Tutored` model, to be compiled.
        """
        if isinstance(student, keras.Sequential):
            # A Sequential that was built but never called has no `output`.
            model = cls(student.inputs[0], student.outputs[0])
        else:
            model = cls(student.input, student.output)
        model.lesson = Lesson(teacher, kinds, temperature, label_weight)
        model._is_told = is_told
        return model

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        y, told = y if self._is_told else (y, None)
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if self.lesson is None:
            return loss
        return self.lesson(x, y_pred, loss, told)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if self._is_told:
            y, _ = y
        return super().compute_metrics(x, y, y_pred, sample_weight)


class Lesson:
    """Combines the loss on the labels with the distance to the teacher."""

    def __init__(self, teacher, kinds, temperature, label_weight):
        self._teacher, self._kinds = teacher, kinds
        self._temperature, self._label_weight = temperature, label_weight

    def __call__(self, x, outputs, loss, told=None):
        if told is None:
            told = self._teacher(x, training=False)
        told = keras.tree.flatten(told)
        found = 0.0
        for (kind, logits), teacher, student in zip(
            self._kinds, told, keras.tree.flatten(outputs), strict=True
        ):
            if kind == "none":
                continue
            # Half precision is too coarse for logarithms, and a teacher may
            # compute in another one than its student.
            own = keras.backend.standardize_dtype(student.dtype)
            kept = keras.backend.result_type(own, "float32")
            far = self._distance(
                kind,
                logits,
                keras.ops.cast(keras.ops.stop_gradient(teacher), kept),
                keras.ops.cast(student, kept),
            )
            found = found + _mean(far, tally.mask_of(student))
        rest = 1 - self._label_weight
        return self._label_weight * loss + rest * keras.ops.cast(
            found, loss.dtype
        )

    def _distance(self, kind, logits, teacher, student):
        """The distance of each number, or of each vector of scores."""
        ops = keras.ops
        if kind in ("sparse", "categorical"):
            if not logits:
                teacher, student = _logs(teacher), _logs(student)
            heat = self._temperature
            target = ops.softmax(teacher / heat)
            far = ops.log_softmax(teacher / heat) - ops.log_softmax(
                student / heat
            )
            return heat**2 * ops.sum(target * far, -1)
        if kind == "binary":
            target = ops.sigmoid(teacher) if logits else teacher
            return keras.losses.binary_crossentropy(target, student, logits)
        return ops.square(teacher - student)


def _mean(far, mask):
    """The mean of distances, over the steps that a mask leaves."""
    ops = keras.ops
    if mask is None:
        return ops.mean(far)
    mask = ops.cast(mask, far.dtype)
    for _ in range(len(far.shape) - len(mask.shape)):
        mask = ops.expand_dims(mask, -1)
    mask = ops.broadcast_to(mask, ops.shape(far))
    return ops.divide_no_nan(ops.sum(far * mask), ops.sum(mask))


def _logs(probabilities):
    """Logits of probabilities, up to a constant, which softmax ignores."""
    least = keras.config.epsilon()
    return keras.ops.log(keras.ops.maximum(probabilities, least))
