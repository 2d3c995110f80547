"""Sketches and libraries for Arduino, and the limits of its TFLite Micro.

The version in Arduino's library manager (Chirale_TensorFLowLite, 2024) and the
archived one of TensorFlow itself (2023) have the same kernels.
"""

import string

from tfprune.export.file import weight_ops
from tfprune.export.micro import firmware
from tfprune.export.micro.projects import layout

MANAGED = "Chirale_TensorFLowLite"
MANAGED_HEADER = "Chirale_TensorFlowLite.h"

# Methods that their op resolver lacks.
_LACKING = (
    "AddBatchMatMul",
    "AddDecode",
    "AddDynamicUpdateSlice",
    "AddEmbeddingLookup",
    "AddReduceAll",
    "AddReduceMin",
    "AddReverseV2",
)


def refusal(data, methods):
    """The reason why their kernels do not compute a file correctly.

    Their dense kernel uses the scale of the first channel for all channels.

    Args:
        data: `bytes` of a .tflite file.
        methods: list of `str`, the op resolver's methods ("AddConv2D").

    Returns:
        `str`, empty if they do.
    """
    lacking = [method for method in methods if method in _LACKING]
    if lacking:
        ops = ", ".join(method.removeprefix("Add") for method in lacking)
        advice = (
            "Export without compression."
            if lacking == ["AddDecode"]
            else "Replace the layers that use them."
        )
        return (
            "Arduino's library must have a kernel for every op. Received: a "
            f"file with {ops}, which its version of 2023 lacks. {advice}"
        )
    dense = weight_ops.channelwise_dense(data)
    if dense:
        return (
            "One scale for each dense layer is required by Arduino's library "
            f"of 2023. Received: one per channel in {', '.join(dense)}, whose "
            'outputs would be wrong. Export with dense_scales="tensor"; '
            "compress does so for a board of Arduino."
        )
    return ""


def _sketch(name):
    return f"arduino/{name}/{name}.ino"


def copies(sources, folder):
    """The sources in a folder, with the extension that Arduino needs."""
    return {
        f"{folder}/{path.replace('.cc', '.cpp')}": text
        for path, text in sources.texts.items()
    }


_PROPERTIES = string.Template("""\
name=$name
version=1.0.0
author=tfprune
maintainer=tfprune
sentence=A model for TensorFlow Lite Micro.
paragraph=Inputs and outputs are described in model_settings.h.
category=Data Processing
url=https://github.com/tensorflow/tflite-micro
architectures=*
includes=model_api.h
depends=$managed
""")


def _starts(sources):
    name = sources.name
    main = firmware.sketch(sources.file, name, "TensorFlowLite.h")
    example = firmware.sketch(sources.file, name, MANAGED_HEADER)
    library = f"arduino/libraries/{name}"
    return {
        _sketch(name): main,
        f"{library}/examples/self_test/self_test.ino": example,
    }


def _files(sources):
    """The sources next to the sketch, and as a library of the sketchbook."""
    name = sources.name
    library = f"arduino/libraries/{name}"
    properties = _PROPERTIES.substitute(name=name, managed=MANAGED)
    return {
        **copies(sources, f"arduino/{name}"),
        **copies(sources, f"{library}/src"),
        f"{library}/library.properties": properties,
    }


ARDUINO = layout.Layout(
    starts=_starts,
    files=_files,
    mark=_sketch,
    refusal=refusal,
    dense_scales="tensor",
    by_default=True,
)
