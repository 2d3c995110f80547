"""Layers that Keras 3 does not have, made of those that it has."""

import keras
import numpy as np

from tfprune.legacy import activations
from tfprune.legacy import parts

LAYERS = keras.layers


def _base(config):
    return {
        "name": config["name"].replace("/", "_"),
        "trainable": config.get("trainable", True),
    }


def _threshold(config):
    theta = config.get("theta", 1.0)
    if isinstance(theta, dict):
        theta = theta["value"]
    layer = LAYERS.ReLU(threshold=float(theta), **_base(config))
    return parts.Part(config["name"], [layer])


def _activation(config):
    function, _ = activations.translate(
        config.get("activation", "linear"), config["name"]
    )
    return keras.activations.get(function)


def _highway(config):
    """A share of the input is carried on, which a dense layer computes."""
    function = _activation(config)
    biased = config.get("use_bias", True)
    own = []

    def convert(arrays):
        # In the file both kernels come first, then both biases.
        return [*arrays[::2], *arrays[1::2]] if biased else arrays

    def call(x):
        if not own:
            units, base = x.shape[-1], _base(config)
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
    """The largest of several dense layers, unit by unit."""
    features, units = config.get("nb_feature", 4), config["output_dim"]
    base = _base(config)
    name = base["name"]
    dense = LAYERS.Dense(
        features * units, use_bias=config.get("use_bias", True), **base
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


def _local(rank):
    """A convolution with a kernel of its own at each place."""

    def build(config):
        function = _activation(config)
        size = _pair(config["kernel_size"], rank)
        strides = _pair(config.get("strides", 1), rank)
        forward = config.get("data_format") == "channels_first"
        biased, filters = config.get("use_bias", True), config["filters"]
        same = config.get("padding", "valid") == "same"
        own, seen = [], []

        def call(x):
            if forward:
                x = keras.ops.moveaxis(x, 1, -1)
            inputs = tuple(x.shape[1:-1])
            outputs = _outputs(inputs, size, strides, same)
            if same:
                x = _padded(x, size, strides, outputs)
            if rank == 1:
                x = keras.ops.expand_dims(x, 2)
            y = keras.ops.image.extract_patches(
                x,
                (*size, 1)[:2],
                strides=(*strides, 1)[:2],
                padding="valid",
                data_format="channels_last",
            )
            places = int(np.prod(outputs))
            y = keras.ops.reshape(y, (-1, places, y.shape[-1]))
            if not own:
                seen.append((inputs, x.shape[-1], outputs))
                own.append(
                    LAYERS.EinsumDense(
                        "bpk,pkf->bpf",
                        (places, filters),
                        bias_axes="pf" if biased else None,
                        **_base(config),
                    )
                )
            y = function(own[0](y))
            y = keras.ops.reshape(y, (-1, *outputs, filters))
            return keras.ops.moveaxis(y, -1, 1) if forward else y

        def convert(arrays):
            inputs, channels, outputs = seen[0]
            places = int(np.prod(outputs))
            mode = config.get("implementation", 1) or 1
            kernel = arrays[0]
            if mode > 1:
                index = _index(
                    (*inputs, channels),
                    (*outputs, filters),
                    size,
                    strides,
                    same,
                    forward,
                )
                kernel = _at(index, kernel.ravel(), mode == 3)
            elif forward:
                kernel = kernel.reshape(places, channels, -1, filters)
                kernel = kernel.swapaxes(1, 2)
            kernel = kernel.reshape(places, -1, filters)
            bias = [_bias(a, outputs, filters, forward) for a in arrays[1:]]
            return [kernel, *bias]

        return parts.Part(config["name"], own, convert=convert, call=call)

    return build


def _outputs(inputs, size, strides, same):
    return tuple(
        -(-n // s) if same else (n - k) // s + 1
        for n, k, s in zip(inputs, size, strides, strict=True)
    )


def _padded(x, size, strides, outputs):
    """Zeros around `x`: half of the kernel, rounded down, comes before."""
    pads, ends = [(0, 0)], [slice(None)]
    bounds = zip(x.shape[1:-1], size, strides, outputs, strict=True)
    for n, k, s, o in bounds:
        end = (o - 1) * s + k
        pads.append((k // 2, max(0, end - n - k // 2)))
        ends.append(slice(0, end))
    return keras.ops.pad(x, [*pads, (0, 0)])[tuple(ends)]


def _bias(bias, outputs, filters, forward):
    # With channels first Keras 2 reads the same numbers in another shape.
    if forward:
        bias = np.moveaxis(bias.reshape(filters, *outputs), 0, -1)
    return bias.reshape(-1, filters)


def _index(inputs, outputs, size, strides, same, forward):
    """Where, among all pairs of an input and an output, each weight lies."""
    (*spatial, channels), (*places, filters) = inputs, outputs
    index = np.full((*places, *size, channels, filters), -1)
    if forward:
        axes = (filters, *places, channels, *spatial)
    else:
        axes = (*places, filters, *spatial, channels)
    for spot in np.ndindex(index.shape):
        rank = len(spatial)
        out, tap, (c, f) = spot[:rank], spot[rank:-2], spot[-2:]
        at = tuple(
            o * s + t - (k // 2 if same else 0)
            for o, s, t, k in zip(out, strides, tap, size, strict=True)
        )
        if all(0 <= a < n for a, n in zip(at, spatial, strict=True)):
            place = (f, *out, c, *at) if forward else (*out, f, *at, c)
            index[spot] = np.ravel_multi_index(place, axes)
    half = int(np.prod(inputs))
    return index, half


def _at(found, values, sparse):
    """The weights of an index, 0 where there is none.

    A sparse kernel has one value for each pair that is joined, in the order of
    outputs and then inputs; a dense one has all, inputs before outputs.
    """
    index, inputs = found
    joined = index >= 0
    if sparse:
        places = np.searchsorted(np.unique(index[joined]), index)
    else:
        places = index % inputs * (values.size // inputs) + index // inputs
    return np.where(joined, values[np.where(joined, places, 0)], 0)


def _pair(value, rank):
    return [value] * rank if isinstance(value, int) else list(value)


def _resizing(config):
    """In inference `RandomHeight` and `RandomWidth` do nothing."""
    return parts.Part(config["name"], [LAYERS.Identity(**_base(config))])


def _crop(config):
    """In inference Keras 2 cuts to the shape, and resizes."""
    layer = LAYERS.Resizing(
        config["height"],
        config["width"],
        crop_to_aspect_ratio=True,
        name=_base(config)["name"],
    )
    return parts.Part(config["name"], [layer])


def _merge(config):
    """Keras 1 had one class for all ways to merge."""
    mode = config.get("mode", "sum")
    base = {"name": _base(config)["name"]}
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
            "A way to merge must be in the file. Received: "
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
    """Batch normalization of each place in several axes at once."""
    base = {
        key: config[key]
        for key in ("momentum", "epsilon", "center", "scale")
        if key in config
    }
    layer = LAYERS.BatchNormalization(**base, **_base(config))

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
        convert=lambda arrays: [a.ravel() for a in arrays],
        call=call,
    )


def dilated_transpose(config):
    """A transposed convolution without strides is a plain one."""
    size = config["kernel_size"]
    rates = _pair(config["dilation_rate"], len(size))
    pads = []
    for k, rate in zip(size, rates, strict=True):
        total = (k - 1) * rate
        less = total // 2 if config["padding"] == "same" else 0
        pads.append((total - less, total if not less else less))
    if config["padding"] == "same":
        pads = [(after, before) for after, before in pads]
    rank, base = len(size), _base(config)
    pad = getattr(LAYERS, f"ZeroPadding{rank}D")
    layer = getattr(LAYERS, f"Conv{rank}D")(
        config["filters"],
        size,
        dilation_rate=rates,
        activation=_activation(config),
        use_bias=config.get("use_bias", True),
        **base,
    )
    pads = pads if rank > 1 else pads[0]
    chain = [pad(pads, name=f"{base['name']}_pad"), layer]

    def convert(arrays):
        kernel = np.flip(arrays[0], tuple(range(rank))).swapaxes(-1, -2)
        return [kernel, *arrays[1:]]

    return parts.Part(config["name"], chain, convert=convert)


def builder(name, config):
    """The function in `BUILDERS` for a layer, `None` if Keras 3 has it."""
    if name in BUILDERS:
        return BUILDERS[name]
    axis = config.get("axis")
    if name == "BatchNormalization" and isinstance(axis, list) and axis[1:]:
        return _several_axes
    transposed = name.startswith("Conv") and name.endswith("Transpose")
    rates = np.ravel(config.get("dilation_rate", 1))
    return dilated_transpose if transposed and (rates > 1).any() else None


# From the class of an old layer to a function of its config, a `Part`.
BUILDERS = {
    "Highway": _highway,
    "LocallyConnected1D": _local(1),
    "LocallyConnected2D": _local(2),
    "MaxoutDense": _maxout,
    "Merge": _merge,
    "RandomCrop": _crop,
    "RandomHeight": _resizing,
    "RandomWidth": _resizing,
    "ThresholdedReLU": _threshold,
}
