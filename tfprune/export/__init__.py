"""From a Keras model to a file that a microcontroller runs.

In: a model. Out: a `.tflite` file, C sources, a command stream. Inside,
`convert` stands on `micro`, `edit`, `run` and `file`, in that order.
May import: `surgery`, `methods` and below; TensorFlow in functions.
"""

from tfprune.export.convert.mixed import export_bits
from tfprune.export.convert.tflite import export_tflite
from tfprune.export.micro.compression import compress_tflite
from tfprune.export.micro.firmware_folder import arena_bytes
from tfprune.export.micro.firmware_folder import export_micro
from tfprune.export.micro.npu import compile_for_npu

__all__ = [
    "arena_bytes",
    "compile_for_npu",
    "compress_tflite",
    "export_bits",
    "export_micro",
    "export_tflite",
]
