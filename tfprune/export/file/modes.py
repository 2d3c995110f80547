"""The ways to store the numbers of a model in a .tflite file."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mode:
    """What the converter is told.

    Attributes:
        ops: names in `tf.lite.OpsSet`, the kernels that may be used.
        types: dtypes that weights may be stored in; empty leaves the choice
            to the converter.
        optimize: `bool`, whether weights are quantized at all.
        calibrated: `bool`, whether activations are quantized too, in ranges
            measured on calibration data.
        weight_bits: `int`, bits of the weights of convolutions and dense layers
            that the converter does not know; it writes floats then, and
            `requantizing` the file. `None` where it does all.
        interfaces: dtypes of inputs and outputs to choose from, the default
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
    """A mode and its interface, checked.

    Args:
        quantize: A key of `MODES`; `None` stands for "float32".
        interface: One of the mode's interfaces; `None` for the default.

    Returns:
        A `Mode`, and the interface as `str`.

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


KERNELS = ("auto", "reference", "cmsis-nn", "esp-nn")
DENSE_SCALES = ("channel", "tensor")


def check_kernels(kernels):
    """Raises `ValueError` unless there are such kernels."""
    if kernels not in KERNELS:
        raise ValueError(
            f"kernels must be one of {', '.join(KERNELS)}. Received: "
            f"kernels={kernels!r}."
        )


def dense_scales(quantize, kernels="auto", wanted=None):
    """How many scales the weights of a dense layer have.

    A scale for each output channel is more exact, and not all kernels read it:
    CMSIS-NN's dense layers of int16 activations refuse to start.

    Args:
        quantize: A key of `MODES`.
        kernels: One of `KERNELS`; "auto" is any of them.
        wanted: "channel", "tensor" or `None`, which leaves the choice.

    Returns:
        "channel" or "tensor"; `None` where the mode has no choice.

    Raises:
        ValueError: If there are no such kernels or scales, if the mode leaves
            no choice, or if the kernels cannot read the scales.
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
                f"dense_scales={wanted!r} with quantize={quantize!r}. Leave "
                "it out."
            )
        return None
    wide = mode.interfaces[0] == "int16"
    if wide and kernels == "cmsis-nn" and wanted == "channel":
        raise ValueError(
            "CMSIS-NN's dense layers of int16 activations read one scale for "
            f"all channels. Received: dense_scales={wanted!r} with "
            f"quantize={quantize!r} and kernels={kernels!r}. Leave "
            'dense_scales out, or take kernels="reference".'
        )
    if wanted is not None:
        return wanted
    return "tensor" if wide and kernels in ("auto", "cmsis-nn") else "channel"


RUNTIMES = ("micro", "tflite")
RECURRENT = ("auto", "fused", "unrolled")


def runtime(quantize, wanted=None, sparse=None):
    """The runtime that a file is for.

    Args:
        quantize: A key of `MODES`, or `None`.
        wanted: One of `RUNTIMES`; `None` leaves the choice.
        sparse: Whether weights may be stored sparsely, for phones alone.

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
    """Whether LSTM layers become one op each.

    Args:
        quantize: A key of `MODES`, or `None`.
        recurrent: One of `RECURRENT`.
        runtime: One of `RUNTIMES`, what the file is for.

    Returns:
        `bool`.

    Raises:
        ValueError: If there is no such choice, or the mode has none.
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
            f"quantize={quantize!r}. Leave it out."
        )
    return recurrent == "fused"
