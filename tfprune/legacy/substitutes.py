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
            if rank == 1:
                x = keras.ops.expand_dims(x, 2)
            y = keras.ops.image.extract_patches(
                x,
                (*size, 1)[:2],
                strides=(*strides, 1)[:2],
                padding=config.get("padding", "valid"),
                data_format="channels_last",
            )
            places = y.shape[1:-1]
            y = keras.ops.reshape(
                y, (-1, int(np.prod(places)), y.shape[-1])
            )
            if not own:
                seen.append((tuple(x.shape[1 : 1 + rank]), x.shape[-1]))
                own.append(
                    LAYERS.EinsumDense(
                        "bpk,pkf->bpf",
                        (int(np.prod(places)), filters),
                        bias_axes="pf" if biased else None,
                        **_base(config),
                    )
                )
            y = function(own[0](y))
            y = keras.ops.reshape(y, (-1, *places[:rank], filters))
            return keras.ops.moveaxis(y, -1, 1) if forward else y

        def convert(arrays):
            (inputs, channels), (places, _, _) = seen[0], own[0].kernel.shape
            mode = config.get("implementation", 1) or 1
            kernel = arrays[0]
            if rank == 1 and kernel.ndim == 4:
                kernel = kernel[:, 0]
            if mode > 1:
                kernel = _dense_kernel(
                    kernel, (inputs, channels), size, strides, same, filters,
                    forward, mode,
                )
            elif forward:
                kernel = kernel.reshape(places, channels, -1, filters)
                kernel = kernel.swapaxes(1, 2).reshape(places, -1, filters)
            bias = [_bias(a, places, filters, forward) for a in arrays[1:]]
            return [kernel, *bias]

        return parts.Part(config["name"], own, convert=convert, call=call)

    return build


def _bias(bias, places, filters, forward):
    # Keras 2 adds it to outputs with channels at the end in both formats.
    if forward and bias.shape[0] == filters and bias.shape[-1] != filters:
        bias = np.moveaxis(bias, 0, -1)
    return bias.reshape(places, filters)


def _dense_kernel(kernel, shape, size, strides, same, filters, forward, mode):
    """The kernels at all places, out of one from all inputs to all outputs."""
    inputs, channels = shape
    outputs = [
        -(-n // s) if same else (n - k) // s + 1
        for n, k, s in zip(inputs, size, strides, strict=True)
    ]
    index = np.full((*outputs, *size, channels, filters), -1)
    rank = len(inputs)
    pads = [
        max((o - 1) * s + k - n, 0) // 2 if same else 0
        for n, k, s, o in zip(inputs, size, strides, outputs, strict=True)
    ]
    if forward:
        axes = (channels, *inputs, filters, *outputs)
    else:
        axes = (*inputs, channels, *outputs, filters)
    order = []
    for out in np.ndindex(*outputs):
        for tap in np.ndindex(*size):
            at = tuple(
                o * s + t - p
                for o, s, t, p in zip(out, strides, tap, pads, strict=True)
            )
            if any(not 0 <= a < n for a, n in zip(at, inputs, strict=True)):
                continue
            for c in range(channels):
                for f in range(filters):
                    place = (
                        (c, *at, f, *out) if forward else (*at, c, *out, f)
                    )
                    flat = np.ravel_multi_index(place, axes)
                    index[(*out, *tap, c, f)] = flat
                    order.append(flat)
    values = kernel.ravel()
    if mode == 3:
        # One value for each pair that is joined, in the order of the pairs.
        spots = {flat: i for i, flat in enumerate(sorted(order))}
        index = np.vectorize(lambda flat: spots.get(flat, -1))(index)
    found = np.where(index < 0, 0, values[index])
    places = int(np.prod(outputs))
    return found.reshape(places, -1, filters) if rank else found


def _pair(value, rank):
    return [value] * rank if isinstance(value, int) else list(value)


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


# From the class of an old layer to a function of its config, a `Part`.
BUILDERS = {
    "Highway": _highway,
    "LocallyConnected1D": _local(1),
    "LocallyConnected2D": _local(2),
    "MaxoutDense": _maxout,
    "Merge": _merge,
    "ThresholdedReLU": _threshold,
}
