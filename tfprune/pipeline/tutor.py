"""Distillation from the dense network for any kind of task.

The loss is `label_weight` times the compiled loss, sample weights included,
plus `1 - label_weight` times the distance to the teacher's outputs, as
`tfprune.training.output_distances` has it (Hinton, Vinyals and Dean, 2015,
"Distilling the Knowledge in a Neural Network", section 2,
https://arxiv.org/abs/1503.02531).
"""

import keras

from tfprune.training import output_distances


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
        outputs,
        temperature=4.0,
        label_weight=0.3,
        is_told=False,
        weights=None,
    ):
        """Makes a model of the student's layers.

        Args:
            student: a built Functional or Sequential `keras.Model`, which is
                trained in place.
            teacher: a `keras.Model` with the same outputs, which must not be
                trainable.
            outputs: list of `datasets.outputs.Output`, what each output is.
            temperature: `float`, temperature of the softened distributions.
            label_weight: `float` in [0, 1], weight of the loss on the labels.
            is_told: `bool`, whether the teacher's outputs come with the
                targets, as `(y, outputs)`; otherwise each step computes them.
            weights: list of `float`, how much each output counts, as its loss
                does; `None` counts all alike.

        Returns:
            A `Tutored` model, to be compiled.
        """
        if isinstance(student, keras.Sequential):
            # A Sequential that was built but never called has no `output`.
            model = cls(student.inputs[0], student.outputs[0])
        else:
            model = cls(student.input, student.output)
        model.lesson = Lesson(
            teacher, outputs, temperature, label_weight, weights
        )
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

    def __init__(
        self, teacher, outputs, temperature, label_weight, weights=None
    ):
        self._teacher, self._outputs = teacher, outputs
        self._weights = weights or [1.0] * len(outputs)
        self._temperature, self._label_weight = temperature, label_weight

    def __call__(self, x, outputs, loss, told=None):
        if told is None:
            told = self._teacher(x, training=False)
        told = keras.tree.flatten(told)
        found = 0.0
        for output, weight, teacher, student in zip(
            *(self._outputs, self._weights, told),
            keras.tree.flatten(outputs),
            strict=True,
        ):
            far = output_distances.distance(
                output.kind,
                output.is_logits,
                teacher,
                student,
                self._temperature,
            )
            found = found + weight * keras.ops.cast(far, loss.dtype)
        return self._label_weight * loss + (1 - self._label_weight) * found
