"""Pooling, padding, cropping, upsampling and reductions."""

from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib

REDUCTIONS = (
    "Mean Max Min Sum Amax Amin Var Std Prod Any All Logsumexp Argmax Argmin "
    "CountNonzero Median Norm"
).split()
ADAPTIVE = [
    f"Adaptive{kind}Pooling{rank}D"
    for kind in ("Average", "Max")
    for rank in (1, 2, 3)
]


def reduce(call, axes, keepdims):
    """Labels after a reduction over `axes`; channels along them are frozen."""
    labels = call.x.labels
    axes = tuple(sorted(axis % call.x.rank for axis in axes))
    if set(axes) & set(call.x.varying):
        return call.freeze_all("a reduction mixes channels")[0]
    if 0 in axes:
        return call.freeze_all("a reduction over the batch")[0]
    return labels if keepdims else labels.squeeze(axes)


@rulebook.rule("MaxPooling1D", "MaxPooling2D", "MaxPooling3D")
@rulebook.rule("AveragePooling1D", "AveragePooling2D", "AveragePooling3D")
@rulebook.rule("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
@rulebook.rule("Cropping1D", "Cropping2D", "Cropping3D")
@rulebook.rule("UpSampling1D", "UpSampling2D", "UpSampling3D")
@rulebook.rule("Resizing", "CenterCrop", "ops.Resize", *ADAPTIVE)
def local(call):
    axis = call.channel_axis()
    if set(call.x.varying) - {axis}:
        return call.freeze_all("channels along an axis that is resized")[0]
    return call.x.labels


@rulebook.rule("GlobalAveragePooling1D", "GlobalMaxPooling1D")
@rulebook.rule("GlobalAveragePooling2D", "GlobalMaxPooling2D")
@rulebook.rule("GlobalAveragePooling3D", "GlobalMaxPooling3D")
def global_pooling(call):
    axis = call.channel_axis()
    axes = [a for a in range(1, call.x.rank) if a != axis]
    return reduce(call, axes, call.config["keepdims"])


@rulebook.rule(*(f"ops.{name}" for name in REDUCTIONS))
def reduction(call):
    axes = call.argument(1, "axis")
    if axes is None:
        axes = range(call.x.rank)
    axes = (axes,) if isinstance(axes, int) else axes
    return reduce(call, axes, call.argument(2, "keepdims", False))


@rulebook.rule("ops.MaxPool", "ops.AveragePool")
@rulebook.rule("ops.AdaptiveMaxPool", "ops.AdaptiveAveragePool")
def pool_op(call):
    return local(call)


@rulebook.rule("RepeatVector")
def repeat_vector(call):
    return tensor_lib.on_axis(call.channels(-1), 3, 2)
