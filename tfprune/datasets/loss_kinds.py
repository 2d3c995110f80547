"""What the loss of an output says about the labels and about the output."""

import keras

# Losses of classes, by the name of their function or class.
_SPARSE = "sparsecategoricalcrossentropy"
_CATEGORICAL = ("categoricalcrossentropy", "categoricalfocalcrossentropy")
_BINARY = ("binarycrossentropy", "binaryfocalcrossentropy")


def kind(loss):
    """What an output with a loss holds.

    Args:
        loss: a name, function or object, as for `compile`; `None` for none.

    Returns:
        `(kind, is_logits)`. The kind is "sparse", "categorical" or "binary";
        "numbers" for any other loss, "none" without one.
    """
    if loss is None:
        return "none", False
    loss = keras.losses.get(loss)
    name = getattr(loss, "__name__", type(loss).__name__)
    name = name.replace("_", "").lower()
    logits = bool(getattr(loss, "from_logits", False))
    if isinstance(loss, keras.losses.Loss) and not logits:
        logits = bool(_config(loss).get("from_logits", False))
    if name == _SPARSE:
        return "sparse", logits
    if name in _CATEGORICAL:
        return "categorical", logits
    if name in _BINARY:
        return "binary", logits
    return "numbers", False


def ignored(loss):
    """The class that a loss ignores, `int`, or `None`."""
    if not isinstance(loss, keras.losses.Loss):
        return None
    return _config(loss).get("ignore_class")


def is_own(loss):
    """Whether a loss, as `keras.losses.get` gives it, is not one of Keras."""
    if loss is None:
        return False
    known = type(loss) if isinstance(loss, keras.losses.Loss) else loss
    return not getattr(known, "__module__", "").startswith("keras.")


def by_output(loss, names):
    """A loss as an object, or `None`, for each output.

    Args:
        loss: as for `compile`: one for all, a list, or a `dict` by name.
        names: list of `str`, the outputs.

    Returns:
        A list.
    """
    if isinstance(loss, dict):
        parts = [loss.get(name) for name in names]
    elif isinstance(loss, (list, tuple)):
        parts = list(loss)
    else:
        parts = [loss] * len(names)
    return [None if part is None else keras.losses.get(part) for part in parts]


def _config(loss):
    try:
        return loss.get_config()
    except NotImplementedError:  # a loss of the user's own
        return {}
