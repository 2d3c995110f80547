"""Chooses between dense and sparse weights by running both files."""

import numpy as np
from absl import logging

from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune.export.run import litert

# The largest size of a sparse file that is worth it, relative to the dense one.
_WORTH_IT = 0.95
_COMPARED = 8
# By what share of the largest output float ones may be off, and if a step less
# or more in a tensor before is no error.
_EXACT, _ROUNDED = 1e-5, 1 / 64


def choose(dense, sparse, integers):
    """The better of two files of the same model.

    Args:
        dense: `pathlib.Path` of the file with dense weights.
        sparse: `pathlib.Path` of the file with weights in sparse encoding.
        integers: `bool`, whether activations are quantized. Kernels other than
            XNNPACK are then several times slower.

    Returns:
        `sparse` if it is at least 5 % smaller, TFLite runs it (with XNNPACK if
        `integers`), and its outputs are the same, up to one step where they
        are quantized, and to what comes of such steps behind; else `dense`.
    """
    before, after = map(model_file.read, (dense, sparse))
    if after.file_bytes > _WORTH_IT * before.file_bytes:
        return _kept(dense, "the file would hardly be smaller")
    x = interpreter.random_inputs(before, _COMPARED)
    try:
        got = interpreter.outputs(after, x)
    except RuntimeError as error:
        return _kept(dense, f"TFLite does not run the file ({error})")
    if integers and litert.kernels(sparse) != litert.kernels(dense):
        return _kept(dense, "XNNPACK does not run the file, others are slower")
    wanted = interpreter.outputs(before, x)
    slack = _ROUNDED if integers else _EXACT
    if not all(_same(*pair, slack) for pair in zip(wanted, got, strict=True)):
        return _kept(dense, "the outputs on TFLite would differ")
    slow, fast = litert.times([sparse, dense]).min(0)
    logging.info(
        "Weights are stored sparsely: %d bytes instead of %d, and an inference "
        "takes %.2f times as long.",
        after.file_bytes,
        before.file_bytes,
        slow / fast,
    )
    return sparse


def _kept(dense, why):
    logging.warning("Weights are not stored sparsely: %s.", why)
    return dense


def _same(wanted, got, slack):
    if wanted.dtype.kind == "f":
        scale = np.abs(wanted).max()
        return np.allclose(wanted, got, rtol=1e-4, atol=slack * scale)
    return np.abs(wanted.astype(int) - got.astype(int)).max() <= 1
