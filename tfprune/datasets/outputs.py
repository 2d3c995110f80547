"""What each output of a model holds, as its loss says.

`of` reads it off a model once, for everybody who counts answers, checks labels
or teaches one model by another.
"""

import dataclasses
import functools

import keras

from tfprune.datasets import loss_kinds


@dataclasses.dataclass(frozen=True, eq=False)
class Output:
    """One output of a model.

    Attributes:
        name: `str`, by which `fit` takes labels, losses and weights; `None` if
            the model does not name it.
        shape: `tuple`, the batch axis included.
        loss: the loss on its labels, an object or a function; `None` if there
            is none, or nobody knows it.
    """

    name: str | None
    shape: tuple
    loss: object = None

    @functools.cached_property
    def kind(self):
        """What it holds: "sparse", "categorical", "binary", or "numbers".

        The first three are named after the cross-entropy; "none" without loss.
        """
        return loss_kinds.kind(self.loss)[0]

    @functools.cached_property
    def is_logits(self):
        """Whether the loss takes logits, not probabilities."""
        return loss_kinds.kind(self.loss)[1]

    @functools.cached_property
    def has_own_loss(self):
        """Whether the loss is a user's own, of which nothing is known."""
        return loss_kinds.is_own(self.loss)

    @functools.cached_property
    def ignored(self):
        """`int`, the label that does not count, or `None`."""
        return loss_kinds.ignored(self.loss)


def of(model, loss=None):
    """The outputs of a model, in its order.

    Args:
        model: a built `keras.Model`.
        loss: as for `compile`; by default that of the model.

    Returns:
        A list of `Output`.
    """
    if loss is None and model.compiled:
        loss = model.loss
    shapes = [tuple(t.shape) for t in keras.tree.flatten(model.outputs)]
    names = names_of(model)
    if len(names) != len(shapes):
        names = [None] * len(shapes)
    losses = loss_kinds.by_output(loss, names)
    if len(losses) != len(shapes):
        losses = [None] * len(shapes)
    return [Output(*each) for each in zip(names, shapes, losses, strict=True)]


def names_of(model):
    """The names by which `fit` takes labels, losses and weights.

    Args:
        model: a `keras.Model`.

    Returns:
        List of `str` in the order of the outputs: the keys of a `dict` of
        outputs, whatever its layers are called; else the layers. Empty if the
        model names none.
    """
    output = None
    if getattr(model, "inputs", None):
        output = getattr(model, "output", None)
    if isinstance(output, dict):
        return sorted(map(str, output))
    return list(map(str, getattr(model, "output_names", ())))


def weights_in_order(weights, outputs):
    """The sample weights of each output.

    Args:
        weights: an array, which counts for all outputs, or a list or `dict`
            of one for each; `None` for none.
        outputs: list of `Output`.

    Returns:
        A list in the order of the outputs, with `None` for what is left out.
    """
    if weights is None or hasattr(weights, "shape"):
        return [weights] * len(outputs)
    return in_order(weights, outputs)


def in_order(structure, outputs):
    """What belongs to each output, such as its labels.

    Args:
        structure: an array, or a list, tuple or `dict` of them, as `fit` takes
            labels; a `dict` may leave outputs out.
        outputs: list of `Output`.

    Returns:
        A list in the order of the outputs, with `None` for what is left out.
        Without names to go by, the parts in their own order.
    """
    names = [output.name for output in outputs]
    if isinstance(structure, dict) and set(structure) <= set(names):
        return [structure.get(name) for name in names]
    return keras.tree.flatten(structure)
