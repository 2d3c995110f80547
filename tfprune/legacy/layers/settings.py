"""Translates an old layer's config to arguments of its Keras 3 class."""

import inspect
import re

import keras

from tfprune.legacy.layers import activations
from tfprune.legacy.layers import keras_1

# Settings that Keras 3 infers, or for which it has only one way.
_SUPERFLUOUS = {
    "batch_input_shape",
    "batch_size",
    "build_config",
    "consume_less",
    "dynamic",
    "fused",
    "implementation",
    "input_dim",
    "input_dtype",
    "input_length",
    "input_shape",
    "optional",
    "ragged",
    "reverse_state_order",
    "rng_type",
    "sparse",
    "time_major",
    "virtual_batch_size",
}
# Settings that these classes inherited in Keras 2 and never used.
_UNUSED = {
    f"{kind}Conv{n}D": {
        *("kernel_initializer", "kernel_regularizer", "kernel_constraint"),
        "filters" if kind == "Depthwise" else "",
    }
    for kind in ("Depthwise", "Separable")
    for n in (1, 2)
}
_RENORM = {"renorm", "renorm_clipping", "renorm_momentum"}
_CUDNN = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_SPECIAL = {
    "MultiHeadAttention": {"query_shape", "key_shape", "value_shape"},
    "StringLookup": {"has_input_vocabulary", "vocabulary_size"},
    "IntegerLookup": {"has_input_vocabulary", "vocabulary_size"},
    "TextVectorization": {"has_input_vocabulary", "vocabulary_size"},
    "Attention": {"causal"},
    "AdditiveAttention": {"causal"},
    "BatchNormalization": _RENORM | {"mode", "adjustment"},
    "RNN": {"num_constants", "return_constants"},
}
_CLASSES = {
    "Addons>GroupNormalization": ("GroupNormalization", {}),
    "Addons>InstanceNormalization": ("GroupNormalization", {"groups": -1}),
    "BatchNormalizationV1": ("BatchNormalization", {}),
    "BatchNormalizationV2": ("BatchNormalization", {}),
    "CuDNNGRU": ("GRU", {"reset_after": True, **_CUDNN}),
    "CuDNNLSTM": ("LSTM", _CUDNN),
    "SyncBatchNormalization": ("BatchNormalization", {"synchronized": True}),
    "GRUV2": ("GRU", {}),
    "LSTMV2": ("LSTM", {}),
    "UnifiedGRU": ("GRU", {}),
    "UnifiedLSTM": ("LSTM", {}),
}
_RENAMED = {
    "LeakyReLU": {"alpha": "negative_slope"},
    "CategoryEncoding": {"max_tokens": "num_tokens"},
    "Discretization": {"bins": "bin_boundaries"},
    "IntegerLookup": {"max_values": "max_tokens"},
}
_MODULES = {
    "initializer": keras.initializers,
    "regularizer": keras.regularizers,
    "constraint": keras.constraints,
}
_REGULARIZERS = tuple(
    f"{kind}_regularizer" for kind in ("kernel", "bias", "gamma", "beta")
)
_LAYERS = ("layer", "backward_layer", "cell")
_WORDS = ("IntegerLookup", "StringLookup", "TextVectorization")
_BASES = (
    keras.layers.Layer,
    keras.layers.Wrapper,
    keras.layers.RNN,
    keras.Model,
)


def find(entry):
    """Finds the class of a layer, among registered and Keras classes.

    Raises:
        ValueError: If there is none.
    """
    name = entry["class_name"]
    registered = entry.get("registered_name") or name
    found = keras.saving.get_registered_object(registered)
    found = found or keras.saving.get_registered_object(name)
    found = found or getattr(keras.layers, name, None)
    if found is None:
        raise ValueError(
            f"The class of a layer must be known. Received: {name!r} of layer "
            f"{entry['config'].get('name')!r}. Register it with "
            "keras.saving.register_keras_serializable, or pass it in "
            "custom_objects."
        )
    return found


def is_before(version, *numbers):
    """Whether a version of Keras, as a file has it, is before another one."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and tuple(map(int, found.groups())) < numbers


def is_own(cls):
    """Whether a layer's class is a user's."""
    return cls.__module__.partition(".")[0] != "keras"


def is_registered(entry):
    """Whether a layer is of a class that the caller has registered."""
    name = entry.get("registered_name") or entry["class_name"]
    return keras.saving.get_registered_object(name) is not None


def modern(entry):
    """Returns the entry of a layer in the format of Keras 2."""
    name, config = entry["class_name"], entry["config"]
    if name.partition(">")[0] in ("TensorFlowModelOptimization", "tfmot"):
        name = name.partition(">")[2]
        entry = {**entry, "class_name": name}
    if entry.get("registered_name") in _CLASSES:  # as archives have it
        name = entry["registered_name"]
    if name in _CLASSES and not is_registered(entry):
        name, more = _CLASSES[name]
        entry = {**entry, "class_name": name, "config": {**config, **more}}
        return entry
    if is_registered(entry):
        return entry
    if isinstance(config, dict) and keras_1.is_keras_1(name, config):
        name, config = keras_1.translate(name, config)
        return {**entry, "class_name": name, "config": config}
    if name == "BatchNormalization" and config.get("virtual_batch_size"):
        # The axes are those of inputs with one more axis for its batches.
        axes = [axis - 1 for axis in config["axis"]]
        config = {**config, "axis": axes, "virtual_batch_size": None}
        return {**entry, "config": config}
    return entry


def translate(cls, config, notes):
    """Translates a layer's config to arguments of its class.

    Args:
        cls: class of the layer, in Keras 3.
        config: `dict`, in the format of Keras 2.
        notes: list of `str`, to which translations are appended.

    Returns:
        `dict`, arguments for `cls`.

    Raises:
        ValueError: If a setting has no counterpart.
    """
    taken = _taken(cls) | {"trainable"}
    label, kind = config.get("name"), cls.__name__
    ignored = _SUPERFLUOUS | _UNUSED.get(kind, set())
    ignored |= _SPECIAL.get(kind, set())
    settings = {}
    for old, value in config.items():
        key = _RENAMED.get(kind, {}).get(old, old)
        if key in taken and (key not in ignored or key == "input_dim"):
            settings[key] = _value(key, value, label, notes)
        elif key not in ignored and _asks(value):
            raise ValueError(
                f"A setting of layer {label!r} has no counterpart in Keras 3. "
                f"Received: {key}={value!r} of {kind}. Build it in code."
            )
        elif key in ("groups", "renorm") and value:
            notes.append(f"{label}: without {key}={value}")
    if kind != "Embedding":
        settings.pop("input_dim", None)
    _check(kind, config, settings, notes)
    return settings


def _asks(value):
    """Whether the value of a removed setting has any effect."""
    if isinstance(value, (bool, str)):
        return bool(value)
    return value not in (None, 1, [], {})


def _taken(cls):
    """The arguments of a class, and of its bases if it passes them on."""
    taken = set()
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters
        taken |= set(parameters)
        kinds = [parameter.kind for parameter in parameters.values()]
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return taken


def _check(kind, config, settings, notes):
    """Checks settings that must not be lost; translates other spellings."""
    label = config.get("name")
    axis = settings.get("axis")
    if kind == "BatchNormalization":
        if isinstance(axis, list) and len(axis) == 1:
            (settings["axis"],) = axis
            notes.append(f"{label}: axis={axis[0]}, not a list")
        if config.get("mode"):
            raise ValueError(
                "Batch normalization must use moving statistics. Received: "
                f"mode={config['mode']} of layer {label!r}. Build the layer "
                "in code."
            )
    if kind in _WORDS and settings.get("vocabulary") is None:
        raise ValueError(
            "The vocabulary of a layer must be in the file. Received: layer "
            f"{label!r}, a {kind}. Save the model as a .keras archive, or "
            "build it in code."
        )
    factor = settings.get("factor")
    if kind == "RandomContrast" and factor is not None:
        # Keras 3 takes 0 and one number, and the smaller of two first.
        low, high = settings["factor"] = pair(factor, 2)
        if low > high:
            notes.append(f"{label}: contrasts from {1 - high} to {1 + low}")
    if isinstance(settings.get("ngrams"), list):
        settings["ngrams"] = tuple(settings["ngrams"])
    if kind == "Bidirectional":
        _add_backward(settings)
    if kind in ("GRU", "GRUCell"):
        settings.setdefault("reset_after", False)
    gated = kind in ("LSTM", "GRU", "LSTMCell", "GRUCell")
    if gated or kind.startswith("ConvLSTM"):
        # The default of Keras 2 if the file does not set it.
        settings.setdefault(
            "recurrent_activation", activations.hard_sigmoid_of_keras_2
        )


def _add_backward(settings):
    """Makes the second layer where Keras 3 would make it run as the first."""
    layer = settings.get("layer")
    if "backward_layer" not in settings and layer.go_backwards:
        config = {**layer.get_config(), "go_backwards": False}
        config["name"] = f"backward_{layer.name}"
        settings["backward_layer"] = type(layer).from_config(config)


def _value(key, value, label, notes):
    if key == "dtype":
        return dtype(value)
    if key in ("activation", "recurrent_activation"):
        found, changed = activations.translate(value, label)
        if changed:
            notes.append(f"{label}: hard_sigmoid is that of Keras 2")
        return found
    if key == "cells":
        return [nested(entry, notes) for entry in value]
    if key in _LAYERS and isinstance(value, dict):
        return nested(value, notes)
    for end, module in _MODULES.items():
        if key.endswith(end):
            return _object(module, key, value, label, notes)
    if isinstance(value, dict) and value.get("type") == "ndarray":
        return value["value"]
    return value


def own(cls, config, notes):
    """Translates the config of a user's class to that of its Keras 3 class."""
    taken, base = _taken(cls), next(c for c in cls.__mro__ if not is_own(c))
    kinds = inspect.signature(cls).parameters.values()
    if inspect.Parameter.VAR_KEYWORD in [each.kind for each in kinds]:
        taken.add("name")
    settings = {
        key: dtype(value) if key == "dtype" else _objects(value, notes)
        for key, value in config.items()
        if key in taken or key not in _SUPERFLUOUS | {"name"}
    }
    if base in _BASES:
        return settings
    known = _taken(base) - {"name"}
    theirs = {key: value for key, value in config.items() if key in known}
    translated = translate(base, {"name": config.get("name"), **theirs}, notes)
    translated.pop("name", None)
    return settings | translated


def _objects(value, notes):
    """The layers in a config, as Keras 3 writes them."""
    if isinstance(value, list):
        return [_objects(inner, notes) for inner in value]
    if not isinstance(value, dict):
        return value
    name = value.get("class_name")
    if isinstance(value.get("config"), dict) and isinstance(name, str):
        layer = getattr(keras.layers, name, None)
        if keras.saving.get_registered_object(name) is None and layer:
            return keras.saving.serialize_keras_object(nested(value, notes))
    return {key: _objects(inner, notes) for key, inner in value.items()}


def nested(entry, notes):
    """A layer inside of another's config, built."""
    entry = modern(entry)
    cls = find(entry)
    return make(cls, translate(cls, entry["config"], notes))


def make(cls, settings):
    """A layer of a class; some take `trainable` only afterwards."""
    settings = dict(settings)
    trainable = settings.pop("trainable", True)
    layer = cls(**settings)
    layer.trainable = trainable
    return layer


def _object(module, key, value, label, notes):
    """An initializer, regularizer or constraint; outputs need none of them."""
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        config = {
            k: v
            for k, v in value["config"].items()
            if k not in ("dtype", "partition_info", "verify_shape")
        }
        value = {"class_name": value["class_name"], "config": config}
    try:
        return module.get(value)
    except (TypeError, ValueError, KeyError, AttributeError):
        notes.append(f"{label}: without its {key}")
        return "zeros" if module is keras.initializers else None


def dtype(value):
    """The name of a type or of a policy."""
    return value["config"]["name"] if isinstance(value, dict) else value


def base(config):
    """The arguments that all layers take."""
    return {
        "name": config["name"].replace("/", "_"),
        "trainable": config.get("trainable", True),
    }


def regularizers(config):
    """The arguments of a layer that regularize its weights."""
    return {
        key: _object(keras.regularizers, key, config[key], config["name"], [])
        for key in _REGULARIZERS
        if config.get(key)
    }


def without(config):
    """The settings of training that layers built of others do not have."""
    found = regularizers(config)
    return [
        key
        for key, value in config.items()
        if key.endswith(("_regularizer", "_constraint"))
        and value
        and found.get(key) is None
    ]


def activation(config):
    """The function of a layer's activation."""
    found, _ = activations.translate(
        config.get("activation", "linear"), config["name"]
    )
    return keras.activations.get(found)


def pair(value, rank):
    """One number for each of `rank` axes."""
    number = isinstance(value, (int, float))
    return [value] * rank if number else list(value)
