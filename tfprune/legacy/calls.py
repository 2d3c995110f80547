"""Calls layers of old models in Keras 3."""

import keras

from tfprune.legacy.layers import settings

ATTENTION = ("Attention", "AdditiveAttention")
RECURRENT = (
    *("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional"),
    *("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
)


def has_states(entry, args, kwargs):
    """Whether a recurrent layer gets its initial state in a call."""
    given = kwargs.get("initial_state") is not None
    return _is_recurrent(entry) and (given or isinstance(args[0], list))


def _is_recurrent(entry):
    return settings.modern(entry)["class_name"] in RECURRENT


def call(part, entry, args, kwargs):
    """Calls a part; a list for a recurrent layer also holds its states."""
    kwargs = {k: v for k, v in kwargs.items() if v is not None}
    if entry["config"].get("causal") and entry["class_name"] in ATTENTION:
        # A layer setting in Keras 2, an argument of each call in Keras 3.
        kwargs.setdefault("use_causal_mask", True)
    if _is_recurrent(entry) and isinstance(args[0], list):
        x, *states = args[0]
        if entry["config"].get("num_constants"):
            raise ValueError(
                "A recurrent layer must get only inputs and states. "
                f"Received: constants for layer {entry['name']!r}. Build the "
                "model in code."
            )
        return part(x, **{"initial_state": states, **kwargs})
    return part(*args, **kwargs)


def without_masks(args, kwargs):
    """The arguments of a call as tensors that have no masks."""
    copies = {}

    def copy(x):
        if not isinstance(x, keras.KerasTensor):
            return x
        return copies.setdefault(id(x), keras.ops.copy(x))

    return keras.tree.map_structure(copy, (args, kwargs))


def axes(name, config):
    """`(in, out)`, the axes from 1 around a layer of channels_first."""
    if config.get("data_format") != "channels_first":
        return None
    rank = next((int(c) for c in name if c.isdigit()), None)
    kinds = ("Conv", "Pool", "UpSampling", "ZeroPadding", "Cropping")
    if rank is None or not any(kind in name for kind in kinds):
        return None
    spatial = range(2, rank + 2)
    if name.startswith("ConvLSTM"):
        back = (rank + 1, *range(1, rank + 1))
        if config.get("return_sequences"):
            back = (1, *(axis + 1 for axis in back))
        return (1, *(axis + 1 for axis in spatial), 2), back
    back = (rank + 1, *range(1, rank + 1))
    if name.startswith("Global") and not config.get("keepdims"):
        back = None
    return (*spatial, 1), back


def time_major(part, config, count=1):
    """A recurrent layer whose inputs have the time axis before the batch.

    Args:
        part: `parts.Part` of one layer.
        config: `dict`, of the layer, or of the one that runs both ways.
        count: `int`, sequences that it gives if it gives any.

    Returns:
        `part`.
    """
    (layer,) = part.layers

    def call(x, **kwargs):
        outputs = layer(keras.ops.swapaxes(x, 0, 1), **kwargs)
        if not config.get("return_sequences"):
            return outputs
        if not isinstance(outputs, (list, tuple)):
            return keras.ops.swapaxes(outputs, 0, 1)
        turned = [keras.ops.swapaxes(y, 0, 1) for y in outputs[:count]]
        return [*turned, *outputs[count:]]

    return part.calling(call)
