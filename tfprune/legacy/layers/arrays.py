"""Converts weights of old layers to the shapes and order of Keras 3."""

import numpy as np

_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "ConvLSTM2D")
# Gates of Keras 1 were i, c, f, o, each with three arrays.
_LSTM = (0, 2, 1, 3)
_GRU = (0, 1, 2)


def converter(name, config, version, backend):
    """Returns a function that converts a layer's arrays to Keras 3.

    Args:
        name: `str`, class name of the layer in Keras 2.
        config: `dict`, its config in Keras 2.
        version: `str`, the version of Keras that wrote the file.
        backend: `str`, its backend.

    Returns:
        A function from a list of arrays to a list of arrays.
    """
    first = version.startswith("1")
    forward = config.get("data_format") == "channels_first"

    def convert(arrays):
        arrays = list(arrays)
        if not arrays:
            return arrays
        if first and len(arrays) > 3:
            arrays = _gates(name, arrays, forward)
        if first:
            arrays = _kernels_of_keras_1(name, config, arrays, forward)
        if backend == "theano" and name in _CONVOLUTIONS:
            turned = 2 if name == "ConvLSTM2D" else 1
            arrays[:turned] = [_turned(a) for a in arrays[:turned]]
        if name in ("LSTM", "CuDNNLSTM"):
            arrays = _cudnn_lstm(arrays)
        if name in ("GRU", "CuDNNGRU"):
            arrays = _cudnn_gru(arrays)
        if name == "BatchNormalization" and config.get("renorm"):
            kept = bool(config["center"]) + bool(config["scale"]) + 2
            arrays = arrays[:kept]
        if name == "BatchNormalization":
            # Virtual batches added axes.
            arrays = [a.ravel() for a in arrays]
        axis = config.get("axis")
        if name == "LayerNormalization" and isinstance(axis, list):
            # Keras 3 sorts the axes; Keras 2 took the numbers as they lie.
            order = np.argsort(axis)
            arrays = [a.reshape([a.shape[i] for i in order]) for a in arrays]
        return arrays

    return convert


def turns(name, backend):
    """Whether to flip kernels: Theano convolves, others correlate."""
    return backend == "theano" and name in _CONVOLUTIONS


def counts(name, config, version):
    """`(trainable, others)` arrays of a file, if Keras 3 has other counts."""
    if name == "BatchNormalization" and config.get("renorm"):
        return bool(config["center"]) + bool(config["scale"]), 5
    if name == "Bidirectional":
        inner = config["layer"]
        each = counts(inner["class_name"], inner["config"], version)
        return each and (2 * each[0], 2 * each[1])
    if version.startswith("1") and config.get("consume_less") != "gpu":
        gates = {"LSTM": 4, "ConvLSTM2D": 4, "GRU": 3}.get(name)
        return (3 * gates, 0) if gates else None
    return None


def bidirectional(inner):
    """`convert` of a Bidirectional layer around a layer."""

    def convert(arrays):
        half = len(arrays) // 2
        return [*inner(arrays[:half]), *inner(arrays[half:])]

    return convert


def _turned(kernel):
    """A kernel with its spatial axes flipped."""
    spatial = tuple(range(kernel.ndim - 2))
    return np.flip(kernel, spatial)


def _gates(name, arrays, forward):
    order = {"LSTM": _LSTM, "ConvLSTM2D": _LSTM, "GRU": _GRU}.get(name)
    if order is None or len(arrays) != 3 * len(order):
        return arrays
    axis = 0 if forward and name == "ConvLSTM2D" else -1
    return [
        np.concatenate([arrays[3 * gate + i] for gate in order], a)
        for i, a in ((0, axis), (1, axis), (2, -1))
    ]


def _kernels_of_keras_1(name, config, arrays, forward):
    kernel, *rest = arrays
    if name == "Conv1D" and kernel.ndim == 4:
        size = np.ravel(config["kernel_size"])[0]
        if kernel.shape[:2] != (size, 1):
            kernel = kernel.transpose(2, 3, 1, 0)
        kernel = kernel[:, 0]
    elif name == "Conv2D" and forward:
        kernel = kernel.transpose(2, 3, 1, 0)
    elif name == "Conv3D" and forward:
        kernel = kernel.transpose(2, 3, 4, 1, 0)
    elif name == "Conv2DTranspose":
        kernel = kernel.transpose((2, 3, 0, 1) if forward else (0, 1, 3, 2))
    elif name == "ConvLSTM2D" and forward:
        kernel = kernel.transpose(2, 3, 1, 0)
        rest[0] = rest[0].transpose(2, 3, 1, 0)
    return [kernel, *rest]


def _cudnn_lstm(arrays):
    units = arrays[1].shape[0] if len(arrays) == 3 else 0
    if not units or arrays[2].shape != (8 * units,):
        return arrays
    return [*_cudnn_kernels(arrays, 4), arrays[2].reshape(2, -1).sum(0)]


def _cudnn_gru(arrays):
    units = arrays[1].shape[0] if len(arrays) == 3 else 0
    if not units or arrays[2].shape != (6 * units,):
        return arrays
    return [*_cudnn_kernels(arrays, 3), arrays[2].reshape(2, -1)]


def _cudnn_kernels(arrays, gates):
    """Undoes cuDNN's transposed kernels per gate."""
    kernels = [
        k.T.reshape(k.shape, order="F") for k in np.split(arrays[0], gates, 1)
    ]
    recurrent = [k.T for k in np.split(arrays[1], gates, 1)]
    return np.concatenate(kernels, 1), np.concatenate(recurrent, 1)
