"""Quantizes float files to int8 and int4, by ai-edge-quantizer."""

import re
import warnings

import numpy as np

from tfprune.core import packages
from tfprune.export.file import weight_ops
from tfprune.export.run import litert

EXTRA = "quantizer"
INT4_OPS = ("CONV_2D", "FULLY_CONNECTED")


def require():
    """Raises `ImportError` unless the quantizer is installed."""
    packages.require("ai_edge_quantizer", EXTRA)


def ranges(path, samples):
    """The range of each tensor on samples, in the quantizer's format.

    Args:
        path: `pathlib.Path` of a float file.
        samples: list of arrays `(N, ...)`, one for each input.

    Returns:
        `dict` from the name of a tensor to a `dict` with `min` and `max`,
        arrays of the tensor's rank and of size 1.
    """
    types = weight_ops.computed_tensors(path.read_bytes())
    names = {name for name, kind in types.items() if kind == "float32"}
    found = {}
    for tensors in litert.intermediate(path, samples, "builtin"):
        for name in names & tensors.keys():
            values, *_ = tensors[name]
            low, high = values.min(), values.max()
            if name in found:
                low = min(low, found[name]["min"].item())
                high = max(high, found[name]["max"].item())
            shape = (1,) * values.ndim
            found[name] = {
                "min": np.full(shape, low, "float32"),
                "max": np.full(shape, high, "float32"),
            }
    return found


def largest(ranges):
    """`dict` from the names of tensors to their largest size."""
    return {
        name: max(float(np.abs(end).max()) for end in found.values())
        for name, found in ranges.items()
    }


def quantized(path, ops, bits, ranges):
    """The file in int8, except for ops that ask for other bits.

    Args:
        path: path-like, a float file.
        ops: list of `weight_ops.WeightOp`, those of the file.
        bits: `dict` from the output of an op to the bits of its weights: up
            to 4 become int4, up to 8 int8, more stay float; `None` means int8.
        ranges: the result of `ranges`.

    Returns:
        `bytes` of the quantized file.
    """
    library = packages.load("ai_edge_quantizer.quantizer", EXTRA)
    types = packages.load("ai_edge_quantizer.qtyping", EXTRA)
    managers = packages.load("ai_edge_quantizer.algorithm_manager", EXTRA)
    kinds = types.TFLOperationName
    quantizer = library.Quantizer(str(path))
    quantizer.add_static_config(".*", kinds.ALL_SUPPORTED, 8, 8)
    for op in ops:
        count = bits.get(op.output)
        only = f"^{re.escape(op.output)};"
        if count is None:
            continue
        if count > 8:
            quantizer.update_quantization_recipe(
                only,
                kinds(op.op),
                algorithm_key=managers.AlgorithmName.NO_QUANTIZE,
            )
        elif count <= 4 and op.op in INT4_OPS:
            quantizer.add_static_config(only, kinds(op.op), 8, 4)
    with warnings.catch_warnings():
        # The quantizer itself starts an interpreter that warns about this.
        warnings.filterwarnings("ignore", ".*preserve_all_tensors", UserWarning)
        result = quantizer.quantize(
            ranges, enable_progress_bar=False, enable_progress_report=False
        )
    return bytes(result.quantized_model)
