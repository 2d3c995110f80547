"""Finds learned bit lengths in a model and rounds them to integers."""

import dataclasses

import keras
import numpy as np

from tfprune.methods import bitpruning
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping

ROUNDINGS = ("ceil", "round")


def finalize(model, rounding="ceil", snap=0.01):
    """Copies a model and fixes its learned bit lengths to integers.

    Fine-tune the copy for some epochs at a low learning rate; `fit` then
    trains the weights and not the bit lengths.

    Args:
        model: a model from `wrap` with `BitPruning`; it is not changed.
        rounding: `"ceil"`, as in the paper, or `"round"`, to the nearest.
        snap: `float`, at least 0 and below 0.5; with `"ceil"`, a bit length
            less than this above an integer becomes that integer.

    Returns:
        A model of the same class, compiled if `model` is.

    Raises:
        ValueError: If an argument is out of range, or if the model has no
            trainable bit lengths.

    Example:

    >>> final = tfprune.training.finalize(wrapped, "ceil")
    """
    if rounding not in ROUNDINGS:
        raise ValueError(
            f"`rounding` must be one of {', '.join(ROUNDINGS)}. Received: "
            f"rounding={rounding!r}"
        )
    if not 0 <= snap < 0.5:
        raise ValueError(
            f"`snap` must be at least 0 and below 0.5. Received: snap={snap!r}"
        )
    before = places(model)
    if all(method.frozen for method, _ in before):
        raise ValueError(
            "A model with trainable bit lengths is required. Received: "
            f"model={model.name!r}, which has none, or fixed ones. Use "
            "`tfprune.wrap(model, tfprune.methods.BitPruning())`."
        )
    new = wrapping.exchange(model, _freeze)
    for (method, old), (_, slot) in zip(before, places(new), strict=True):
        if not method.frozen:
            bits = _number(old["bit_length"])
            slot["learned"].assign(bits)
            slot["bit_length"].assign(_rounded(bits, rounding, snap))
    return new


def places(model):
    """Returns a list of `(method, slot)` where `BitPruning` acts."""
    return [
        (method, part)
        for wrapper in wrapper_lib.find(model)
        for slot in wrapper.slots.values()
        for method, part in wrapper.method.parts(slot)
        if isinstance(method, bitpruning.BitPruning)
    ]


def lengths(method, slot):
    """Returns the current and the learned bit length of a slot.

    Returns:
        Two `float`s; they differ after `finalize` has rounded.
    """
    now = _number(slot["bit_length"])
    return now, _number(slot["learned"]) if method.frozen else now


def _rounded(bits, rounding, snap):
    if rounding == "round":
        return float(np.round(bits))
    return float(np.ceil(bits - snap))


def _freeze(method):
    if isinstance(method, bitpruning.BitPruning):
        return dataclasses.replace(method, frozen=True)
    return method


def _number(variable):
    return float(keras.ops.convert_to_numpy(variable))
