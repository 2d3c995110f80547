"""Layers and ops that act on every element, or every channel, independently."""

import re

import numpy as np

from tfprune.graph import rulebook
from tfprune.graph.lowering import activation_ops
from tfprune.graph.lowering import file_op
from tfprune.graph.rules import activation
from tfprune.graph.rules import merge

# They pass on what they read, or a part of it, but in training.
LAYERS = (
    "Identity ActivityRegularization "
    "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D AlphaDropout "
    "GaussianDropout GaussianNoise StochasticDepth "
    "RandomBrightness RandomContrast RandomCrop RandomFlip RandomGrayscale "
    "RandomRotation RandomShear RandomTranslation RandomZoom"
).split()


# Ops that mix along one axis, besides those whose place in a file is known.
ALONG_AN_AXIS = "Argsort Cumprod Nancumprod Nancumsum Sort Sparsemax".split()

# What finds the time steps that a mask leaves out.
_COMPARED = ("NOT_EQUAL", "CAST", "REDUCE_MAX", "NOT_EQUAL", "SELECT_V2")


@rulebook.rule("LeakyReLU", "ELU", "ReLU")
def activation_as_layer(call):
    activation_ops.add_layer(call.file, call.x, call.live)
    return elementwise(call)


@rulebook.rule(*(f"ops.{name}" for name in activation.OPS))
def function(call):
    name = re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", call.class_name).lower()
    if name == "cast" and "float" in str(call.config["dtype"]):
        call.file.as_int8(call.x)
    activation_ops.add_named(call.file, call.x, name)
    call.moves = call.class_name in ("Copy", "StopGradient")
    call.alike = call.x.alike or call.class_name in ("OnesLike", "ZerosLike")
    return elementwise(call)


@rulebook.rule(*LAYERS)
def of_training(call):
    call.moves = not call.kwargs.get("training")
    return elementwise(call)


@rulebook.rule("ThresholdedReLU")
def elementwise(call):
    call.memory = "inplace"
    if call.kwargs.get("training"):
        call.drive(call.x.labels)
    for key in ("x_min", "x_max", "nan", "posinf", "neginf"):
        if isinstance(call.config.get(key), (list, tuple)):
            call.freeze(call.x.labels, f"an op with an array as its {key}")
    shape = call.config.get("noise_shape") or ()
    for axis in call.x.varying:
        if shape and shape[axis] not in (None, 1):
            keys = ("config", "noise_shape", axis)
            call.edit(keys, call.channels(axis))
    return call.x.labels


@rulebook.rule("ops.Digitize", "ops.IsIn")
def among_numbers(call):
    if len(call.tensors) > 1 or call.args[0] is not call.x:
        return call.freeze_all("numbers that are computed")[0]
    return call.x.labels


@rulebook.rule("Masking", file_ops=_COMPARED)
def masking(call):
    call.freeze(call.x.labels, "Masking compares all channels")
    return call.x.labels


@rulebook.rule("Rescaling")
def rescaling(call):
    call.memory, x = "inplace", call.file.as_int8(call.x)
    scale, offset = call.live.scale, call.live.offset
    if np.any(np.not_equal(scale, 1)):
        x = call.file.op("MUL", x, scales=True, same=np.ndim(scale) == 0)
    if np.any(offset):
        call.file.op("ADD", x, scales=True, same=np.ndim(offset) == 0)
    for key in ("scale", "offset"):
        if not isinstance(call.config[key], (int, float)):
            call.freeze(call.x.labels, f"Rescaling with an array as its {key}")
    return call.x.labels


@rulebook.rule("Activation")
def activation_layer(call):
    call.memory = "inplace"
    return activation.activate(call, call.x.labels)


@rulebook.rule("Softmax", "ops.Softmax")
@rulebook.rule("ops.LogSoftmax")
def softmax(call):
    axis = call.config.get("axis", -1)
    kind = "LOG_" * (call.class_name == "LogSoftmax") + "SOFTMAX"
    is_last = axis in (-1, call.x.rank - 1, [-1], (-1,))
    turned = () if is_last else ("TRANSPOSE",)
    call.file.chain((*turned, kind, *turned), call.x)
    return along_an_axis(call)


@rulebook.rule("ops.Normalize", file_ops="L2_NORMALIZATION")
@rulebook.rule("ops.Cumsum", file_ops=("DEQUANTIZE", "CUMSUM", "QUANTIZE"))
@rulebook.rule("ops.Roll", file_ops=("SLICE", "SLICE", "CONCATENATION"))
@rulebook.rule(*(f"ops.{name}" for name in ALONG_AN_AXIS))
def along_an_axis(call):
    """Mixes the elements along some axes, and no others."""
    call.moves = call.class_name == "Roll"
    axes = call.config.get("axis", -1)
    if axes is None:
        return call.freeze_all("all axes of a tensor at once")[0]
    axes = (axes,) if isinstance(axes, int) else axes
    masked = len(call.args) + len(call.kwargs) > 1
    labels = merge.met(call) if masked else call.x.labels
    if any(labels.shape[axis] > 1 for axis in axes):
        reason = f"{type(call.live).__name__.lower()} mixes channels"
        if call.output_shapes[0] != call.x.shape:  # Differences are fewer.
            return call.freeze_all(reason)[0]
        call.freeze(labels, reason)
    return labels


@rulebook.rule("ops.Diff")
def differences(call):
    """Each element less the one before it."""
    labels = along_an_axis(call)
    if call.config["n"] == 1:
        parts = [file_op.like(call.made(labels)) for _ in range(2)]
        ends = [
            call.file.op("STRIDED_SLICE", call.x, made=part) for part in parts
        ]
        call.file.op("SUB", *ends, made=call.made(labels))
    return labels


@rulebook.rule("ops.Tril", "ops.Triu")
def triangle(call):
    if max(call.x.varying, default=0) >= call.x.rank - 2:
        call.freeze(call.x.labels, "a triangular mask along the channels")
    return call.x.labels
