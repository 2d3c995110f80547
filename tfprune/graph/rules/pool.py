"""Pooling, padding, cropping, upsampling and reductions."""

from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib

REDUCTIONS = (
    "Var Std Prod Any All Logsumexp Argmax Argmin CountNonzero Median Norm"
).split()


def reduce(call, axes, keepdims):
    """Labels after a reduction over `axes`; channels along them are frozen."""
    labels = call.x.labels
    axes = tuple(sorted(axis % call.x.rank for axis in axes))
    if set(axes) & set(call.x.varying):
        return call.freeze_all("a reduction mixes channels")[0]
    if 0 in axes:
        return call.freeze_all("a reduction over the batch")[0]
    return labels if keepdims else labels.squeeze(axes)


def _ranks(name):
    return [f"{name}{rank}D" for rank in (1, 2, 3)]


@rulebook.rule(*_ranks("MaxPooling"), file_ops="MAX_POOL_2D")
@rulebook.rule(*_ranks("AveragePooling"), file_ops="AVERAGE_POOL_2D")
@rulebook.rule(*_ranks("ZeroPadding"), file_ops="PAD")
@rulebook.rule(*_ranks("Cropping"), "CenterCrop", file_ops="STRIDED_SLICE")
@rulebook.rule(*_ranks("UpSampling"), file_ops="BROADCAST_TO")
@rulebook.rule("Resizing", "ops.Resize", file_ops="RESIZE_BILINEAR")
@rulebook.rule(*_ranks("AdaptiveMaxPooling"))
@rulebook.rule(*_ranks("AdaptiveAveragePooling"))
def local(call):
    axis = call.channel_axis()
    if call.config.get("interpolation") == "bilinear":
        call.file_ops = ("RESIZE_BILINEAR",)
    if set(call.x.varying) - {axis}:
        return call.freeze_all("channels along an axis that is resized")[0]
    return call.x.labels


@rulebook.rule(*_ranks("GlobalAveragePooling"), file_ops="MEAN")
@rulebook.rule(*_ranks("GlobalMaxPooling"), file_ops="REDUCE_MAX")
def global_pooling(call):
    axis = call.channel_axis()
    axes = [a for a in range(1, call.x.rank) if a != axis]
    return reduce(call, axes, call.config["keepdims"])


@rulebook.rule("ops.Mean", file_ops="MEAN")
@rulebook.rule("ops.Sum", file_ops="SUM")
@rulebook.rule("ops.Max", "ops.Amax", file_ops="REDUCE_MAX")
@rulebook.rule("ops.Min", "ops.Amin", file_ops="REDUCE_MIN")
@rulebook.rule(*(f"ops.{name}" for name in REDUCTIONS))
def reduction(call):
    axes = call.argument(1, "axis")
    if axes is None:
        axes = range(call.x.rank)
    axes = (axes,) if isinstance(axes, int) else axes
    return reduce(call, axes, call.argument(2, "keepdims", False))


@rulebook.rule("ops.MaxPool", file_ops="MAX_POOL_2D")
@rulebook.rule("ops.AveragePool", file_ops="AVERAGE_POOL_2D")
@rulebook.rule("ops.AdaptiveMaxPool", "ops.AdaptiveAveragePool")
def pool_op(call):
    return local(call)


@rulebook.rule("RepeatVector")
def repeat_vector(call):
    return tensor_lib.on_axis(call.channels(-1), 3, 2)
