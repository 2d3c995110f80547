"""Reductions: ops that make one element of all along some axes."""

import numpy as np

from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib
from tfprune.graph.lowering import file_op
from tfprune.graph.rules import norm

# Those whose ops in a file are not known.
_OTHERS = "Prod CountNonzero Median Ptp Nanmedian Nanprod Nanstd Nanvar".split()

# Of channels that are alike, fewer give the same.
_SAME_OF_FEWER = ("Any", "All", "Max", "Amax", "Min", "Amin")


def reduce(call, axes, keepdims):
    """Labels after a reduction over `axes`; channels along them are frozen."""
    labels = call.x.labels
    axes = tuple(sorted(axis % call.x.rank for axis in axes))
    over = set(axes) & set(call.x.varying)
    if call.x.alike and call.class_name in _SAME_OF_FEWER and 0 not in axes:
        if over and over == set(call.x.varying):
            return _alike(call)
    if over:
        return call.freeze_all("a reduction mixes channels")[0]
    if 0 in axes:
        return call.freeze_all("a reduction over the batch")[0]
    return labels if keepdims else labels.squeeze(axes)


def _alike(call):
    """One label for what any number of channels that are alike give."""
    labels = call.fresh(1, "alike").reshape((1,) * len(call.output_shapes[0]))
    call.freeze(labels, "the value of channels that are alike")
    return labels


@rulebook.rule("ops.Mean", file_ops="MEAN")
@rulebook.rule("ops.Sum", file_ops="SUM")
@rulebook.rule("ops.Max", "ops.Amax", file_ops="REDUCE_MAX")
@rulebook.rule("ops.Min", "ops.Amin", file_ops="REDUCE_MIN")
@rulebook.rule(*(f"ops.{name}" for name in _OTHERS))
def pooling_op(call):
    call.moves = True
    return reduction(call)


@rulebook.rule("ops.Argmax", file_ops="ARG_MAX")
@rulebook.rule("ops.Argmin", file_ops="ARG_MIN")
@rulebook.rule("ops.All", "ops.Any", "ops.Nanargmax", "ops.Nanargmin")
def reduction(call):
    return reduce(call, _axes(call), call.argument(2, "keepdims", False))


def _axes(call):
    axes = call.config.get("axes", call.argument(1, "axis"))
    if axes is None:
        axes = range(call.x.rank)
    return (axes,) if isinstance(axes, int) else axes


@rulebook.rule("ops.Logsumexp")
def logsumexp(call):
    """A sum of differences from the largest, which is left out if infinite."""
    labels, file = pooling_op(call), call.file
    largest = norm.over(call.x, _axes(call))
    largest = file.op("REDUCE_MAX", call.x, made=largest)
    largest = file.look_up(largest)
    apart = file.op("SUB", call.x, largest)
    made = call.made(labels)
    total = file.op("SUM", file.look_up(apart), made=file_op.like(made))
    file.op("ADD", file.look_up(total), largest, made=made)
    return labels


@rulebook.rule("ops.Norm")
def length(call):
    labels, file = pooling_op(call), call.file
    if call.config["ord"] in (None, 2):
        made = file_op.like(call.made(labels))
        squares = file.op("MUL", call.x, call.x)
        file.look_up(file.op("SUM", squares, made=made))
    return labels


@rulebook.rule("ops.Nansum")
def sum_of_numbers(call):
    labels = pooling_op(call)
    call.file.op("SUM", call.file.look_up(call.x), made=call.made(labels))
    return labels


@rulebook.rule("ops.Nanmean")
def mean_of_numbers(call):
    """A sum and a count of what is a number, and their quotient."""
    labels, file = pooling_op(call), call.file
    made = call.made(labels)
    is_nan = _is_nan(call)
    total = file.op("SUM", file.look_up(call.x), made=file_op.like(made))
    counted = file.op(
        "LOGICAL_NOT", is_nan, made=file_op.like(is_nan, dtype="bool")
    )
    count = file.op("SUM", file.as_int8(counted), made=file_op.like(made))
    file.divide(total, count, made)
    return labels


@rulebook.rule("ops.Nanmax", "ops.Nanmin")
def extreme_number(call):
    """NaN where all along the axes are; else the largest of the others."""
    labels, file = pooling_op(call), call.file
    made = call.made(labels)
    kind = f"REDUCE_{call.class_name[3:].upper()}"
    is_nan = _is_nan(call)
    found = file.op(kind, file.look_up(call.x), made=file_op.like(made))
    counted = file_op.like(is_nan, dtype="float32")
    counted = file.op("CAST", is_nan, made=counted)
    least = file_op.like(made, dtype="float32")
    least = file.op("REDUCE_MIN", counted, made=least)
    none = file.op("NOT_EQUAL", least, made=file_op.like(made, dtype="bool"))
    file.op("SELECT_V2", none, found, made=made)
    return labels


def _is_nan(call):
    """Adds the comparison of floats with themselves."""
    made = file_op.like(call.x, dtype="bool")
    return call.file.op("NOT_EQUAL", call.file.as_float(call.x), made=made)


@rulebook.rule("ops.Trapezoid")
def trapezoid(call):
    """A sum of the means of each two that follow each other."""
    labels, file, x = pooling_op(call), call.file, call.x
    if call.config["axis"] not in (-1, x.rank - 1):
        x = file.op("TRANSPOSE", x)
    pair = [file.op("STRIDED_SLICE", x) for _ in range(2)]
    means = file.op("MUL", file.op("ADD", *pair))
    file.op("SUM", means, made=call.made(labels))
    return labels


@rulebook.rule("ops.Var", "ops.Std")
def deviation(call):
    labels, file = pooling_op(call), call.file
    mean = file.op("MEAN", call.x, made=norm.over(call.x, _axes(call)))
    norm.variance(file, call.x, mean, call.made(labels))
    if call.class_name == "Std":
        file.look_up(file.ops[-1].output)
    return labels


@rulebook.rule("ops.Quantile", "ops.Percentile")
@rulebook.rule("ops.Nanquantile", "ops.Nanpercentile")
def quantile(call):
    rank = call.x.rank
    if not call.config["keepdims"]:
        rank -= len(_axes(call))
    if len(call.output_shapes[0]) > rank:  # One for each of several shares.
        return call.freeze_all("quantiles along a first axis of their own")[0]
    return pooling_op(call)


@rulebook.rule("ops.Trace", "ops.Diagonal")
def diagonal(call):
    axes = [call.config[key] for key in ("axis1", "axis2")]
    labels = reduce(call, axes, False)
    if call.class_name == "Trace":
        mask = file_op.Made(tuple(call.x.shape[a] or 1 for a in axes), "bool")
        x = call.file.op("TRANSPOSE", call.x)
        x = call.file.op("SELECT_V2", x, stored=(mask,))
        call.file.op("SUM", x, made=call.made(labels))
    if call.class_name == "Diagonal" and labels.ndim < call.x.rank - 1:
        call.moves, labels = True, labels[..., None]
    return labels


@rulebook.rule("ops.Moments")
def moments(call):
    """Mean and variance; both have the channels of the input."""
    labels, file = reduction(call), call.file
    made = file_op.like(call.made(labels))
    if len(call.output_shapes) == 1:  # Nothing uses the variance.
        file.op("MEAN", call.x, made=made)
        return labels
    mean = file.op("MEAN", call.x, made=norm.over(call.x, _axes(call)))
    if not call.config["keepdims"]:
        file.op("RESHAPE", mean, made=made)
    spread = norm.variance(file, call.x, mean, file_op.like(mean))
    file.op("RESHAPE", spread, made=made)
    return [labels, labels]


@rulebook.rule("ops.Average")
def average(call):
    """A mean; its weights go along one axis, or each element has its own."""
    weights = call.argument(1, "weights")
    array = getattr(weights, "value", weights)
    is_tensor = isinstance(weights, tensor_lib.Tensor)
    if call.x is weights or (not is_tensor and np.ndim(array) > 1):
        return call.freeze_all("an average with an array of a whole batch")[0]
    if is_tensor and weights.rank != call.x.rank:
        return call.freeze_all("an average with a weight for each sample")[0]
    if is_tensor:
        call.join(call.x.labels, weights.labels)
    if weights is None:
        call.moves = True
    labels = reduction(call)
    _average_ops(call, weights, call.made(labels))
    return labels


def _average_ops(call, weights, made):
    """Adds the ops of an average with weights, or with `None`."""
    file = call.file
    if weights is None:
        file.op("MEAN", call.x, made=made)
    elif isinstance(weights, tensor_lib.Tensor):
        total = file.op("SUM", weights, made=file_op.like(made))
        whole = file.op("SUM", file.op("MUL", call.x, weights), made=total)
        file.divide(whole, total, made)
    else:
        file.chain(("TRANSPOSE", "RESHAPE"), call.x)
        work = ((call.x.other_size, call.x.axes),)
        file.op(file_op.DENSE, file.ops[-1].output, made=made, work=work)
        file.op("RESHAPE", made)
