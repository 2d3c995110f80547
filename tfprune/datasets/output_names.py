"""What the outputs of a model are called where there are several."""


def of(model):
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
