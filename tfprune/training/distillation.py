"""Distillation: fine-tuning with the dense model as teacher."""

from collections.abc import Sequence

import keras

from tfprune.datasets import outputs
from tfprune.graph import values
from tfprune.graph.classes import model_class
from tfprune.sparsity import wrapping
from tfprune.training import output_distances


def distill(
    student: keras.Model,
    teacher: keras.Model,
    temperature: float = 3.0,
    label_weight: float = 0.5,
    losses: Sequence = (),
) -> "Distiller":
    """Returns a model whose `fit` distills a dense model into a pruned one.

    Its loss is `label_weight` times the loss on the labels, with their weights,
    plus `1 - label_weight` times the distance between the student's and the
    teacher's outputs, plus the losses of the student's layers (regularizers,
    penalties of methods). The student is trained in place; the teacher is
    copied and not changed.

    The distance of an output depends on its loss on the labels: for classes,
    the Kullback-Leibler divergence, softened by a temperature; for a binary
    cross-entropy, the same of each number on its own; for numbers, the mean
    squared error. An output without a loss has none.

    Args:
        student: a `keras.Model`, plain or from `tfprune.wrap`.
        teacher: a `keras.Model` with outputs of the same shapes.
        temperature: `float`, divides the logits of both.
        label_weight: `float` from 0 (teacher only) to 1 (labels only).
        losses: `keras.distillation.DistillationLoss`es to use instead of the
            distance of the outputs.

    Returns:
        A `Distiller`; compile it with the loss on the labels, as you would
        compile the student.

    Raises:
        TypeError: If either is no Keras model.
        ValueError: If a weight of either is NaN or infinite, if an output
            of one is probabilities and of the other is not, or if
            `temperature` or `label_weight` is out of range.

    Example:

    >>> tutor = tfprune.distill(small, model, temperature=4.0)
    >>> tutor.compile("adam", "sparse_categorical_crossentropy")
    >>> tutor.fit(x, y)  # trains `small`

    Reference:

    - Hinton, Vinyals and Dean, "Distilling the knowledge in a neural
      network", 2015, https://arxiv.org/abs/1503.02531
    """
    for model in (student, teacher):
        values.check_model(model)
        values.check_finite(model)
    model_class.warn_of_own_training(student, "A distiller")
    if not 0 <= label_weight <= 1:
        raise ValueError(
            "`label_weight` must be a fraction from 0 (teacher only) to 1 "
            f"(labels only). Received: label_weight={label_weight!r}."
        )
    losses = list(losses) or [_of_outputs(student, teacher, temperature)]
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
    """Keras's distiller, which trains any student as `fit` would.

    Keras's own omits regularizers, `add_loss` and the weights of samples, and
    takes one output only.

    Args: see `keras.distillation.Distiller`.
    """

    @property
    def output_names(self):
        """The student's, by which losses and labels may be given."""
        return getattr(self.student, "output_names", None)

    @property
    def losses(self):
        """Those of the student; what the teacher adds is for its training."""
        others = {id(loss) for loss in self.teacher.losses}
        return [loss for loss in super().losses if id(loss) not in others]

    def compile(self, optimizer="adam", loss=None, metrics=None, **kwargs):
        if loss is None:
            raise ValueError(
                "A loss on the labels is required. Received: loss=None. Call "
                "compile(optimizer, loss) with that of the student."
            )
        # Keras's distiller would keep the loss for itself, without weights.
        keras.Model.compile(
            self, optimizer=optimizer, loss=loss, metrics=metrics, **kwargs
        )
        for each in self.distillation_losses:
            if isinstance(each, output_distances.OutputsDistillation):
                each.suit(outputs.of(self.student, loss))

    def compile_from_config(self, config):
        """Compiles the model of a file, with the optimizer that goes on.

        Keras leaves a model uncompiled that has a `compile` of its own.
        """
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        if y_pred is None:
            y_pred = self(x, training=training)
        # Keras divides losses on labels by the replicas, whose gradients are
        # added up, and neither distances nor what a metric is told.
        replicas = _replicas()
        # Without labels, this is the weighted distance to the teacher.
        loss = super().compute_loss(x, None, y_pred, None, training) / replicas
        added = sum(
            keras.ops.cast(keras.ops.sum(each), loss.dtype) / replicas
            for each in self.losses
        )
        if not self.student_loss_weight or y is None:
            return loss + added
        labels = keras.Model.compute_loss(self, x, y, y_pred, sample_weight)
        labels = keras.ops.cast(labels, loss.dtype) - added
        told = self.student_loss_weight * labels
        # The batch is counted already, with a loss of 0 on the labels.
        for tracker, more in (
            (self.student_loss_tracker, labels),
            (self.total_loss_tracker, told),
        ):
            more = keras.ops.cast(more * replicas, tracker.dtype)
            tracker.total.assign_add(more)
        return loss + told + added


def _replicas():
    """On how many devices a strategy of TensorFlow computes a step."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def _of_outputs(student, teacher, temperature):
    ends = output_distances.common_ends(student, teacher)
    found = output_distances.OutputsDistillation(ends, temperature)
    for model in (student, teacher):
        if model.compiled and model.loss is not None:
            found.suit(outputs.of(model))
            break
    return found
