"""The accuracy of .tflite files on the runtimes that run them."""

import contextlib
import math
from collections.abc import Callable

import keras
import numpy as np

from tfprune.core import progress_bar
from tfprune.core import typed
from tfprune.datasets import masking
from tfprune.datasets import outputs as outputs_lib
from tfprune.datasets import samples
from tfprune.datasets import tally
from tfprune.export.convert import signature
from tfprune.export.run import interpreter
from tfprune.reports import answers
from tfprune.reports import evaluation

_CURE = (
    "Pass metric=, a function (y, outputs) -> one number per sample, which are "
    "averaged."
)


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
            TFLite with its reference kernels, or with its built-in ones where
            those lack an op or compute it wrongly; a warning says so.
        metric: function `(y, outputs) -> array`, one number per sample, which
            are averaged, or their mean; outputs are real values. `None`
            computes the accuracy of one output: of class indices or one-hot
            rows, or of labels 0 and 1 beside probabilities or, where outputs
            are not all from 0 to 1, logits. Samples count by their weights
            there, if there are any. A file knows no masks of Keras: steps of
            padding count, unless their weight is 0.
        limit: `int`, maximum number of samples to use; `None` uses all.
        batch_size: `int`, samples per batch.
        progress: `bool`, whether to show a progress bar on a terminal.

    Returns:
        Float, the mean over the samples.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        RuntimeError: If the runtime cannot run the file.
        ValueError: If there are no samples or labels, shapes do not match,
            labels are not classes and there is no metric, or the runtime is
            unknown.

    Example:

    >>> tfprune.evaluate_tflite("small.tflite", (x_test, y_test), "micro")
    """
    tally.check_metric(metric)
    found, counted = [], tally.Tally(str(path), may_be_logits=True)
    run = _run(path, data, runtime, limit, batch_size, progress)
    with contextlib.closing(run):  # If an error ends it, so does the bar.
        for _, y, outputs, weights in run:
            if metric is None:
                labels, scores = _single(y, outputs, path)
                (weights,) = keras.tree.flatten(weights)
                counted.add(labels, scores, None, weights)
            else:
                found.append(tally.of_samples(metric(y, outputs), outputs))
    if metric is None:
        return counted.accuracy(_CURE)
    return tally.mean(found)


def qualities(path, model, data, runtime="tflite", progress=True):
    """How good each output of a file is, as `reports.evaluation.qualities`.

    Args:
        path, data, runtime, progress: as for `evaluate_tflite`.
        model: the `keras.Model` that the file was made from, whose losses tell
            logits from probabilities, whose outputs have names, and whose
            masks hide padding.

    Returns:
        `dict` from "accuracy" or "mean absolute error", and the output if
        there are several, to `float`s.
    """
    tallies, known = tally.of_outputs(model), outputs_lib.of(model)
    run = _run(path, data, runtime, None, 256, progress, model)
    is_masked = None
    with contextlib.closing(run):
        for x, y, outputs, weights in run:
            truths = outputs_lib.in_order(y, known)
            weighed = outputs_lib.weights_in_order(weights, known)
            outputs = keras.tree.flatten(outputs)
            answers.check_count(truths, outputs)
            if is_masked is None:
                first = keras.tree.map_structure(lambda a: a[:1], x)
                is_masked = any(m is not None for m in _masks(model, first))
            masks = _masks(model, x) if is_masked else [None] * len(outputs)
            for each, truth, output, mask, weight in zip(
                tallies, truths, outputs, masks, weighed, strict=True
            ):
                if truth is not None:
                    each.add(truth, output, mask, weight)
    return evaluation.named(model, tallies)


def _masks(model, x):
    """The Keras mask of each output, which a file does not give."""
    count = len(keras.tree.flatten(x)[0])
    size = model.inputs[0].shape[0] or count  # It may be fixed.
    rows = []
    for i in range(0, count, size):
        part = keras.tree.map_structure(lambda a, i=i: a[i : i + size], x)
        outputs = outputs_lib.in_order(
            model(part, training=False), outputs_lib.of(model)
        )
        rows.append([masking.as_numpy(output)[1] for output in outputs])
    return [
        None if column[0] is None else np.concatenate(column)
        for column in zip(*rows, strict=True)
    ]


def _run(path, data, runtime, limit, batch_size, progress, model=None):
    """Yields inputs, labels, outputs and weights beneath a progress bar."""
    purpose = "the accuracy of a file"
    samples.check_given(data, purpose, limit)
    total = _length(data, limit)
    with progress_bar.bar(progress) as bar:
        task = bar.add_task(f"{path} on {runtime}", total=total)
        for x, y, weights in samples.batches(
            *(data, purpose, batch_size, limit),
            labels=True,
            weights=True,
        ):
            columns = x if model is None else signature.in_order(model, x)
            yield x, y, interpreter.run(path, columns, runtime), weights
            bar.advance(task, len(keras.tree.flatten(x)[0]))


def _single(y, outputs, path):
    """Labels and outputs of the only output."""
    labels, outputs = map(keras.tree.flatten, (y, outputs))
    if len(labels) != 1 or len(outputs) != 1:
        raise ValueError(
            f"Accuracy needs a single output. Received: {path} with "
            f"{len(outputs)} outputs, and {len(labels)} arrays of labels. "
            f"{_CURE}"
        )
    return labels[0], outputs[0]


def _length(data, limit):
    """How many samples there will be, `None` if nobody knows."""
    inputs = keras.tree.flatten(data[0])[:1] if isinstance(data, tuple) else ()
    count = min(
        (len(a) for a in inputs if hasattr(a, "__len__")), default=math.inf
    )
    least = min(count, math.inf if limit is None else limit)
    return None if least == math.inf else least
