"""Whether a file with sparse weights is worth it, seen by running it."""

import numpy as np
from absl import logging

from tfprune.export.edit import finishing
from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune.export.run import litert

# A share of the dense file's bytes.
_WORTH_IT = 0.95
_COMPARED = 8


def choose(dense, sparse, integers):
    """The better one of two files of the same model.

    Args:
        dense: `pathlib.Path` of the file as it is.
        sparse: `pathlib.Path` of the file with weights in sparse encoding.
        integers: `bool`, whether activations are quantized: then kernels other
            than XNNPACK take several times as long.

    Returns:
        One of the two. The sparse one if it is a twentieth smaller, TFLite
        runs it, with XNNPACK if `integers`, and gives the same outputs, up to
        a step where they are quantized.
    """
    sparse.write_bytes(finishing.finished(sparse.read_bytes()))
    before, after = map(model_file.read, (dense, sparse))
    if after.file_bytes > _WORTH_IT * before.file_bytes:
        return _kept(dense, "it would hardly be smaller")
    x = interpreter.random_inputs(before, _COMPARED)
    try:
        got = interpreter.outputs(after, x)
    except RuntimeError as error:
        return _kept(dense, f"TFLite does not run it ({error})")
    if integers and litert.kernels(sparse) != litert.kernels(dense):
        return _kept(dense, "XNNPACK does not run it, and others take longer")
    wanted = interpreter.outputs(before, x)
    if not all(map(_same, wanted, got)):
        return _kept(dense, "TFLite gives other outputs for it")
    slow, fast = litert.times([sparse, dense]).min(0)
    logging.info(
        "Weights are stored sparsely: %d bytes instead of %d, an inference "
        "takes %.2f times as long.",
        after.file_bytes,
        before.file_bytes,
        slow / fast,
    )
    return sparse


def _kept(dense, why):
    logging.warning("Weights are not stored sparsely: %s.", why)
    return dense


def _same(wanted, got):
    if wanted.dtype.kind == "f":
        scale = np.abs(wanted).max()
        return np.allclose(wanted, got, rtol=1e-4, atol=1e-5 * scale)
    return np.abs(wanted.astype(int) - got.astype(int)).max() <= 1
