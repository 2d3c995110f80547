"""Translates single layers of old models."""

import keras

from tfprune.legacy import calls
from tfprune.legacy import training_calls
from tfprune.legacy.layers import activations
from tfprune.legacy.layers import arrays
from tfprune.legacy.layers import batch_statistics
from tfprune.legacy.layers import composed
from tfprune.legacy.layers import parts
from tfprune.legacy.layers import quantized
from tfprune.legacy.layers import settings as settings_lib
from tfprune.legacy.operations import lambdas
from tfprune.legacy.operations import tf_images

MODELS = ("Functional", "Model", "Sequential")
# Layers that may be the activation of another one.
_ACTIVATIONS = (
    *("ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax", "ThresholdedReLU"),
    "Activation",
)


class Translator:
    """Translates the configs of layers, and records what it translated.

    Args:
        nested: function of the `dict` of a model within a model and its name;
            returns its `parts.Nested`.
        safe_mode, version, backend: as of `building.Builder`.

    Attributes:
        notes: list of `str`, what was translated.
        rounded: `dict` from the names of wrappers of quantization-aware
            training to the names of the new layers in their place.
    """

    def __init__(self, nested, safe_mode, version, backend):
        self.notes = []
        self.rounded = {}
        self._nested = nested
        self._safe_mode = safe_mode
        self._version = version
        self._backend = backend
        self._names = {}

    def claim(self, names):
        """Keeps names for the layers that have them in the file."""
        # Only names with a slash change.
        self._names |= {name: name for name in names}

    def plain(self, name):
        """A unique name that is valid in Keras 3."""
        plain = valid(name)
        while self._names.setdefault(plain, name) != name:
            plain += "_"
        return plain

    def called(self, entry):
        """Builds the part of a layer whose calls may say that they train."""
        if training_calls.is_of_the_batch(entry):
            entry = settings_lib.modern(entry)
            config = {"name": entry["name"], **entry["config"]}
            self.notes.append(
                f"{entry['name']}: statistics of the batch by ops"
            )
            for key in settings_lib.without(config):
                self.notes.append(f"{entry['name']}: without its {key}")
            return batch_statistics.build(config)
        part = self.part(entry)
        note = training_calls.note(entry, part)
        if note:
            # Before the many others, of which a warning has only the first.
            self.notes.insert(0, note)
        return part

    def part(self, entry):
        """Builds the `parts.Part` that replaces a layer."""
        entry = settings_lib.modern(entry)
        name, config = entry["class_name"], entry["config"]
        if name in MODELS:
            return self._nested(entry, entry.get("name"))
        if "name" in entry:
            # A class without a get_config of its own writes no name.
            config = {"name": entry["name"], **config}
            entry = {**entry, "config": config}
        if not settings_lib.is_registered(entry):
            build = composed.builder(name, config, self._version)
            if build is not None:
                return self._composed(build, name, config)
            resizes = name in ("Resizing", "UpSampling2D")
            if resizes and config.get("interpolation") in tf_images.KERNELS:
                self.notes.append(f"{config['name']}: {name} of ops of Keras")
                return _resized(config)
        if name in (*quantized.WRAPPERS, "QuantizeLayer"):
            return self._rounded(name, config)
        if name == "TimeDistributed":
            return self._time_distributed(config)
        return self._layer(entry)

    def _composed(self, build, name, config):
        """The part of a layer that becomes several."""
        self.notes.append(f"{config['name']}: {name} of other layers")
        if build is not composed.causal_separable:
            for key in settings_lib.without(config):
                self.notes.append(f"{config['name']}: without its {key}")
        axes = calls.axes(name, config)
        if build in composed.WITH_CHANNELS_LAST and axes:
            config, last = activations.apart(config)
            return parts.around(build(config), config["name"], *axes, last)
        return build(config)

    def _rounded(self, name, config):
        """The part of a wrapper of quantization-aware training."""
        inner = config.get("layer")
        inner = inner and self.part(inner)
        part, note = quantized.build(name, config, inner)
        self.notes.append(note)
        if part.layers:
            self.rounded[config["name"]] = part.layers[-1].name
        return part

    def _time_distributed(self, config):
        inner = self.part(config["layer"])
        base = {"name": self.plain(config["name"])}
        if inner.plain and len(inner.layers) == 1:
            layer = keras.layers.TimeDistributed(inner.layers[0], **base)
            return parts.Wrapped(config["name"], [layer], inner)
        own = []

        def call(x, **kwargs):
            if not own:
                shape = keras.Input(x.shape[2:], dtype=x.dtype)
                model = keras.Model(shape, inner(shape))
                own.append(keras.layers.TimeDistributed(model, **base))
            return own[0](x, **kwargs)

        return parts.Wrapped(config["name"], own, inner, call)

    def _layer(self, entry):
        """The part of a layer that Keras 3 has as well."""
        name, config = entry["class_name"], dict(entry["config"])
        cls = settings_lib.find(entry)
        if settings_lib.is_own(cls):
            return self._own_layer(cls, config)
        old = config["name"]
        after = self._activation(cls, config)
        if after is not None:
            config |= {"activation": "linear", "activity_regularizer": None}
        crop = config.pop("output_cropping", None)
        axes, last = calls.axes(name, config), None
        if axes:
            config["data_format"] = "channels_last"
            if not name.startswith("ConvLSTM"):
                # Softmax goes along the last axis, whatever lies there.
                config, last = activations.apart(config)
            self.notes.append(f"{old}: channels_last between transposes")
        if arrays.turns(name, self._backend):
            self.notes.append(f"{old}: kernels flipped, as Theano convolves")
        layer = self._made(cls, name, config)
        part = _kind(name, config, axes, self._version)(
            old,
            [layer],
            convert=self._converter(entry, config),
            counts=arrays.counts(name, config, self._version),
        )
        if crop is not None:
            part = part.followed_by(_cropped(layer.name, crop))
        if axes:
            part = parts.around(part, layer.name, *axes, last)
        if after is not None:
            part = part.followed_by(after)
        return _in_time(part, name, config)

    def _made(self, cls, name, config):
        """The layer of Keras 3, without weights."""
        old = config["name"]
        if name == "Lambda":
            plain = self.plain(old)
            layer = lambdas.build(cls, config, plain, self._safe_mode)
        else:
            settings = settings_lib.translate(cls, config, self.notes)
            settings["name"] = self.plain(old)
            layer = settings_lib.make(cls, settings)
        if layer.name != old:
            self.notes.append(f"{old}: a name without a slash")
        return layer

    def _converter(self, entry, config):
        """What makes the weights of a layer of those in the file."""

        def of(name, source):
            return arrays.converter(name, source, self._version, self._backend)

        if entry["class_name"] == "Bidirectional":
            inner = settings_lib.modern(config["layer"])
            return arrays.bidirectional(
                of(inner["class_name"], inner["config"])
            )
        written = entry["config"].get("data_format")
        return of(entry["class_name"], {**config, "data_format": written})

    def _activation(self, cls, config):
        """The part of a layer that is the activation of another, or `None`."""
        found = config.get("activation")
        if not isinstance(found, dict) or issubclass(cls, keras.layers.RNN):
            return None
        if found.get("class_name") not in _ACTIVATIONS:
            return None
        inner = {
            **found["config"],
            "name": f"{config['name']}_activation",
            "trainable": config.get("trainable", True),
            "activity_regularizer": config.get("activity_regularizer"),
        }
        return self.part({**found, "config": inner})

    def _own_layer(self, cls, config):
        settings = settings_lib.own(cls, config, self.notes)
        layer = cls.from_config(settings)
        return parts.Own(config.get("name", layer.name), [layer])


def valid(name):
    """A name without what Keras 3 refuses in one; `None` stays."""
    return name and name.replace("/", "_")


def _kind(name, config, axes, version):
    """The class of the part of a layer."""
    if config.get("output_mode") == "tf_idf":
        return parts.Words
    if name == "Discretization" and config.get("num_bins"):
        return parts.Buckets
    if axes and name.startswith("ConvLSTM"):
        return parts.WithStates
    if _is_real(name, config, version):
        return parts.Resized
    return parts.Cropped if name.startswith("Cropping") else parts.Part


def _in_time(part, name, config):
    """The part of a layer, whose time axis may come before the batch."""
    sequences = 1
    if name == "Bidirectional":
        if config.get("merge_mode", "concat") is None:
            sequences = 2
        config = settings_lib.modern(config["layer"])["config"]
    if config.get("time_major") is True:
        return calls.time_major(part, config, sequences)
    return part


def _cropped(name, crop):
    """A part that cuts pixels off maps with the channels last."""
    cls = getattr(keras.layers, f"Cropping{len(crop)}D")
    name = f"{name}_cropped"
    return parts.Part(name, [cls(crop, data_format="channels_last", name=name)])


def _resized(config):
    """A part that resizes as Keras 3 does not."""
    if config.get("crop_to_aspect_ratio"):
        raise ValueError(
            "Images must be resized as a whole. Received: "
            f"crop_to_aspect_ratio=True of layer {config['name']!r}, beside "
            f"interpolation={config['interpolation']!r}. Resize in code."
        )
    first = config.get("data_format") == "channels_first"
    times = settings_lib.pair(config.get("size", 1), 2)

    def call(x):
        x = keras.ops.moveaxis(x, 1, -1) if first else x
        size = [config.get("height"), config.get("width")]
        if "size" in config:
            size = [
                n and n * by for n, by in zip(x.shape[1:3], times, strict=True)
            ]
        x = tf_images.by_kernel(x, size, config["interpolation"])
        return keras.ops.moveaxis(x, -1, 1) if first else x

    return parts.Part(config["name"], [], call=call)


def _is_real(name, config, version):
    """Whether a layer gave floats of whole numbers, and Keras 3 does not."""
    if config.get("interpolation", "nearest") != "nearest":
        return True
    return name == "Resizing" and not settings_lib.is_before(version, 2, 8)
