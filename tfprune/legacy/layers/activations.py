"""Activation functions whose meaning changed from Keras 2 to Keras 3."""

import keras


@keras.saving.register_keras_serializable("tfprune")
def hard_sigmoid_of_keras_2(x):
    """`clip(0.2 x + 0.5, 0, 1)`; that of Keras 3 is `relu6(x + 3) / 6`."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


# Names that Keras 2 took from TensorFlow.
_RENAMED = {
    "gelu_v2": "gelu",
    "log_softmax_v2": "log_softmax",
    "softmax_v2": "softmax",
}
# Layers without weights that a recurrent layer may have as a function.
_LAYERS = {
    "ELU": ("alpha",),
    "LeakyReLU": ("negative_slope",),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "Softmax": ("axis",),
}
_MIXING = ("softmax", "log_softmax")
# Wrappers for quantization-aware training: use the activation they hold.
_QUANTIZED = ("QuantizeAwareActivation", "NoOpActivation")


def translate(value, layer):
    """Translates the value of `activation=`.

    Args:
        value: the value in the config, a name or a `dict`.
        layer: `str`, name of the layer.

    Returns:
        `(activation, changed)`: a name, a function or a layer, and whether it
        differs from the function of the same name in Keras 3.

    Raises:
        ValueError: If the function is unknown.
    """
    name = value
    if isinstance(value, dict) and value["class_name"] in _QUANTIZED:
        return translate(value["config"].get("activation"), layer)
    if isinstance(value, dict):
        registered = value.get("registered_name")
        named = value.get("config")
        if isinstance(named, dict):
            named = named.get("name", value["class_name"])
        function = value["class_name"] in ("function", "builtin_function")
        name = named if function else value["class_name"]
        if registered and registered not in ("function", name):
            name = registered
    if name is None:
        return None, False
    if name == "hard_sigmoid":
        return hard_sigmoid_of_keras_2, True
    name = _RENAMED.get(name, name)
    known = keras.saving.get_registered_object(name)
    if known is not None:
        return known, False
    if isinstance(value, dict) and name in _LAYERS:
        return _layer(name, value["config"]), False
    try:
        keras.activations.get(name)
    except ValueError as error:
        raise ValueError(
            f"The activation of a layer must be known. Received: {name!r} of "
            f"layer {layer!r}. Pass it in custom_objects."
        ) from error
    return name, False


def _layer(name, config):
    """A layer as a function; its settings are those that change the result."""
    config = {"negative_slope": config.get("alpha"), **config}
    given = {key: config.get(key) for key in _LAYERS[name]}
    given = {key: value for key, value in given.items() if value is not None}
    return getattr(keras.layers, name)(**given)


def apart(config):
    """Separates an activation that is no function of single numbers.

    Args:
        config: `dict`, of a layer.

    Returns:
        `(config, activation)`: without it; or as it is, and `None`.
    """
    found, changed = translate(config.get("activation"), config.get("name"))
    if changed or not (callable(found) or found in _MIXING):
        return config, None
    return {**config, "activation": "linear"}, found
