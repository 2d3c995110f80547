"""The accuracy of .tflite files on the runtimes that run them."""

import math
from collections.abc import Callable

import numpy as np

from tfprune.core import progress_bar
from tfprune.core import typed
from tfprune.datasets import samples
from tfprune.export.run import interpreter
from tfprune.reports import evaluation


def evaluate_tflite(
    path: typed.Path,
    data: typed.Data,
    runtime: str = "tflite",
    metric: Callable | None = None,
    limit: int | None = None,
    batch_size: int = 256,
    progress: bool = True,
) -> float:
    """What a .tflite file is worth, measured where it runs.

    Args:
        path: `str` or path-like, a file of `export_tflite` or any other with
            a batch of 1.
        data: `(x, y)` arrays or what gives batches of them, a
            `tf.data.Dataset` for example; see `tfprune.datasets.batches`. `x`
            holds real values: they are quantized here if the file wants that.
        runtime: "tflite" or "litert", the interpreter of phones and
            computers; "micro", the one of microcontrollers; "reference",
            TFLite with its plain kernels.
        metric: function `(y, outputs) -> array`, a number for each sample,
            of which the mean is taken; outputs are real values. `None` takes
            the accuracy: whether the highest score is at the right class.
        limit: `int`, samples that are looked at; all if `None`.
        batch_size: `int`, samples that are run in one go.
        progress: `bool`, whether a bar is shown on a terminal.

    Returns:
        Float, the mean over the samples.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        RuntimeError: If the runtime cannot run the file.
        ValueError: If there are no samples or labels, shapes do not fit, or
            there is no such runtime.

    Example:

    >>> tfprune.evaluate_tflite("small.tflite", (x_test, y_test), "micro")
    """
    total = _length(data, limit)
    found = []
    with progress_bar.bar(progress) as bar:
        task = bar.add_task(f"{path} on {runtime}", total=total)
        for x, y in samples.batches(
            data, "the accuracy of a file", batch_size, limit, labels=True
        ):
            outputs = interpreter.run(path, x, runtime)
            if metric is None:
                values = evaluation.hits(outputs, y, str(path))
            else:
                values = np.asarray(metric(y, outputs), float).reshape(-1)
            found.append(values)
            bar.advance(task, len(y))
    return float(np.concatenate(found).mean())


def _length(data, limit):
    """How many samples there will be, `None` if nobody knows."""
    known = isinstance(data, tuple) and hasattr(data[0], "__len__")
    count = len(data[0]) if known else math.inf
    least = min(count, math.inf if limit is None else limit)
    return None if least == math.inf else least
