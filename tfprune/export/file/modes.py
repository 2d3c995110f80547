"""The quantization modes of a .tflite file."""

import dataclasses

from tfprune.export.file import packing


@dataclasses.dataclass(frozen=True)
class Mode:
    """The converter's settings for one mode.

    Attributes:
        ops: names in `tf.lite.OpsSet`, the kernels that may be used.
        types: dtypes that weights may be stored in; if empty, the converter
            chooses.
        optimize: `bool`, whether weights are quantized at all.
        calibrated: `bool`, whether activations are quantized too, to ranges
            measured on calibration data.
        weight_bits: `int`, bits of the weights of convolutions and dense layers
            if the converter does not support them: it then writes a float file,
            which `requantizing` quantizes. `None` otherwise.
        interfaces: the possible dtypes of inputs and outputs, the default
            first.
    """

    ops: tuple[str, ...] = ("TFLITE_BUILTINS",)
    types: tuple[str, ...] = ()
    optimize: bool = False
    calibrated: bool = False
    weight_bits: int | None = None
    interfaces: tuple[str, ...] = ("float32",)


MODES = {
    "float32": Mode(),
    "float16": Mode(types=("float16",), optimize=True),
    "dynamic": Mode(optimize=True),
    "int8": Mode(
        ops=("TFLITE_BUILTINS_INT8",),
        optimize=True,
        calibrated=True,
        interfaces=("int8", "uint8", "float32"),
    ),
    "int16x8": Mode(
        ops=(
            "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8",
            "TFLITE_BUILTINS",
        ),
        optimize=True,
        calibrated=True,
        interfaces=("int16", "float32"),
    ),
    "int4": Mode(calibrated=True, weight_bits=4, interfaces=("int8",)),
}


def get(quantize, interface=None):
    """Looks up a mode and checks the interface.

    Args:
        quantize: A key of `MODES`; `None` means "float32".
        interface: One of the mode's interfaces; `None` means the default.

    Returns:
        `(mode, interface)`: a `Mode` and a `str`.

    Raises:
        ValueError: If there is no such mode or interface.
    """
    name = "float32" if quantize is None else quantize
    if not isinstance(name, str) or name not in MODES:
        raise ValueError(
            f"quantize must be one of {', '.join(MODES)}. Received: "
            f"quantize={quantize!r}."
        )
    mode = MODES[name]
    chosen = mode.interfaces[0] if interface is None else interface
    if chosen not in mode.interfaces:
        raise ValueError(
            f"interface must be one of {', '.join(mode.interfaces)} with "
            f"quantize={name!r}. Received: interface={interface!r}."
        )
    return mode, chosen


def check_size(model, mode, runtime):
    """Raises a `ValueError` if a model has too many weights for a file.

    LiteRT reads weights beyond the 2 GiB of a flatbuffer. TFLite Micro and
    what calibrates a float file do not.

    Args:
        model: a built `keras.Model`.
        mode: a `Mode`.
        runtime: One of `RUNTIMES`.
    """
    if runtime == "tflite" and not mode.calibrated:
        return
    if "float16" in mode.types:
        each = 2
    elif mode.optimize and not mode.calibrated:
        each = 1
    else:
        each = 4  # Before it is calibrated, a file holds floats.
    count = model.count_params()
    if each * count > packing.MOST_BYTES:
        reason = (
            "The float file that is calibrated"
            if mode.calibrated
            else "A file for TFLite Micro"
        )
        raise ValueError(
            f"{reason} must be smaller than 2 GiB. Received: "
            f"model={model.name!r} with {count:,} weights of {each} "
            f"byte{'s' * (each > 1)}. Prune it further, or try "
            'quantize="dynamic" or "float16" with runtime="tflite".'
        )


KERNELS = ("auto", "reference", "cmsis-nn", "esp-nn")
DENSE_SCALES = ("channel", "tensor")


def check_kernels(kernels):
    """Raises `ValueError` unless `kernels` is one of `KERNELS`."""
    if kernels not in KERNELS:
        raise ValueError(
            f"kernels must be one of {', '.join(KERNELS)}. Received: "
            f"kernels={kernels!r}."
        )


def dense_scales(quantize, kernels="auto", wanted=None):
    """The granularity of the scales of dense layers' weights.

    One scale per output channel is more accurate, but not all kernels support
    it: CMSIS-NN's dense kernel for int16 activations refuses such a file.

    Args:
        quantize: A key of `MODES`, or `None`.
        kernels: One of `KERNELS`; "auto" means that any of them may run it.
        wanted: "channel", "tensor" or `None`, which leaves the choice open.

    Returns:
        "channel" or "tensor"; `None` if the mode has no such choice.

    Raises:
        ValueError: If there are no such kernels or scales, if the mode has no
            such choice, or if the kernels do not support the scales.
    """
    check_kernels(kernels)
    if wanted not in (None, *DENSE_SCALES):
        raise ValueError(
            f"dense_scales must be one of {', '.join(DENSE_SCALES)}. "
            f"Received: dense_scales={wanted!r}."
        )
    mode = MODES["float32" if quantize is None else quantize]
    if not mode.calibrated or mode.weight_bits:
        if wanted is not None:
            raise ValueError(
                'dense_scales is for quantize="int8" or "int16x8". Received: '
                f"dense_scales={wanted!r} with quantize={quantize!r}. Omit "
                "dense_scales."
            )
        return None
    wide = mode.interfaces[0] == "int16"
    if wide and kernels == "cmsis-nn" and wanted == "channel":
        raise ValueError(
            'dense_scales="tensor" is required for CMSIS-NN\'s dense kernel '
            "for int16 activations, which supports one scale for all channels. "
            f"Received: dense_scales={wanted!r} with quantize={quantize!r} and "
            f"kernels={kernels!r}. Omit dense_scales, or pass "
            'kernels="reference".'
        )
    if wanted is not None:
        return wanted
    return "tensor" if wide and kernels in ("auto", "cmsis-nn") else "channel"


RUNTIMES = ("micro", "tflite")
RECURRENT = ("auto", "fused", "unrolled")


def runtime(quantize, wanted=None, sparse=None):
    """The runtime that a file is meant for.

    Args:
        quantize: A key of `MODES`, or `None`.
        wanted: One of `RUNTIMES`; `None` leaves the choice open.
        sparse: Whether weights may be stored sparsely, which TFLite Micro does
            not support.

    Returns:
        One of `RUNTIMES`.

    Raises:
        ValueError: If there is no such runtime.
    """
    if wanted not in (None, *RUNTIMES):
        raise ValueError(
            f"runtime must be one of {', '.join(RUNTIMES)}. Received: "
            f"runtime={wanted!r}."
        )
    if wanted is not None:
        return wanted
    small = quantize in ("int8", "int16x8") and not sparse
    return "micro" if small else "tflite"


def fuses(quantize, recurrent, runtime):
    """Whether each LSTM layer becomes a single op.

    Args:
        quantize: A key of `MODES`, or `None`.
        recurrent: One of `RECURRENT`.
        runtime: One of `RUNTIMES`, the runtime that the file is meant for.

    Returns:
        `bool`.

    Raises:
        ValueError: If `recurrent` is none of `RECURRENT`, or if it is "fused"
            in a mode other than "int8".
    """
    if recurrent not in RECURRENT:
        raise ValueError(
            f"recurrent must be one of {', '.join(RECURRENT)}. Received: "
            f"recurrent={recurrent!r}."
        )
    if recurrent == "auto":
        return quantize == "int8" and runtime == "micro"
    if recurrent == "fused" and quantize != "int8":
        raise ValueError(
            'recurrent="fused" is for quantize="int8". Received: '
            f"quantize={quantize!r}. Omit recurrent."
        )
    return recurrent == "fused"
