"""Quantization error by tensor: an int8 file compared with a float file."""

import collections
import dataclasses
import math

import numpy as np

from tfprune.core import printed
from tfprune.core import tables
from tfprune.core import typed
from tfprune.datasets import samples
from tfprune.export.file import model_file
from tfprune.export.file import tensor_names
from tfprune.export.run import litert

_TWO_FILES = "Two files of one model are required."


@dataclasses.dataclass(frozen=True)
class TensorError:
    """The quantization error of one tensor.

    Attributes:
        name: `str`, the layers and ops that compute it.
        sqnr: float, signal-to-quantization-noise ratio in dB; infinite if
            there is no difference, NaN if values are not finite.
        error: float, root mean squared difference, relative to the root mean
            square of the float values.
        clipped: float in [0, 1], fraction of the float values beyond the
            integer range, which calibration chose too narrow for them.
    """

    name: str
    sqnr: float
    error: float
    clipped: float


@dataclasses.dataclass(frozen=True)
class QuantizationError(printed.Printed):
    """The errors of all tensors of a file, in the order of execution.

    Attributes:
        tensors: tuple of `TensorError`.
    """

    tensors: tuple

    def worst(self, count=5):
        """Returns the tensors with the lowest SQNR, worst first; NaN last."""
        ranked = sorted(self.tensors, key=lambda t: (t.sqnr != t.sqnr, t.sqnr))
        return printed.Records(ranked[:count])

    def tables(self):
        """A list of one `tables.Table`."""
        return [self.table()]

    def table(self):
        """A `tables.Table` of all tensors."""
        header = ("tensor", "SQNR, dB", "relative error", "clipped")
        cells = (
            (t.name, f"{t.sqnr:.1f}", f"{t.error:.2%}", f"{t.clipped:.2%}")
            for t in self.tensors
        )
        return tables.Table(header, tuple(cells), left=1)

    def __str__(self):
        worst = ", ".join(f"{t.name} ({t.sqnr:.1f} dB)" for t in self.worst(3))
        return f"{self.table().to_text()}\nWorst: {worst}.\n"


def quantization_error(
    path: typed.Path, float_path: typed.Path, data: typed.Data, limit: int = 32
) -> QuantizationError:
    """Measures the quantization error of each tensor of a model.

    Both files run on TFLite's reference kernels, sample by sample, or on its
    built-in ones where the reference lacks an op or computes it wrongly. Errors
    accumulate over layers: look for the tensor where the error jumps.

    Args:
        path: `str` or path-like, the quantized file from `export_tflite`.
        float_path: the same model, exported without quantization.
        data: inputs, as for `evaluate_tflite`; labels are ignored.
        limit: `int`, maximum number of samples to use.

    Returns:
        A `QuantizationError`.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        ValueError: If the files are not of one model, or swapped, or the data
            do not fit.

    Example:

    >>> errors = tfprune.quantization_error(
    ...     "small.tflite", "float.tflite", images)
    >>> print(errors)
    """
    received = f"path={str(path)!r} and float_path={str(float_path)!r}"
    ends = [
        [[t.shape for t in tensors] for tensors in (file.inputs, file.outputs)]
        for file in (model_file.read(path), model_file.read(float_path))
    ]
    if ends[0] != ends[1]:
        raise ValueError(
            f"{_TWO_FILES} Received: {received}, whose inputs and outputs have "
            f"shapes {ends[0]} and {ends[1]}."
        )
    signal: dict[str, float] = collections.defaultdict(float)
    noise: dict[str, float] = collections.defaultdict(float)
    clipped = collections.defaultdict(list)
    for x, _ in samples.batches(data, "quantization errors", 32, limit):
        pairs = zip(
            litert.intermediate(path, x),
            litert.intermediate(float_path, x),
            strict=True,
        )
        for found, exact in pairs:
            if not signal:
                _check(found, exact, received)
            for name, (values, low, high) in found.items():
                if name in exact and exact[name][0].shape == values.shape:
                    wanted = exact[name][0]
                    signal[name] += float(np.square(wanted).sum())
                    noise[name] += float(np.square(values - wanted).sum())
                    beyond = (wanted < low) | (wanted > high)
                    clipped[name].append(np.mean(beyond))
    if not signal:
        raise ValueError(
            f"{_TWO_FILES} Received: {received}, which have no tensor in "
            "common."
        )
    return QuantizationError(
        tuple(
            TensorError(
                _short(name),
                _decibels(signal[name], noise[name]),
                math.sqrt(noise[name] / max(signal[name], 1e-30)),
                float(np.mean(clipped[name])),
            )
            for name in signal
        )
    )


def _check(found, exact, received):
    """Raises a `ValueError` for tensors that are not those of one model."""
    for name in found:
        if name in exact and exact[name][0].size != found[name][0].size:
            shapes = [each[name][0].shape for each in (found, exact)]
            raise ValueError(
                f"{_TWO_FILES} Received: {received}, in which {_short(name)} "
                f"has shapes {shapes[0]} and {shapes[1]}."
            )
    quantized, swapped = (
        any(np.isfinite(low) for _, low, _ in each.values())
        for each in (found, exact)
    )
    if swapped and not quantized:
        raise ValueError(
            "The quantized file must come first. Received: "
            f"{received}, of which only the second is quantized. Swap them."
        )


def _decibels(signal, noise):
    if not noise:
        return math.inf
    return 10 * math.log10(max(signal, 1e-30) / noise)


def _short(name):
    """Layers, and the op unless several are fused."""
    if ";" in name:
        return tensor_names.layers(name)
    path = name.split("/")
    return "/".join(path[1:] if len(path) > 2 else path)
