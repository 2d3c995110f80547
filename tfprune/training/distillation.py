"""Fine-tuning with the dense model as teacher, on `keras.distillation`."""

from collections.abc import Sequence

import keras

from tfprune.sparsity import wrapping


def distill(
    student: keras.Model,
    teacher: keras.Model,
    temperature: float = 3.0,
    label_weight: float = 0.5,
    losses: Sequence = (),
) -> "Distiller":
    """A model for `fit` that trains a pruned model to answer as a dense one.

    Its loss is `label_weight` times the loss on the labels, plus
    `1 - label_weight` times the divergence of the student's outputs from the
    teacher's, softened by a temperature, plus what the student's own layers
    add (regularizers, penalties of methods). The student is trained in place;
    the teacher is copied and not touched.

    Args:
        student: a `keras.Model`, plain or from `tfprune.wrap`.
        teacher: a `keras.Model` with outputs of the same shapes.
        temperature: `float`, divides the logits of both.
        label_weight: `float` from 0 (the teacher alone) to 1 (labels alone).
        losses: `keras.distillation.DistillationLoss`es to take in the place
            of the divergence of the outputs.

    Returns:
        A `Distiller`; compile it with the loss on the labels.

    Example:

    >>> tutor = tfprune.distill(small, model, temperature=4.0)
    >>> tutor.compile("adam", "sparse_categorical_crossentropy")
    >>> tutor.fit(x, y)  # trains `small`

    Reference:

    - Hinton, Vinyals and Dean, "Distilling the knowledge in a neural
      network", 2015, https://arxiv.org/abs/1503.02531
    """
    losses = list(losses) or [_outputs_loss(student, teacher, temperature)]
    tutor = Distiller(
        teacher=wrapping.unwrap(teacher),
        student=student,
        distillation_losses=losses,
        student_loss_weight=label_weight,
    )
    if hasattr(student, "input_shape"):
        # What backs training up wants a built model.
        tutor.build(student.input_shape)
    return tutor


@keras.saving.register_keras_serializable("tfprune")
class Distiller(keras.distillation.Distiller):
    """Keras's distiller, which also heeds the losses of the layers.

    Args: see `keras.distillation.Distiller`, whose loss leaves regularizers
    and `add_loss` out.
    """

    def compute_loss(self, *args, **kwargs):
        loss = super().compute_loss(*args, **kwargs)
        for added in self.losses:
            loss = loss + keras.ops.cast(keras.ops.sum(added), loss.dtype)
        return loss


@keras.saving.register_keras_serializable("tfprune")
class ProbabilitiesDistillation(keras.distillation.LogitsDistillation):
    """`LogitsDistillation` of models that end in softmax.

    Logarithms of probabilities are logits, up to a constant that softmax
    takes out again.
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
            "one of each. Give `losses` that fit."
        )
    kind = keras.distillation.LogitsDistillation
    if ends == {True}:
        kind = ProbabilitiesDistillation
    # The name "kl_divergence" would get the function, for which Keras leaves
    # softmax and the square of the temperature out; the class gets both.
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
