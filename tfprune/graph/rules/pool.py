"""Pooling, padding, cropping and upsampling."""

from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib
from tfprune.graph.rules import reductions

# For each axis along which each value is repeated.
_REPEATED = ("RESHAPE", "BROADCAST_TO", "RESHAPE")


def _ranks(name):
    return [f"{name}{rank}D" for rank in (1, 2, 3)]


@rulebook.rule(*_ranks("MaxPooling"), "ops.MaxPool")
def max_pool(call):
    return _pool(call, "MAX_POOL_2D")


@rulebook.rule(*_ranks("AveragePooling"), "ops.AveragePool")
def average_pool(call):
    return _pool(call, "AVERAGE_POOL_2D")


def _pool(call, kind):
    labels = local(call)
    call.file.window(kind, call.x, call.made(labels))
    return labels


@rulebook.rule(*_ranks("ZeroPadding"), file_ops="PAD")
@rulebook.rule(*_ranks("Cropping"), "CenterCrop", file_ops="STRIDED_SLICE")
@rulebook.rule("UpSampling1D", file_ops=_REPEATED)
@rulebook.rule("UpSampling2D", file_ops=(*_REPEATED, *_REPEATED[1:]))
@rulebook.rule("UpSampling3D", file_ops=(*_REPEATED, *_REPEATED[1:] * 2))
@rulebook.rule(*_ranks("AdaptiveMaxPooling"), "ops.AdaptiveMaxPool")
@rulebook.rule(*_ranks("AdaptiveAveragePooling"), "ops.AdaptiveAveragePool")
@rulebook.rule("ops.CropImages", file_ops="STRIDED_SLICE")
@rulebook.rule("ops.PadImages", file_ops="PAD")
@rulebook.rule("ops.GaussianBlur", file_ops="DEPTHWISE_CONV_2D")
def local(call):
    call.moves = True
    axis = call.channel_axis()
    if call.config.get("interpolation") == "bilinear":
        call.file.op("RESIZE_BILINEAR", call.x)
    if set(call.x.varying) - {axis}:
        return call.freeze_all("channels along an axis that is resized")[0]
    return call.x.labels


@rulebook.rule("Resizing", "ops.Resize", file_ops="RESIZE_BILINEAR")
def resize(call):
    if call.argument(2, "interpolation") == "nearest":
        call.file.op("RESIZE_NEAREST_NEIGHBOR", call.x)
    return local(call)


@rulebook.rule(*_ranks("GlobalAveragePooling"), file_ops="MEAN")
@rulebook.rule(*_ranks("GlobalMaxPooling"), file_ops="REDUCE_MAX")
def global_pooling(call):
    call.moves = True
    axis = call.channel_axis()
    axes = [a for a in range(1, call.x.rank) if a != axis]
    return reductions.reduce(call, axes, call.config["keepdims"])


@rulebook.rule("RepeatVector", file_ops=("RESHAPE", "BROADCAST_TO"))
def repeat_vector(call):
    call.moves = True
    return tensor_lib.on_axis(call.channels(-1), 3, 2)
