"""What the outputs of a model are: probabilities or raw numbers."""

import enum

import keras

from tfprune.graph import document
from tfprune.graph import read
from tfprune.graph.composites import opening


class End(enum.Enum):
    """What the values of a tensor are."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    RAW = "raw numbers"
    UNKNOWN = "unknown"  # made by a layer that is not one of Keras


_ACTIVATIONS = {
    keras.activations.softmax: End.SOFTMAX,
    keras.activations.sigmoid: End.SIGMOID,
}
_LAYERS = {"Softmax": End.SOFTMAX, "Sigmoid": End.SIGMOID}
# Layers and ops of Keras whose outputs are values of their inputs, or averages
# of them, which of probabilities are probabilities.
_CARRIERS = frozenset(
    {
        *("Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D"),
        *("SpatialDropout3D", "ActivityRegularization", "Masking"),
        *("Reshape", "Flatten", "Permute", "RepeatVector", "Concatenate"),
        *("Cropping1D", "Cropping2D", "Cropping3D", "Resizing", "Average"),
        *("UpSampling1D", "UpSampling2D", "UpSampling3D"),
        *("AveragePooling1D", "AveragePooling2D", "AveragePooling3D"),
        *("GlobalAveragePooling1D", "GlobalAveragePooling2D"),
        *("GlobalAveragePooling3D", "Cast", "Copy", "StopGradient"),
        *("BroadcastTo", "ExpandDims", "Flip", "GetItem", "Hstack", "Mean"),
        *("Moveaxis", "Ravel", "Repeat", "Roll", "Split", "Squeeze", "Stack"),
        *("Swapaxes", "Take", "Tile", "Transpose", "Unstack", "Vstack"),
    }
)


def of(model):
    """The `End` of each output of a model.

    Args:
        model: a built `keras.Model`.

    Returns:
        A list.

    Raises:
        ValueError: If the model's `call` cannot be traced.
    """
    model, config = read.as_graph_model(model)

    def apply(site, args, kwargs):
        given = [
            leaf
            for leaf in keras.tree.flatten((args, kwargs))
            if isinstance(leaf, End)
        ]
        end = _end(site.live, given)
        # The document knows an output only if something reads it.
        return [end] * (max(site.shapes) + 1 if site.shapes else 1)

    return document.run(config, model, [End.RAW] * len(model.inputs), apply)


def _end(live, given):
    """The end of a call on tensors with the ends `given`."""
    while isinstance(live, keras.layers.Wrapper):
        live = live.layer
    if isinstance(live, keras.Model) and opening.lists_layers(live):
        ends = set(of(live))
        return ends.pop() if len(ends) == 1 else End.UNKNOWN
    activation = getattr(live, "activation", None)
    for function, end in _ACTIVATIONS.items():
        if activation is function:
            return end
    name = type(live).__name__
    if not type(live).__module__.startswith("keras.") or name == "Lambda":
        return End.UNKNOWN
    linear = isinstance(live, keras.layers.Activation) and (
        activation is keras.activations.linear
    )
    if linear or name in _CARRIERS:
        return given[0] if len(set(given)) == 1 else End.UNKNOWN
    return _LAYERS.get(name, End.RAW)
