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
        interfaces=("int8", "float32"),
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
