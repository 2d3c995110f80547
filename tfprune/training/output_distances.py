"""How far a student's outputs are from its teacher's, for any kind of task."""

import keras

from tfprune.datasets import masking
from tfprune.training import output_ends

_SPARSE, _CATEGORICAL, _BINARY = "sparse", "categorical", "binary"
_CLASSES, _NUMBERS, _NONE = "classes", "numbers", "none"
_SCORES = "scores"  # of classes, as far as one can tell
_OF_CLASSES = (_SPARSE, _CATEGORICAL, _CLASSES, _SCORES)
# What an output of one number is instead.
_SINGLE = {_CLASSES: _BINARY, _SCORES: _NUMBERS}


def distance(kind, is_logits, teacher, student, temperature):
    """How far an output of the student is from the teacher's.

    For classes, the Kullback-Leibler divergence of distributions that are
    softened by the temperature; for binary outputs, the same of each number on
    its own; for numbers, the squared error. Steps of a sequence that Keras
    masks at the student's output do not count.

    Args:
        kind: `str`, as of `datasets.outputs.Output`.
        is_logits: `bool`, whether both give logits, not probabilities.
        teacher, student: tensors of the same shape `(batch, ...)`.
        temperature: `float`, divides the logits of both.

    Returns:
        A scalar, in the student's precision, but at least float32.
    """
    if kind == _NONE:
        return keras.ops.zeros((), "float32")
    mask = masking.of_tensor(student)
    # Half precision has too few digits for logarithms, and a teacher may
    # compute in another one than its student.
    own = keras.backend.standardize_dtype(student.dtype)
    dtype = keras.backend.result_type(own, "float32")
    teacher = keras.ops.cast(keras.ops.stop_gradient(teacher), dtype)
    student = keras.ops.cast(student, dtype)
    if kind in _OF_CLASSES:
        far = _of_classes(teacher, student, is_logits, temperature)
    elif kind == _BINARY:
        far = _of_sides(teacher, student, is_logits, temperature)
    else:
        far = keras.ops.square(teacher - student)
    return _mean(far, mask)


def _of_classes(teacher, student, is_logits, heat):
    ops = keras.ops
    if not is_logits:
        # Logarithms of probabilities are logits up to a constant, which
        # softmax ignores.
        teacher, student = _log(teacher), _log(student)
    teacher = ops.log_softmax(teacher / heat)
    far = teacher - ops.log_softmax(student / heat)
    return heat**2 * ops.sum(ops.exp(teacher) * far, -1)


def _of_sides(teacher, student, is_logits, heat):
    ops = keras.ops
    if not is_logits:
        teacher = _log(teacher) - _log(1 - teacher)
        student = _log(student) - _log(1 - student)
    teacher, student = teacher / heat, student / heat
    far = ops.sigmoid(teacher) * (
        ops.log_sigmoid(teacher) - ops.log_sigmoid(student)
    ) + ops.sigmoid(-teacher) * (
        ops.log_sigmoid(-teacher) - ops.log_sigmoid(-student)
    )
    return heat**2 * far


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


def _log(probabilities):
    least = keras.config.epsilon()
    return keras.ops.log(keras.ops.maximum(probabilities, least))


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

    def suit(self, outputs):
        """Chooses the distances by the losses on the labels.

        Args:
            outputs: list of `datasets.outputs.Output`.
        """
        if len(outputs) == len(self.ends):
            pairs = zip(outputs, self.ends, strict=True)
            self.kinds = [_kind(output, end) for output, end in pairs]

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
            if len(student.shape) < 2 or student.shape[-1] == 1:
                kind = _SINGLE.get(kind, kind)
            far = distance(kind, logits, teacher, student, self.temperature)
            found = found + keras.ops.cast(far, "float32")
        return keras.ops.convert_to_tensor(found, "float32")

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


def _kind(output, end):
    """`(kind, is_logits)` of an output that ends in `end`."""
    # Where the model shows that it ends in probabilities, they are none.
    logits = output.is_logits and end not in _PROBABILITIES
    if output.kind in (_SPARSE, _CATEGORICAL):
        return _CLASSES, logits
    is_unknown = end == output_ends.End.SOFTMAX or output.has_own_loss
    if output.kind == _NUMBERS and is_unknown:
        return _guessed(end)
    return output.kind, logits


def _guessed(end):
    """`(kind, is_logits)` of an output with an end and an unknown loss."""
    return _PROBABILITIES.get(end, _SCORES), end not in _PROBABILITIES


_PROBABILITIES = {
    output_ends.End.SOFTMAX: _CLASSES,
    output_ends.End.SIGMOID: _BINARY,
}
