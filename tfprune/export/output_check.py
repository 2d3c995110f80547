"""Whether a quantized file still computes what the model does."""

import keras
import numpy as np
from absl import logging

from tfprune.export import litert
from tfprune.export import model_file
from tfprune.graph import values

_LOOKED_AT = 8
# Shares of the spread of an output. Errors below so many steps are those of
# rounding, however little an output moves.
_TOO_FAR = 0.3
_STEPS = 2


def warn(model, signature, samples, path):
    """Warns of outputs that quantization has made useless.

    The converter gives some ops one scale for all that they take and give,
    where they need several, and clips without a word.

    Args:
        model: the `keras.Model` that was exported.
        signature: its `signature.Signature`.
        samples: list of arrays `(N, ...)`, the calibration samples.
        path: path-like, the quantized file.
    """
    few = [array[:_LOOKED_AT] for array in samples]
    file = model_file.read(path)
    try:
        stored = litert.invoke(file, file.encode(few), "builtin")
    except RuntimeError as error:
        logging.warning("TFLite does not run the file. %s", error)
        return
    wanted = zip(*_predicted(model, signature, few), strict=True)
    for tensor, exact, found in zip(file.outputs, wanted, stored, strict=True):
        exact = np.concatenate(exact)
        error = np.sqrt(np.mean(np.square(tensor.decode(found) - exact)))
        spread = exact.std()
        if error > max(_TOO_FAR * spread, _STEPS * (tensor.scale or 0)):
            logging.warning(
                "Quantized outputs %r are off by %.0f%% of their spread on "
                "calibration samples. tfprune.quantization_error names the "
                "tensors where it begins.",
                tensor.name,
                100 * error / max(spread, 1e-30),
            )


def _predicted(model, signature, columns):
    """The outputs for each sample; a state of the model stays as it is."""
    for row in zip(*columns, strict=True):
        with keras.StatelessScope():
            leaves = signature.pack([value[None] for value in row])
            outputs = model(leaves, training=False)
        yield [values.numpy(y) for y in keras.tree.flatten(outputs)]
