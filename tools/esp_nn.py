"""ESP-NN's kernels on a simulated ESP32-S3: what ops take, and what they give.

Runs the ops of an int8 file, one after the other, on the values that TFLite's
interpreter has there, as the kernels of esp-tflite-micro call ESP-NN. Text is
read where the library has assembly; its C is compiled for another Xtensa core
(Debian's `gcc-xtensa-lx106`), without the loop and minimum instructions of the
ESP32-S3, so that parts in C take somewhat more here than there.
"""

import dataclasses
import math
import pathlib
import subprocess

import numpy as np

from tfprune.export.file import model_file
from tfprune.export.micro.arena import flat_ops
from tfprune.export.run import interpreter as running
from tfprune.export.run import litert
from tools import xtensa_core

COMPILER = "xtensa-lx106-elf-gcc"
_HEADERS = "/usr/lib/xtensa-lx106-elf/include"
# Those of its CMakeLists.txt and Kconfig.
_FLAGS = (
    "-O2",
    "-fno-unroll-loops",
    "-DCONFIG_IDF_TARGET_ESP32S3=1",
    "-DCONFIG_IDF_TARGET_ARCH_XTENSA=1",
    "-DCONFIG_NN_OPTIMIZED=1",
)
_SOURCES = ("*_esp32s3.c", "*_ansi.c", "*_opt.c")
_SAME = 0  # padding
_RELU, _RELU6 = 1, 3
_SHIFT = 20  # of the inputs of sums
_SOFTMAX_BITS = 5


@dataclasses.dataclass(frozen=True)
class Ran:
    """An op that ran.

    Attributes:
        instructions: `int`.
        different: `int`, how many outputs are not those of the interpreter.
        by: `int`, the most that one differs by.
    """

    instructions: int
    different: int
    by: int


def _copy(core, words):
    to, start, count = words[:3]
    core.memory[to : to + count] = core.memory[start : start + count]
    # As newlib does it: byte by byte, or 16 at a time with shifts.
    return to, 8 + 4 * count if count < 8 else 24 + 12 * -(-count // 16)


def _fill(core, words):
    to, value, count = words[:3]
    core.memory[to : to + count] = bytes([value & 255]) * count
    return to, 12 + 6 * -(-count // 16)


def _long(low, high):
    word = low | high << 32
    return word - (1 << 64) if word >> 63 else word


def _multiply(_, words):
    # Two instructions of the ESP32-S3, which the compiler's core has not.
    return _long(*words[:2]) * _long(*words[2:4]), 2


def _divide(_, words):
    a, b = (x - ((x & 1 << 31) << 1) for x in words[:2])
    return int(a / b), 1


_LIBRARY = {
    "memcpy": _copy,
    "memset": _fill,
    "__muldi3": _multiply,
    "__divsi3": _divide,
    "__udivsi3": lambda _, words: (words[0] // words[1], 1),
}
# Of messages, and of tables that are made before the first inference.
_NEVER = (
    *("printf", "puts", "expf", "roundf"),
    *("__addsf3", "__divsf3", "__mulsf3", "__fixsfsi", "__floatsisf"),
)


def _missing(name):
    def stop(*_):
        raise RuntimeError(f"An inference must not call {name}.")

    return stop


def multiplier(real):
    """A factor as `(integer below 2^31, shift)`, as TFLite has it."""
    if not real:
        return 0, 0
    part, shift = math.frexp(real)
    part = round(part * (1 << 31))
    if part == 1 << 31:
        part, shift = part // 2, shift + 1
    return (part, shift) if shift >= -31 else (0, 0)


def _compile(source, path, made):
    """Makes the assembly of a file of C, unless it is there and newer."""
    if made.exists() and made.stat().st_mtime > path.stat().st_mtime:
        return
    includes = source / "include", path.parent, source / "src/common"
    subprocess.run(
        [COMPILER, "-S", *_FLAGS, "-isystem", _HEADERS]
        + [f"-I{folder}" for folder in includes]
        + [path, "-o", made],
        check=True,
    )


class Kernels:
    """ESP-NN on a core.

    Args:
        source: path-like, the folder of ESP-NN.
        folder: path-like, of what the compiler makes.
    """

    def __init__(self, source, folder):
        source, folder = pathlib.Path(source), pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        texts = {
            path.name: path.read_text()
            for path in sorted(source.glob("src/*/*_esp32s3.S"))
        }
        if not texts:
            raise FileNotFoundError(
                "The folder must hold ESP-NN's sources. Received: "
                f"source={str(source)!r}, without src/*/*_esp32s3.S."
            )
        for pattern in _SOURCES:
            for path in sorted(source.glob(f"src/*/{pattern}")):
                made = folder / f"{path.stem}.s"
                _compile(source, path, made)
                texts[made.name] = made.read_text()
        names = _LIBRARY | {name: _missing(name) for name in _NEVER}
        self._core = xtensa_core.Core(texts, names)

    def ops(self, path):
        """Runs the ops of a file that ESP-NN has kernels for.

        Args:
            path: of an int8 `.tflite` file.

        Yields:
            For each op, a `Ran`, or `None` if TFLite Micro's own kernel runs.
        """
        (graph,) = flat_ops.read(pathlib.Path(path).read_bytes())
        numbers = {id(t): i for i, t in enumerate(graph.tensors)}
        opened, _ = litert.open_file(path, "reference", preserve=True)
        file = model_file.read(path)
        inputs = opened.get_input_details()
        for detail, column in zip(
            inputs, file.encode(running.random_inputs(file, 1)), strict=True
        ):
            opened.set_tensor(detail["index"], column)
        opened.invoke()
        details = {d["index"]: d for d in opened.get_tensor_details()}

        def tensor(flat):
            index = numbers[id(flat)]
            return _Tensor(opened.get_tensor(index), details[index])

        for op in graph.ops:
            call = _CALLS.get(op.kind)
            tensors = [t for t in (*op.inputs[:2], op.outputs[0]) if t]
            whole = all(t.dtype == "INT8" for t in tensors)
            self._core.reset()
            ran = None
            if call is not None and whole:
                made = [None if t is None else tensor(t) for t in op.inputs]
                ran = call(self._core, op, made, tensor(op.outputs[0]))
            yield ran


class _Tensor:
    def __init__(self, values, detail):
        self.values = values
        steps = detail["quantization_parameters"]
        self.scales = steps["scales"].astype(float)
        self.zero = int(steps["zero_points"][0]) if len(self.scales) else 0

    @property
    def scale(self):
        return self.scales[0]


def _words(core, *numbers):
    return core.allocate(np.array(numbers, "<i4").tobytes())


def _bytes(core, values):
    return core.allocate(np.ascontiguousarray(values).tobytes())


def _dims(core, shape):
    batch, height, width, channels = shape
    return _words(core, width, height, channels, batch)


def _limits(op, out):
    """The least and the largest integer that an activation gives."""
    low, high = -128, 127
    kind = op.option("fusedActivationFunction")
    if kind in (_RELU, _RELU6):
        low = max(low, out.zero)
    if kind == _RELU6:
        high = min(high, out.zero + round(6 / out.scale))
    return low, high


def _padding(op, inputs, window, outputs):
    """Rows and columns that "same" padding adds above and to the left."""
    strides = op.option("strideH", 1), op.option("strideW", 1)
    if op.option("padding") != _SAME:
        return strides, (0, 0)
    missing = (
        max(0, (o - 1) * s + k - i)
        for i, k, o, s in zip(inputs, window, outputs, strides, strict=True)
    )
    return strides, tuple(x // 2 for x in missing)


def _end(core, at, out, counts):
    got = np.frombuffer(core.memory, "i1", out.values.size, at)
    off = np.abs(got.astype(int) - out.values.reshape(-1))
    return Ran(sum(counts), int((off > 0).sum()), int(off.max(initial=0)))


def _factors(core, scales):
    parts = [multiplier(x) for x in scales]
    return (
        _words(core, *(shift for _, shift in parts)),
        _words(core, *(part for part, _ in parts)),
    )


def _bias(core, inputs):
    if len(inputs) < 3 or inputs[2] is None:
        return 0
    return _bytes(core, inputs[2].values.astype("<i4"))


def _windows(core, op, inputs, out, name, multiply):
    """A convolution, or one of each channel."""
    if (
        max(op.option("dilationHFactor", 1), op.option("dilationWFactor", 1))
        > 1
    ):
        return None
    x, weights = inputs[:2]
    _, rows, columns, _ = weights.values.shape
    strides, pad = _padding(
        op, x.values.shape[1:3], (rows, columns), out.values.shape[1:3]
    )
    scales = x.scale * weights.scales / out.scale
    channels = out.values.shape[3]
    scales = np.broadcast_to(scales, channels)
    times = (channels // x.values.shape[3],) if multiply else ()
    parameters = _words(
        core,
        *(-x.zero, out.zero, *times, *strides[::-1], *pad[::-1], 0, 0),
        *_limits(op, out),
    )
    dims = [_dims(core, t.values.shape) for t in (x, weights, out)]
    needed, _ = core.run(
        f"esp_nn_get_{name}_scratch_size_esp32s3", *dims, parameters
    )
    data = [_bytes(core, x.values), _bytes(core, weights.values)]
    bias, result = _bias(core, inputs), core.allocate(bytes(out.values.size))
    factors = _words(core, *_factors(core, scales))
    _, first = core.run(
        f"esp_nn_set_{name}_scratch_buf_esp32s3",
        core.allocate(bytes(max(needed, 1))),
    )
    _, count = core.run(
        f"esp_nn_{name}_s8_esp32s3",
        *(dims[0], data[0], dims[1], data[1], bias, dims[2], result),
        *(parameters, factors),
    )
    return _end(core, result, out, (first, count))


def _convolution(core, op, inputs, out):
    return _windows(core, op, inputs, out, "conv", multiply=False)


def _depthwise(core, op, inputs, out):
    return _windows(core, op, inputs, out, "depthwise_conv", multiply=True)


def _dense(core, op, inputs, out):
    x, weights = inputs[:2]
    writes, reads = weights.values.shape
    scales = x.scale * weights.scales / out.scale
    many = len(scales) > 1
    factors = _factors(core, scales) if many else multiplier(scales[0])[::-1]
    bias = _bias(core, inputs)
    at, w = _bytes(core, x.values), _bytes(core, weights.values)
    result = core.allocate(bytes(out.values.size))
    name = "fully_connected_per_ch" if many else "fully_connected"
    counts = [
        core.run(
            f"esp_nn_{name}_s8_esp32s3",
            *(at + i * reads, -x.zero, reads, w, 0, bias),
            *(result + i * writes, writes, out.zero),
            *(*factors, *_limits(op, out)),
        )[1]
        for i in range(x.values.size // reads)
    ]
    return _end(core, result, out, counts)


def _alike(op):
    return op.inputs[0].shape == op.inputs[1].shape


def _sum(core, op, inputs, out):
    if not _alike(op):
        return None
    a, b = inputs
    most = 2 * max(a.scale, b.scale)
    first, second = (multiplier(t.scale / most) for t in (a, b))
    part, shift = multiplier(most / ((1 << _SHIFT) * out.scale))
    result = core.allocate(bytes(out.values.size))
    _, count = core.run(
        "esp_nn_add_elementwise_s8_esp32s3",
        *(_bytes(core, a.values), _bytes(core, b.values), -a.zero, -b.zero),
        *(first[0], second[0], first[1], second[1], _SHIFT, result),
        *(out.zero, part, shift, *_limits(op, out), out.values.size),
    )
    return _end(core, result, out, (count,))


def _product(core, op, inputs, out):
    if not _alike(op):
        return None
    a, b = inputs
    result = core.allocate(bytes(out.values.size))
    _, count = core.run(
        "esp_nn_mul_elementwise_s8_esp32s3",
        *(_bytes(core, a.values), _bytes(core, b.values), -a.zero, -b.zero),
        *(result, out.zero, *multiplier(a.scale * b.scale / out.scale)),
        *(*_limits(op, out), out.values.size),
    )
    return _end(core, result, out, (count,))


def _pool(name):
    def call(core, op, inputs, out):
        (x,) = inputs
        _, height, width, channels = x.values.shape
        window = op.option("filterHeight"), op.option("filterWidth")
        shape = out.values.shape[1:3]
        strides, pad = _padding(op, (height, width), window, shape)
        ending = "esp32s3" if channels % 4 == 0 else "ansi"
        result = core.allocate(bytes(out.values.size))
        _, count = core.run(
            f"esp_nn_{name}_pool_s8_{ending}",
            *(_bytes(core, x.values), width, height, result, *shape[::-1]),
            *(*strides[::-1], *window[::-1], *pad[::-1], *_limits(op, out)),
            channels,
        )
        return _end(core, result, out, (count,))

    return call


def _softmax(core, op, inputs, out):
    (x,) = inputs
    width = x.values.shape[-1]
    height = x.values.size // width
    beta = op.option("beta", 1.0)
    bits = 31 - _SOFTMAX_BITS
    part, shift = multiplier(min(beta * x.scale * (1 << bits), (1 << 31) - 1))
    least = -math.floor(((1 << _SOFTMAX_BITS) - 1) * (1 << bits) / (1 << shift))
    needed, _ = core.run(
        "esp_nn_get_softmax_scratch_size_esp32s3", width, height
    )
    core.run(
        "esp_nn_set_softmax_scratch_buf_esp32s3",
        core.allocate(bytes(max(needed, 1))),
    )
    result = core.allocate(bytes(out.values.size))
    _, count = core.run(
        "esp_nn_softmax_s8_esp32s3",
        *(_bytes(core, x.values), height, width, part, shift, least, result),
    )
    return _end(core, result, out, (count,))


_CALLS = {
    "ADD": _sum,
    "AVERAGE_POOL_2D": _pool("avg"),
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "MAX_POOL_2D": _pool("max"),
    "MUL": _product,
    "SOFTMAX": _softmax,
}
