"""Costs and metrics of a network, as predicted and as measured on its file."""

import pathlib

from absl import logging

from tfprune import reports
from tfprune.core import cores
from tfprune.core.files import leftovers
from tfprune.costs import counting
from tfprune.export.convert import signature
from tfprune.export.convert import tflite
from tfprune.export.micro import firmware_folder
from tfprune.export.micro.arena import measured_arena
from tfprune.export.run import interpreter
from tfprune.graph import read

FLASH, ARENA = "int8 flash, measured", "arena, measured"
# The file as measured, and the code as the table of kernels has it.
IMAGE = "int8 flash and code"
# Includes the scratch buffers of the board's kernels.
ARENA_NEEDED = "arena, needed on the core"
# As reports call them: a page has each name once.
FLASH_PREDICTED = reports.Quantity("flash_bytes").label
ARENA_PREDICTED = reports.Quantity("ram_bytes").label
IMAGE_PREDICTED = reports.Quantity("image_bytes").label
FLOAT_FILE = "float32 file bytes"
# With names, which the array of the firmware does without.
FILE = "int8 file bytes"
# The measurement of a file that each limit applies to.
OF_LIMITS = {
    "flash_bytes": FLASH,
    "image_bytes": IMAGE,
    "ram_bytes": ARENA_NEEDED,
}
PREDICTED = {
    "flash_bytes": FLASH_PREDICTED,
    "image_bytes": IMAGE_PREDICTED,
    "ram_bytes": ARENA_PREDICTED,
}


def predicted(model, core):
    """`dict` from unambiguous names to the costs predicted for a model.

    Args:
        model: a `keras.Model`.
        core: `str`, the core that the arena is for; `None` means any Cortex-M.
    """
    meter = counting.Meter(read.channel_graph(model), core=core)
    return {
        "MACs": int(meter.macs()),
        "parameters": int(meter.params()),
        FLASH_PREDICTED: int(meter.flash_bytes()),
        IMAGE_PREDICTED: int(meter.image_bytes()),
        ARENA_PREDICTED: int(meter.ram_bytes()),
    }


def float_file_bytes(model):
    """`int`, the size of the model's .tflite file in float32."""
    with leftovers.folder() as folder:
        path = pathlib.Path(folder, "model.tflite")
        return tflite.export_tflite(model, path).file_bytes


def export(model, path, job):
    """Writes the int8 file of a model, and measures its flash and arena.

    Args:
        model: a `keras.Model`.
        path: `pathlib.Path`, the file to write.
        job: the `Job`, for its `calibration`, `core` and `dense_scales`.

    Returns:
        `dict` from names to bytes.
    """
    file = tflite.export_tflite(
        *(model, path, "int8", job.calibration),
        kernels=cores.of_file("auto", job.core),
        dense_scales=job.dense_scales,
    )
    image = firmware_folder.image_bytes(path, core=job.core)
    return {
        FILE: file.file_bytes,
        FLASH: firmware_folder.array_bytes(path),
        IMAGE: image,
        ARENA: measured_arena.arena(path).required_bytes,
        ARENA_NEEDED: firmware_folder.arena_bytes(path, core=job.core),
    }


def values(path, model, task, source, runtime):
    """The metrics of a model's file, `dict` from name to `float`."""
    return task.evaluate(
        lambda x: interpreter.run(path, signature.in_order(model, x), runtime),
        source,
    )


def title(runtime):
    """The name of a file's metrics in tables."""
    return {
        "micro": "int8 on TFLite Micro",
        "reference": "int8 on TFLite's reference kernels",
    }.get(runtime, "int8 on TFLite")


def over(numbers, ceilings):
    """`dict` from the limits that measurements exceed to the excess."""
    found = {}
    for name, ceiling in ceilings.items():
        key = OF_LIMITS.get(name)
        if key in numbers and numbers[key] > ceiling:
            found[name] = numbers[key] - ceiling
    return found


def out_of_reach(limit, ceiling, needed):
    """The `ValueError` for a limit below the file of the smallest network."""
    return ValueError(
        f"The budget must be within reach. Received: {limit}={ceiling:,}. The "
        "file of the smallest network that pruning can leave needs "
        f"{needed:,} bytes ({OF_LIMITS[limit]}). Raise the limit, or skip "
        "fewer layers."
    )


def log(numbers):
    """Logs numbers in one line."""
    logging.info(
        "%s", ", ".join(f"{name} {value}" for name, value in numbers.items())
    )
