"""Sketches and libraries for Arduino, and what its TFLite Micro can run.

The one that Arduino's library manager has (Chirale_TensorFLowLite, of 2024) and
the archived one of TensorFlow itself (2023) have the same kernels.
"""

import string

from tfprune.export.file import weight_ops
from tfprune.export.micro import firmware
from tfprune.export.micro.projects import layout

MANAGED = "Chirale_TensorFLowLite"
MANAGED_HEADER = "Chirale_TensorFlowLite.h"

# Their op resolver has no method for these.
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
    """Why their kernels do not compute a file rightly.

    Dense layers take the scale of their first channel for all of them.

    Args:
        data: `bytes` of a .tflite file.
        methods: the op resolver's methods ("AddConv2D").

    Returns:
        A `str`, empty where they do.
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
            "Arduino's library of 2023 reads one scale for each dense layer. "
            f"Received: a file with one for each channel in {', '.join(dense)}"
            ', whose outputs would be wrong. Export with dense_scales="tensor".'
        )
    return ""


def _sketch(name):
    return f"arduino/{name}/{name}.ino"


def copies(sources, folder):
    """The sources as the Arduino IDE compiles them, in a folder."""
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
    """The sources beside the sketch, and as a library of the sketchbook."""
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
