"""The dense network teaches the small one, whatever it is trained for.

The loss is `label_weight` times the compiled loss, weights of samples
included, plus `1 - label_weight` times how far the outputs are from those of
the teacher: for classes the divergence of softened distributions (Hinton,
Vinyals and Dean, 2015, https://arxiv.org/abs/1503.02531), for binary outputs
the cross-entropy, for numbers the mean squared error.
"""

import keras


class Tutored(keras.Model):
    """A model for `fit` that trains the student it is made of.

    Args:
        student: a built Functional or Sequential `keras.Model`, trained in
            place.
        teacher: a `keras.Model` with the same outputs; it is not touched if
            its layers are not trainable.
        kinds: list of `(kind, is_logits)`, as `Task.kinds` gives.
        temperature, label_weight: `float`.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.lesson = None

    @classmethod
    def of(cls, student, teacher, kinds, temperature=4.0, label_weight=0.3):
        """Makes one."""
        if isinstance(student, keras.Sequential):
            # One that was built, but never called, has no `output`.
            model = cls(student.inputs[0], student.outputs[0])
        else:
            model = cls(student.input, student.output)
        model.lesson = Lesson(teacher, kinds, temperature, label_weight)
        return model

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss if self.lesson is None else self.lesson(x, y_pred, loss)


class Lesson:
    """From the loss on the labels to the one on labels and teacher."""

    def __init__(self, teacher, kinds, temperature, label_weight):
        self._teacher, self._kinds = teacher, kinds
        self._temperature, self._label_weight = temperature, label_weight

    def __call__(self, x, outputs, loss):
        told = keras.tree.flatten(self._teacher(x, training=False))
        found = 0.0
        for (kind, logits), teacher, student in zip(
            self._kinds, told, keras.tree.flatten(outputs), strict=True
        ):
            teacher = keras.ops.stop_gradient(teacher)
            found = found + self._distance(kind, logits, teacher, student)
        rest = 1 - self._label_weight
        return self._label_weight * loss + rest * keras.ops.cast(
            found, loss.dtype
        )

    def _distance(self, kind, logits, teacher, student):
        ops = keras.ops
        if kind in ("sparse", "categorical"):
            if not logits:
                teacher, student = _logs(teacher), _logs(student)
            heat = self._temperature
            target = ops.softmax(teacher / heat)
            far = ops.log_softmax(teacher / heat) - ops.log_softmax(
                student / heat
            )
            return heat**2 * ops.mean(ops.sum(target * far, -1))
        if kind == "binary":
            target = ops.sigmoid(teacher) if logits else teacher
            return ops.mean(
                keras.losses.binary_crossentropy(target, student, logits)
            )
        if kind == "none":
            return 0.0
        return ops.mean(ops.square(teacher - student))


def _logs(probabilities):
    """Logits of them, up to a constant that softmax takes out again."""
    least = keras.config.epsilon()
    return keras.ops.log(keras.ops.maximum(probabilities, least))
