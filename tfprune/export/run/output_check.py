"""Whether a quantized file still computes what the model does."""

import numpy as np
from absl import logging

from tfprune.core import child
from tfprune.export.file import model_file
from tfprune.export.run import litert_runner
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
        path: `pathlib.Path` of the quantized file; others are written beside.
    """
    few = [array[:_LOOKED_AT] for array in samples]
    file = model_file.read(path)
    inputs = [path.with_name(f"in_{i}.npy") for i in range(len(few))]
    outputs = [path.with_name(f"out_{i}.npy") for i in range(len(file.outputs))]
    for place, column in zip(inputs, file.encode(few), strict=True):
        np.save(place, column)
    with child.Child(litert_runner.__file__) as process:
        answer = process.ask(
            {
                "path": str(path),
                "inputs": [str(place) for place in inputs],
                "outputs": [str(place) for place in outputs],
            }
        )
    if answer.error:
        logging.warning(
            "TFLite does not run the quantized file (%s).", answer.error
        )
        return
    stored = [np.load(place) for place in outputs]
    wanted = zip(*_predicted(model, signature, few), strict=True)
    for tensor, exact, found in zip(file.outputs, wanted, stored, strict=True):
        exact = np.concatenate(exact)
        error = np.sqrt(np.mean(np.square(tensor.decode(found) - exact)))
        spread = exact.std()
        if error > max(_TOO_FAR * spread, _STEPS * (tensor.scale or 0)):
            logging.warning(
                "Quantized outputs %r are off by %.2g on calibration samples, "
                "on which their spread is %.2g. tfprune.quantization_error "
                "names the tensors where it begins.",
                tensor.name,
                error,
                spread,
            )


def _predicted(model, signature, columns):
    """The outputs for each sample; a state of the model stays as it is."""
    for row in zip(*columns, strict=True):
        outputs = signature.call(model, [value[None] for value in row])
        yield [values.numpy(y) for y in outputs]
