"""Distillation: fine-tuning with the dense model as teacher."""

from collections.abc import Sequence

import keras

from tfprune.graph import values
from tfprune.sparsity import wrapping


def distill(
    student: keras.Model,
    teacher: keras.Model,
    temperature: float = 3.0,
    label_weight: float = 0.5,
    losses: Sequence = (),
) -> "Distiller":
    """Returns a model whose `fit` distills a dense model into a pruned one.

    Its loss is `label_weight` times the loss on the labels, plus
    `1 - label_weight` times the divergence between the student's and the
    teacher's outputs, softened by a temperature, plus the losses of the
    student's layers (regularizers, penalties of methods). The student is
    trained in place; the teacher is copied and not changed.

    Args:
        student: a `keras.Model`, plain or from `tfprune.wrap`.
        teacher: a `keras.Model` with outputs of the same shapes.
        temperature: `float`, divides the logits of both.
        label_weight: `float` from 0 (teacher only) to 1 (labels only).
        losses: `keras.distillation.DistillationLoss`es to use instead of the
            divergence of the outputs.

    Returns:
        A `Distiller`; compile it with the loss on the labels.

    Raises:
        ValueError: If a weight of either is NaN or infinite.

    Example:

    >>> tutor = tfprune.distill(small, model, temperature=4.0)
    >>> tutor.compile("adam", "sparse_categorical_crossentropy")
    >>> tutor.fit(x, y)  # trains `small`

    Reference:

    - Hinton, Vinyals and Dean, "Distilling the knowledge in a neural
      network", 2015, https://arxiv.org/abs/1503.02531
    """
    values.check_finite(student)
    values.check_finite(teacher)
    losses = list(losses) or [_outputs_loss(student, teacher, temperature)]
    tutor = Distiller(
        teacher=wrapping.unwrap(teacher),
        student=student,
        distillation_losses=losses,
        student_loss_weight=label_weight,
    )
    if hasattr(student, "input_shape"):
        # Callbacks that back up training need a built model.
        tutor.build(student.input_shape)
    return tutor


@keras.saving.register_keras_serializable("tfprune")
class Distiller(keras.distillation.Distiller):
    """Keras's distiller, with the losses of the student's layers added.

    Args: see `keras.distillation.Distiller`, whose loss omits regularizers
    and `add_loss`.
    """

    def compute_loss(self, *args, **kwargs):
        loss = super().compute_loss(*args, **kwargs)
        for added in self.losses:
            loss = loss + keras.ops.cast(keras.ops.sum(added), loss.dtype)
        return loss


@keras.saving.register_keras_serializable("tfprune")
class ProbabilitiesDistillation(keras.distillation.LogitsDistillation):
    """`LogitsDistillation` for models that end in softmax.

    The logarithms of probabilities are logits up to a constant, to which
    softmax is invariant.
    """

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        smallest = keras.config.epsilon()
        teacher, student = keras.tree.map_structure(
            lambda p: keras.ops.log(keras.ops.maximum(p, smallest)),
            (teacher_outputs, student_outputs),
        )
        return super().compute_loss(teacher, student, **kwargs)


def _outputs_loss(student, teacher, temperature):
    ends = {_ends_in_softmax(student), _ends_in_softmax(teacher)}
    if len(ends) == 2:
        raise ValueError(
            "Student and teacher must both end in logits or both in softmax. "
            f"Received: student={student.name!r}, teacher={teacher.name!r}, "
            "one of each. Pass suitable `losses`."
        )
    kind = keras.distillation.LogitsDistillation
    if ends == {True}:
        kind = ProbabilitiesDistillation
    # A class on purpose: for the name "kl_divergence", Keras picks the function
    # and then applies neither softmax nor the squared temperature.
    divergences = keras.tree.map_structure(
        lambda _: keras.losses.KLDivergence(), _outputs(student)
    )
    return kind(temperature=temperature, loss=divergences)


def _outputs(model):
    return model.outputs[0] if len(model.outputs) == 1 else model.output


def _ends_in_softmax(model):
    layer = model.layers[-1]
    inner = getattr(layer, "layer", layer)
    if isinstance(inner, keras.Model):
        return _ends_in_softmax(inner)
    activation = getattr(inner, "activation", None)
    return isinstance(inner, keras.layers.Softmax) or (
        activation is keras.activations.softmax
    )
