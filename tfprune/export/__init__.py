"""Exports a Keras model to a file that a microcontroller runs.

In: a model. Out: a `.tflite` file, C sources, a command stream. Inside,
`convert` may import `micro`, `edit`, `run` and `file`, in that order.
May import: `surgery`, `methods` and below; TensorFlow in functions.
"""

import typing

from tfprune.core import lazy

if typing.TYPE_CHECKING:
    from tfprune.export.convert.mixed import export_bits
    from tfprune.export.convert.tflite import export_tflite
    from tfprune.export.micro.arena.shared_arena import share_arena
    from tfprune.export.micro.compression import compress_tflite
    from tfprune.export.micro.firmware_folder import arena_bytes
    from tfprune.export.micro.firmware_folder import export_micro
    from tfprune.export.micro.firmware_folder import image_bytes
    from tfprune.export.micro.npu import compile_for_npu

# Loaded on demand: reading a file does not need Keras, only converting does.
__getattr__, __all__ = lazy.attach(
    __name__,
    {
        "arena_bytes": "tfprune.export.micro.firmware_folder",
        "compile_for_npu": "tfprune.export.micro.npu",
        "compress_tflite": "tfprune.export.micro.compression",
        "export_bits": "tfprune.export.convert.mixed",
        "export_micro": "tfprune.export.micro.firmware_folder",
        "export_tflite": "tfprune.export.convert.tflite",
        "image_bytes": "tfprune.export.micro.firmware_folder",
        "share_arena": "tfprune.export.micro.arena.shared_arena",
    },
)


def __dir__():
    return __all__
