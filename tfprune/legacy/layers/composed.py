"""Builds layers that Keras 3 lacks from those that it has."""

import keras
import numpy as np

from tfprune.legacy.layers import arrays
from tfprune.legacy.layers import locally_connected
from tfprune.legacy.layers import parts
from tfprune.legacy.layers import settings

LAYERS = keras.layers


def _threshold(config):
    theta = config.get("theta", 1.0)
    if isinstance(theta, dict):
        theta = theta["value"]
    layer = LAYERS.ReLU(threshold=float(theta), **settings.base(config))
    return parts.Part(config["name"], [layer])


def _highway(config):
    """A highway layer: a dense layer gates how much of the input passes."""
    function = settings.activation(config)
    biased = config.get("use_bias", True)
    own = []

    def convert(arrays):
        # In the file both kernels come first, then both biases.
        return [*arrays[::2], *arrays[1::2]] if biased else arrays

    def call(x):
        if not own:
            units, base = x.shape[-1], settings.base(config)
            base |= settings.regularizers(config)
            name = base.pop("name")
            own.extend(
                LAYERS.Dense(
                    units, use_bias=biased, name=f"{name}_{part}", **base
                )
                for part in ("dense", "carry")
            )
        value, carried = own[0](x), keras.ops.sigmoid(own[1](x))
        return carried * function(value) + (1 - carried) * x

    return parts.Part(config["name"], own, convert=convert, call=call)


def _maxout(config):
    """The maximum of several dense layers, unit by unit."""
    features, units = config.get("nb_feature", 4), config["output_dim"]
    base = settings.base(config)
    name = base["name"]
    dense = LAYERS.Dense(
        features * units,
        use_bias=config.get("use_bias", True),
        **base,
        **settings.regularizers(config),
    )
    chain = [
        dense,
        LAYERS.Reshape((features, units), name=f"{name}_features"),
        LAYERS.GlobalMaxPooling1D(name=f"{name}_max"),
    ]

    def convert(arrays):
        # (features, inputs, units), and (features, units).
        kernel = np.moveaxis(arrays[0], 0, 1)
        kernel = kernel.reshape(len(kernel), -1)
        return [kernel, *(a.ravel() for a in arrays[1:])]

    return parts.Part(config["name"], chain, convert=convert)


def _identity(config):
    """`Layer` alone, and `RandomHeight` and others in inference."""
    return parts.Part(
        config["name"], [LAYERS.Identity(**settings.base(config))]
    )


def _layer_scale(config):
    """A layer of ConvNeXt: each channel of a map times a number."""
    layer = LAYERS.DepthwiseConv2D(1, use_bias=False, **settings.base(config))

    def convert(arrays):
        return [a.reshape(1, 1, -1, 1) for a in arrays]

    return parts.Part(config["name"], [layer], convert=convert)


def _crop(config):
    """`RandomCrop`: in inference, crops to the aspect ratio and resizes."""
    layer = LAYERS.Resizing(
        config["height"],
        config["width"],
        crop_to_aspect_ratio=True,
        name=settings.base(config)["name"],
    )
    return parts.Resized(config["name"], [layer])


def _merge(config):
    """`Merge`, Keras 1's single class for all ways to merge."""
    mode = config.get("mode", "sum")
    base = {"name": settings.base(config)["name"]}
    axis = config.get("concat_axis", -1)
    dots = config.get("dot_axes", -1)
    makers = {
        "sum": lambda: LAYERS.Add(**base),
        "mul": lambda: LAYERS.Multiply(**base),
        "ave": lambda: LAYERS.Average(**base),
        "max": lambda: LAYERS.Maximum(**base),
        "concat": lambda: LAYERS.Concatenate(axis=axis, **base),
        "dot": lambda: LAYERS.Dot(axes=_axes(dots), **base),
        "cos": lambda: LAYERS.Dot(axes=_axes(dots), normalize=True, **base),
    }
    if mode not in makers:
        raise ValueError(
            "A merge must have a named mode. Received: "
            f"mode={mode!r} of layer {config['name']!r}, which is code. Build "
            "the model in code and load its weights."
        )
    return parts.Part(config["name"], [makers[mode]()])


def _axes(axes):
    flat = axes
    while isinstance(flat, list) and flat and isinstance(flat[0], list):
        flat = [a for inner in flat for a in inner]
    return tuple(flat) if isinstance(flat, list) else flat


def _several_axes(config):
    """Batch normalization over several axes."""
    base = {
        key: config[key]
        for key in ("momentum", "epsilon", "center", "scale")
        if key in config
    }
    base |= settings.base(config) | settings.regularizers(config)
    layer = LAYERS.BatchNormalization(**base)
    # Those of renormalization come last.
    kept = 2 + layer.center + layer.scale

    def call(x, **kwargs):
        rank = len(x.shape)
        axes = sorted(axis % rank for axis in config["axis"])
        rest = [axis for axis in range(rank) if axis not in axes]
        y = keras.ops.transpose(x, [*rest, *axes])
        shape = y.shape[1:]
        kept = shape[: len(rest) - 1]
        y = keras.ops.reshape(y, (-1, *kept, int(np.prod(shape[len(kept) :]))))
        y = keras.ops.reshape(layer(y, **kwargs), (-1, *shape))
        return keras.ops.transpose(y, np.argsort([*rest, *axes]).tolist())

    return parts.Part(
        config["name"],
        [layer],
        convert=lambda found: [a.ravel() for a in found[:kept]],
        call=call,
        counts=arrays.counts("BatchNormalization", config, "2"),
    )


def dilated_transpose(config):
    """A transposed convolution without strides is a plain one."""
    size = config["kernel_size"]
    rates = settings.pair(config["dilation_rate"], len(size))
    pads = []
    for k, rate in zip(size, rates, strict=True):
        total = (k - 1) * rate
        less = total // 2 if config["padding"] == "same" else 0
        pads.append((total - less, total if not less else less))
    if config["padding"] == "same":
        pads = [(after, before) for after, before in pads]
    rank, base = len(size), settings.base(config)
    pad = getattr(LAYERS, f"ZeroPadding{rank}D")
    layer = getattr(LAYERS, f"Conv{rank}D")(
        config["filters"],
        size,
        dilation_rate=rates,
        activation=settings.activation(config),
        use_bias=config.get("use_bias", True),
        **base,
        **settings.regularizers(config),
    )
    pads = pads if rank > 1 else pads[0]
    chain = [pad(pads, name=f"{base['name']}_pad"), layer]

    def convert(arrays):
        kernel = np.flip(arrays[0], tuple(range(rank))).swapaxes(-1, -2)
        return [kernel, *arrays[1:]]

    return parts.Part(config["name"], chain, convert=convert)


def _bilinear(config):
    """Upsampling of Keras before 2.4: the first pixel stays where it is.

    It is the mean of as many repeated pixels, from each one on.
    """
    size = settings.pair(config["size"], 2)
    base = settings.base(config)
    forward = config.get("data_format") == "channels_first"
    chain = [
        LAYERS.UpSampling2D(size, data_format="channels_last", **base),
        LAYERS.AveragePooling2D(
            size, 1, data_format="channels_last", name=f"{base['name']}_mean"
        ),
    ]
    # What lies beyond the border is the last pixel once more.
    pads = [(0, 0), *((0, n - 1) for n in size), (0, 0)]

    def call(x):
        x = parts.floats(x)
        if forward:
            x = keras.ops.moveaxis(x, 1, -1)
        x = chain[1](keras.ops.pad(chain[0](x), pads, mode="symmetric"))
        return keras.ops.moveaxis(x, -1, 1) if forward else x

    return parts.Part(config["name"], chain, call=call)


def causal_separable(config):
    """A separable convolution that sees no later steps."""
    size, rate = (
        settings.pair(config.get(key, 1), 1)[0]
        for key in ("kernel_size", "dilation_rate")
    )
    base = settings.base(config)
    pad = LAYERS.ZeroPadding1D(
        ((size - 1) * rate, 0), name=f"{base['name']}_pad"
    )
    changed = {**config, **base, "padding": "valid"}
    changed["data_format"] = "channels_last"
    changed = settings.translate(LAYERS.SeparableConv1D, changed, [])
    layer = settings.make(LAYERS.SeparableConv1D, changed)
    return parts.Part(config["name"], [pad, layer])


def builder(name, config, version="2"):
    """The function in `BUILDERS` for a layer, `None` if Keras 3 has it."""
    if name in BUILDERS:
        return BUILDERS[name]
    if name == "SeparableConv1D" and config.get("padding") == "causal":
        return causal_separable
    if name == "UpSampling2D" and config.get("interpolation") == "bilinear":
        # That of TensorFlow says so in its version.
        own = settings.is_before(version, 2, 4) and "tf" not in version
        return _bilinear if own else None
    axis = config.get("axis")
    if name == "BatchNormalization" and isinstance(axis, list) and axis[1:]:
        return _several_axes
    transposed = name.startswith("Conv") and name.endswith("Transpose")
    rates = np.ravel(config.get("dilation_rate", 1))
    return dilated_transpose if transposed and (rates > 1).any() else None


# Those that run between transposes if the channels come first.
WITH_CHANNELS_LAST = (causal_separable, dilated_transpose)
# From the class of an old layer to a function of its config, a `Part`.
BUILDERS = {
    "Highway": _highway,
    "Layer": _identity,
    "LayerScale": _layer_scale,
    "LocallyConnected1D": locally_connected.builder(1),
    "LocallyConnected2D": locally_connected.builder(2),
    "MaxoutDense": _maxout,
    "Merge": _merge,
    "RandomCrop": _crop,
    "RandomHeight": _identity,
    "RandomWidth": _identity,
    "StochasticDepth": _identity,
    "ThresholdedReLU": _threshold,
}
