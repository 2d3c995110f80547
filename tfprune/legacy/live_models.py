"""Models of tf_keras, Keras 2, that live in this process."""

import pathlib
import re
import typing
import warnings

import keras
import numpy as np

from tfprune.core.files import leftovers
from tfprune.legacy import loading
from tfprune.legacy.layers import quantized

_TOLERANCE = 1e-4  # Of the largest output; both compute in float32.
_SIZE = 16  # Where a model leaves a size of its inputs open.
_ROUNDING = (*quantized.WRAPPERS, "QuantizeLayer")


def from_tf_keras(
    model: typing.Any,
    custom_objects: dict | None = None,
) -> keras.Model:
    """Makes a Keras 3 model of one of `tf_keras`, with the same outputs.

    The model is written by `tf_keras` and read as `load_model` reads it; a
    warning lists what was translated. Layers that only watch ranges for
    quantization are taken out.

    Args:
        model: built `tf_keras.Model`, functional or Sequential. It is not
            changed.
        custom_objects: `dict` from names to classes of Keras 3 and functions
            that stand for one's own in the model.

    Returns:
        A `keras.Model`, compiled if the model was and its optimizer, loss and
        metrics can be read.

    Raises:
        TypeError: If it is no model of `tf_keras`.
        ValueError: If it is not built, is a class of one's own, is still
            wrapped by `prune_low_magnitude`, holds a layer that has no
            counterpart, or gives other outputs afterwards.

    Example:

    >>> model = tfprune.from_tf_keras(old)  # doctest: +SKIP
    """
    with leftovers.folder() as folder:
        path = written(model, pathlib.Path(folder))
        # The code in it was this process's before.
        found = loading.load_model(
            path, allow_lambda=True, custom_objects=custom_objects
        )
    if not any(type(x).__name__ in _ROUNDING for x in _layers(model)):
        _compare(model, found)
    return found


def written(model, folder):
    """Checks a model and writes it into a folder; returns the path."""
    _check(model)
    _check_stripped(model)
    return _written(model, folder / re.sub(r"[^\w.-]", "_", model.name))


def _check(model):
    if isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a model of tf_keras. Received: model="
            f"{model.name!r}, which is one of Keras 3. Hand it over as it is."
        )
    homes = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    if "tf_keras" not in homes or not hasattr(model, "layers"):
        raise TypeError(
            "`model` must be a model of tf_keras. Received: model of type "
            f"{type(model).__module__}.{type(model).__qualname__}."
        )
    if not model.built:
        raise ValueError(
            "`model` must be built. Received: model="
            f"{model.name!r}, which has no weights yet. Call it on data first."
        )


def _check_stripped(model):
    masked = [
        layer.name
        for layer in _layers(model)
        if type(layer).__name__ == "PruneLowMagnitude"
    ]
    if masked:
        raise ValueError(
            "`model` must not be wrapped any more. Received: model="
            f"{model.name!r} with {masked[0]!r} and {len(masked) - 1} more "
            "wrappers. Call strip_pruning of the toolkit first; the zeros "
            "stay."
        )


def _written(model, path):
    """Where `tf_keras` wrote the model."""
    path = path.with_name(f"{path.name}.h5")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are saving your model as an H")
        try:
            model.save(path)
        except ValueError:
            # It cannot write one variable twice, as frozen wrappers hold it.
            path = path.with_suffix(".keras")
            model.save(path)
        except NotImplementedError as error:
            raise ValueError(
                "`model` must be functional or Sequential. Received: model="
                f"{model.name!r} of class {type(model).__name__}, whose code "
                "Keras 3 cannot run. Write the class in Keras 3 and set its "
                "weights with `set_weights(model.get_weights())`."
            ) from error
    return path


def _layers(model):
    for layer in model.layers:
        yield layer
        yield from _layers(layer) if hasattr(layer, "layers") else ()


def _compare(old, new):
    """Checks that both give the same on random inputs.

    Raises:
        ValueError: If they do not.
    """
    inputs = [_sample(tensor) for tensor in new.inputs]
    if len(inputs) == 1:
        (inputs,) = inputs
    before, after = (
        [np.asarray(x) for x in keras.tree.flatten(outputs)]
        for outputs in (
            old(inputs, training=False),
            new(inputs, training=False),
        )
    )
    for i, (a, b) in enumerate(zip(before, after, strict=True)):
        scale = np.abs(a).max(initial=1e-6)
        if a.shape != b.shape or np.abs(a - b).max(initial=0) > (
            _TOLERANCE * scale
        ):
            raise ValueError(
                "The outputs of the translated model must be those of the "
                f"model of tf_keras. Received: model={old.name!r}, whose "
                f"output {i} differs. Please report it, with the model."
            )


def _sample(tensor):
    shape = [2, *(_SIZE if n is None else n for n in tensor.shape[1:])]
    if "int" in tensor.dtype or "bool" in tensor.dtype:
        return np.zeros(shape, tensor.dtype)
    draw = np.random.default_rng(0)
    return draw.normal(size=shape).astype(tensor.dtype)
