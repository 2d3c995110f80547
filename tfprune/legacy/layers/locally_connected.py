"""Locally connected layers, which Keras 3 lacks."""

import keras
import numpy as np

from tfprune.legacy.layers import parts
from tfprune.legacy.layers import settings

LAYERS = keras.layers


def builder(rank):
    """Builds a convolution with a separate kernel at each position."""

    def build(config):
        function = settings.activation(config)
        size = settings.pair(config["kernel_size"], rank)
        strides = settings.pair(config.get("strides", 1), rank)
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
                        **settings.base(config),
                        **settings.regularizers(config),
                    )
                )
            y = keras.ops.reshape(own[0](y), (-1, *outputs, filters))
            return function(keras.ops.moveaxis(y, -1, 1) if forward else y)

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
    """Zero-pads `x`: half of the kernel, rounded down, comes before."""
    pads, ends = [(0, 0)], [slice(None)]
    bounds = zip(x.shape[1:-1], size, strides, outputs, strict=True)
    for n, k, s, o in bounds:
        end = (o - 1) * s + k
        pads.append((k // 2, max(0, end - n - k // 2)))
        ends.append(slice(0, end))
    return keras.ops.pad(x, [*pads, (0, 0)])[tuple(ends)]


def _bias(bias, outputs, filters, forward):
    # With channels_first, Keras 2 stores the same numbers in another shape.
    if forward:
        bias = np.moveaxis(bias.reshape(filters, *outputs), 0, -1)
    return bias.reshape(-1, filters)


def _index(inputs, outputs, size, strides, same, forward):
    """The position of each weight among all pairs of an input and an output."""
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

    A sparse kernel has one value per connected pair, in the order of outputs
    and then inputs; a dense one has all pairs, inputs before outputs.
    """
    index, inputs = found
    joined = index >= 0
    if sparse:
        places = np.searchsorted(np.unique(index[joined]), index)
    else:
        places = index % inputs * (values.size // inputs) + index // inputs
    return np.where(joined, values[np.where(joined, places, 0)], 0)
