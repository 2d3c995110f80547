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
    """Evaluates a .tflite file on the runtime that will run it.

    Args:
        path: `str` or path-like, a file from `export_tflite` or any other
            with a batch size of 1.
        data: `(x, y)` arrays or a source of such batches, for example a
            `tf.data.Dataset`; see `tfprune.datasets.batches`. `x` holds real
            values, which are quantized here if the file needs it.
        runtime: "tflite" or "litert", the interpreter for phones and
            computers; "micro", the one for microcontrollers; "reference",
            TFLite with its reference kernels.
        metric: function `(y, outputs) -> array`, one number per sample, which
            are averaged; outputs are real values. `None` computes the
            accuracy.
        limit: `int`, maximum number of samples to use; `None` uses all.
        batch_size: `int`, samples per batch.
        progress: `bool`, whether to show a progress bar on a terminal.

    Returns:
        Float, the mean over the samples.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        RuntimeError: If the runtime cannot run the file.
        ValueError: If there are no samples or labels, shapes do not match, or
            the runtime is unknown.

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
