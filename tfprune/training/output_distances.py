"""How far a student's outputs are from its teacher's, for any kind of task."""

import keras

from tfprune.datasets import loss_kinds
from tfprune.training import output_ends

_CLASSES, _BINARY, _NUMBERS, _NONE = "classes", "binary", "numbers", "none"
_SCORES = "scores"  # of classes, as far as one can tell
# What an output of one number is instead.
_SINGLE = {_CLASSES: _BINARY, _SCORES: _NUMBERS}


@keras.saving.register_keras_serializable("tfprune")
class OutputsDistillation(keras.distillation.DistillationLoss):
    """The distance of all outputs, each measured as its loss suggests.

    Args:
        ends: list of `output_ends.End` or their values, what each output is.
        temperature: `float`, divides the logits of classes and of binary
            outputs.
        kinds: list of `(kind, is_logits)` for each output, as set by `suit`;
            by default what the ends suggest.
    """

    def __init__(self, ends, temperature=3.0, kinds=None):
        if not temperature > 0:
            raise ValueError(
                "`temperature` must be positive. Received: "
                f"temperature={temperature!r}"
            )
        self.ends = [output_ends.End(end) for end in ends]
        self.temperature = temperature
        self.kinds = [tuple(kind) for kind in kinds or map(_guessed, self.ends)]

    def suit(self, losses):
        """Chooses the distances by the losses on the labels.

        Args:
            losses: list of a loss or `None` for each output.
        """
        if len(losses) == len(self.ends):
            pairs = zip(losses, self.ends, strict=True)
            self.kinds = [_kind(loss, end) for loss, end in pairs]

    def validate_outputs(self, teacher_outputs, student_outputs):
        """Raises a `ValueError` if the numbers of outputs differ.

        How they are nested may differ, as `[output]` and `output` do.
        """
        teacher = keras.tree.flatten(teacher_outputs)
        student = keras.tree.flatten(student_outputs)
        if not len(teacher) == len(student) == len(self.kinds):
            raise ValueError(
                "Student and teacher must have as many outputs. Received: "
                f"{len(student)} outputs of the student, {len(teacher)} of "
                f"the teacher, {len(self.kinds)} known. Pass models with the "
                "same outputs."
            )

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        del kwargs
        found = 0.0
        for (kind, logits), teacher, student in zip(
            self.kinds,
            keras.tree.flatten(teacher_outputs),
            keras.tree.flatten(student_outputs),
            strict=True,
        ):
            # Half precision has too few digits for logarithms.
            teacher = keras.ops.cast(teacher, "float32")
            student = keras.ops.cast(student, "float32")
            if len(student.shape) < 2 or student.shape[-1] == 1:
                kind = _SINGLE.get(kind, kind)
            if kind in (_CLASSES, _SCORES):
                found = found + self._classes(teacher, student, logits)
            elif kind == _BINARY:
                found = found + self._binary(teacher, student, logits)
            elif kind == _NUMBERS:
                far = keras.ops.square(teacher - student)
                found = found + keras.ops.mean(far)
        return keras.ops.convert_to_tensor(found, "float32")

    def _classes(self, teacher, student, logits):
        ops, heat = keras.ops, self.temperature
        if not logits:
            # Logarithms of probabilities are logits up to a constant, which
            # softmax ignores.
            teacher, student = _log(teacher), _log(student)
        teacher = ops.log_softmax(teacher / heat)
        far = teacher - ops.log_softmax(student / heat)
        return heat**2 * ops.mean(ops.sum(ops.exp(teacher) * far, -1))

    def _binary(self, teacher, student, logits):
        ops, heat = keras.ops, self.temperature
        if not logits:
            teacher = _log(teacher) - _log(1 - teacher)
            student = _log(student) - _log(1 - student)
        teacher, student = teacher / heat, student / heat
        far = ops.sigmoid(teacher) * (
            ops.log_sigmoid(teacher) - ops.log_sigmoid(student)
        ) + ops.sigmoid(-teacher) * (
            ops.log_sigmoid(-teacher) - ops.log_sigmoid(-student)
        )
        return heat**2 * ops.mean(far)

    def get_config(self):
        return {
            "ends": [end.value for end in self.ends],
            "temperature": self.temperature,
            "kinds": self.kinds,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def common_ends(student, teacher):
    """What each output is, of two models that must agree.

    Raises:
        ValueError: If an output of one is probabilities and of the other is
            not.
    """
    found = []
    for k, (own, told) in enumerate(
        zip(output_ends.of(student), output_ends.of(teacher), strict=True)
    ):
        both = {own, told} - {output_ends.End.UNKNOWN}
        if len(both) == 2:
            raise ValueError(
                "Student and teacher must both end in logits or both in "
                f"softmax. Received: student={student.name!r}, teacher="
                f"{teacher.name!r}, one of each: output {k} is {own.value} of "
                f"the student, {told.value} of the teacher. Pass suitable "
                "`losses`."
            )
        found.append(both.pop() if both else output_ends.End.UNKNOWN)
    return found


def _kind(loss, end):
    """`(kind, is_logits)` of an output with a loss and an end."""
    kind, logits = loss_kinds.kind(loss)
    if kind == "none":
        return _NONE, False
    # Where the model shows that it ends in probabilities, they are none.
    logits = logits and end not in _PROBABILITIES
    if kind in ("sparse", "categorical"):
        return _CLASSES, logits
    if kind == "binary":
        return _BINARY, logits
    if end == output_ends.End.SOFTMAX or loss_kinds.is_own(loss):
        return _guessed(end)
    return _NUMBERS, False


def _guessed(end):
    """`(kind, is_logits)` of an output with an end and an unknown loss."""
    return _PROBABILITIES.get(end, _SCORES), end not in _PROBABILITIES


_PROBABILITIES = {
    output_ends.End.SOFTMAX: _CLASSES,
    output_ends.End.SIGMOID: _BINARY,
}


def _log(probabilities):
    least = keras.config.epsilon()
    return keras.ops.log(keras.ops.maximum(probabilities, least))
