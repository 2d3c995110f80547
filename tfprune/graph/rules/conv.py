"""Convolutional layers."""

import math

import numpy as np

from tfprune.graph import call as call_lib
from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib
from tfprune.graph.lowering import file_op
from tfprune.graph.rules import activation
from tfprune.graph.rules import additions

READS, WRITES = call_lib.READS, call_lib.WRITES


def positions(shape, axis):
    """The number of positions of a feature map; unknown sizes count as 1."""
    spatial = [n for a, n in enumerate(shape) if a not in (0, axis)]
    return math.prod(1 if n is None else n for n in spatial)


def reads_padding(config):
    """Whether a convolution reads zeros beyond the border of its input."""
    size = config["kernel_size"]
    larger = any(n > 1 for n in np.atleast_1d(size))
    return config["padding"] != "valid" and larger


@rulebook.rule("Conv1D", "Conv2D", "Conv3D")
def conv(call):
    axis = call.channel_axis()
    call.gain("kernel")
    inputs, groups = call.channels(axis), call.config["groups"]
    filters = call.config["filters"]
    padded = reads_padding(call.config)
    if groups == inputs.size and groups > 1:
        return _conv_as_depthwise(call, inputs, filters // groups)
    reads = call.tie(inputs.reshape(groups, -1), 0).reshape(-1)
    outputs = np.tile(call.fresh(filters // groups), groups)
    reading = {"input_axis": axis, "padded": padded, "patches": "convolution"}
    call.bind("kernel", -2, reads, READS, **reading)
    call.bind("kernel", -1, outputs, WRITES)
    _bind_bias(call, outputs)
    call.count("filters", outputs)
    window = math.prod(call.config["kernel_size"])
    at = positions(call.output_shapes[0], axis)
    call.multiply_adds(at * window, reads, outputs)
    labels = call.spread(outputs, axis)
    return activation.activate(call, _convolved(call, "CONV_2D", labels))


def _convolved(call, kind, labels):
    """Adds the op of a convolution; returns the labels of its output."""
    x = call.x
    if call.config["padding"] == "causal":
        more = call.config["kernel_size"][0] - 1
        more *= call.config["dilation_rate"][0]
        padded = file_op.Made(((x.shape[1] or 1) + more, x.parts[-1]))
        x = call.file.op("PAD", x, made=padded)
    call.file.window(kind, x, call.made(labels))
    return labels


def _bind_bias(call, outputs):
    """Binds the bias; Keras may add it along another axis."""
    call.bind("bias", 0, outputs)
    channels_last = call.channel_axis() == call.x.rank - 1
    if call.variable("bias") is not None and not channels_last:
        additions.keep_apart(call, outputs, call.output_shapes[0][-1])


def _conv_as_depthwise(call, inputs, multiplier):
    axis = call.channel_axis()
    outputs = np.repeat(inputs, multiplier)
    call.bind("kernel", -1, outputs)
    _bind_bias(call, outputs)
    call.count("groups", inputs)
    call.count("filters", outputs)
    window = math.prod(call.config["kernel_size"])
    at = positions(call.output_shapes[0], axis)
    call.multiply_adds(at * window, outputs)
    labels = call.spread(outputs, axis)
    return activation.activate(call, _convolved(call, "CONV_2D", labels))


@rulebook.rule("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def conv_transpose(call):
    axis = call.channel_axis()
    inputs = call.channels(axis)
    outputs = call.fresh(call.config["filters"])
    call.gain("kernel")
    window = math.prod(call.config["kernel_size"])
    strided = math.prod(call.config["strides"]) > 1
    padded = window > 1 or strided
    reading = {"input_axis": axis, "padded": padded, "patches": "transposed"}
    call.bind("kernel", -1, inputs, READS, **reading)
    call.bind("kernel", -2, outputs, WRITES)
    _bind_bias(call, outputs)
    call.count("filters", outputs)
    at = positions(call.x.shape, axis)
    call.multiply_adds(at * window, inputs, outputs)
    labels = call.spread(outputs, axis)
    _convolved(call, "TRANSPOSE_CONV", labels)
    return activation.activate(call, labels)


@rulebook.rule("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise_conv(call):
    axis = call.channel_axis()
    inputs = call.channels(axis)
    outputs = np.repeat(inputs, call.config["depth_multiplier"])
    call.gain("kernel")
    call.bind("kernel", -2, inputs)
    _bind_bias(call, outputs)
    window = math.prod(call.config["kernel_size"])
    at = positions(call.output_shapes[0], axis)
    call.multiply_adds(at * window, outputs)
    labels = call.spread(outputs, axis)
    _convolved(call, "DEPTHWISE_CONV_2D", labels)
    return activation.activate(call, labels)


@rulebook.rule("ops.Conv", "ops.DepthwiseConv")
def by_array(call):
    """A convolution by an array, which may blur each channel by itself."""
    axis, kernel = call.channel_axis(), call.args[1]
    made = call.output_shapes[0]
    if not isinstance(kernel, tensor_lib.Constant) or len(call.tensors) > 1:
        return call.freeze_all("a convolution by a tensor")[0]
    *window, depth, _ = kernel.value.shape
    at = math.prod(window) * positions(made, axis)
    if call.class_name == "Conv" or set(call.x.varying) - {axis}:
        depth = depth if call.class_name == "Conv" else 1
        call.multiply_adds(at * depth * made[axis])
        return call.freeze_all("channels meet in a convolution")[0]
    inputs = call.channels(axis)
    outputs = np.repeat(inputs, made[axis] // inputs.size)
    call.edit(kernel.keys, inputs, len(window))
    call.multiply_adds(at, outputs)
    labels = call.spread(outputs, axis)
    sizes = {"window": tuple(window)}
    call.file.window("DEPTHWISE_CONV_2D", call.x, call.made(labels), **sizes)
    return labels


@rulebook.rule("SeparableConv1D", "SeparableConv2D")
def separable_conv(call):
    axis = call.channel_axis()
    inputs = call.channels(axis)
    between = np.repeat(inputs, call.config["depth_multiplier"])
    outputs = call.fresh(call.config["filters"])
    padded = reads_padding(call.config)
    call.gain("pointwise_kernel")
    call.bind("depthwise_kernel", -2, inputs)
    reading = {"input_axis": axis, "padded": padded, "patches": "separable"}
    call.bind("pointwise_kernel", -2, between, READS, **reading)
    call.bind("pointwise_kernel", -1, outputs, WRITES)
    _bind_bias(call, outputs)
    call.count("filters", outputs)
    window = math.prod(np.atleast_1d(call.config["kernel_size"]))
    at = positions(call.output_shapes[0], axis)
    call.multiply_adds(at * window, between)
    call.multiply_adds(at, between, outputs)
    labels = call.spread(outputs, axis)
    half = call.made(call.spread(between, axis))
    shape = list(half.shape)
    shape[axis] = between.size
    half = half.replace(shape=tuple(shape))
    call.file.window("DEPTHWISE_CONV_2D", call.x, half, groups=1)
    rank = call.x.rank - 2
    points = {name: (1,) * rank for name in ("window", "strides", "dilations")}
    points["channels_first"] = axis == 1
    call.file.op("CONV_2D", half, made=call.made(labels), **points)
    return activation.activate(call, labels)
