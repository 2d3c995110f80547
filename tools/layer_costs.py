"""Instructions of each op of .tflite files on emulated cores.

One program has the kernels and reads the files, so that a file takes as long
as its ops; qemu counts, and one instruction is one nanosecond there.
"""

import dataclasses
import pathlib
import re

from tfprune.export.micro import c_source
from tools import emulated_boards

_SOURCE = pathlib.Path(__file__).parent / "firmware/layers.cc"
# The kernels that the program has.
OPS = """
    Add AveragePool2D Concatenation Conv2D DepthwiseConv2D Dequantize
    FullyConnected HardSwish LeakyRelu Logistic MaxPool2D Mean Mul Pad Quantize
    Relu Relu6 Reshape Softmax StridedSlice Sub Tanh Transpose
    UnidirectionalSequenceLSTM
""".split()
_OP = re.compile(r"^op (\S+) (\d+)", re.M)
_DATA_BYTES, _ARENA_BYTES = 1 << 20, 1 << 20
# Files of one call: the command line that a core can read is short.
_AT_A_TIME = 4


@dataclasses.dataclass(frozen=True)
class Costs:
    """What one file takes.

    Attributes:
        ops: list of `(name, instructions)`, in the order of the file.
        instructions: `int`, of the whole inference.
    """

    ops: list
    instructions: int


class Program:
    """The program for a core.

    Args:
        library: `firmware_library.Library`.
        folder: path-like, where it is written.
    """

    def __init__(self, library, folder):
        self._board = library.board
        folder = pathlib.Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        methods = [f"Add{name}" for name in OPS]
        (folder / "layers_ops.h").write_text(
            c_source.ops("layers", methods)
            + f"#define LAYERS_DATA_BYTES {_DATA_BYTES}\n"
            + f"#define LAYERS_ARENA_BYTES {_ARENA_BYTES}\n"
        )
        library.prepare()
        object_ = folder / "layers.o"
        library.compile(_SOURCE, object_, "-Os", f"-I{folder}")
        self._path = folder / "layers.elf"
        emulated_boards.link(
            library.board, [object_, *library.build([object_])], self._path
        )

    def measure(self, paths):
        """A `Costs` for each of some files."""
        found = []
        for i in range(0, len(paths), _AT_A_TIME):
            some = [str(path) for path in paths[i : i + _AT_A_TIME]]
            done = emulated_boards.run(self._board, self._path, *some)
            if done.returncode:
                raise RuntimeError(
                    "Every file must run on the core. Received: exit "
                    f"{done.returncode} for one of {', '.join(some)}. It "
                    f"printed:\n{done.stdout}{done.stderr}"
                )
            found += self._read(done.stdout)
        return found

    def _read(self, text):
        def count(ticks):
            return emulated_boards.instructions(self._board, int(ticks))

        return [
            Costs(
                ops=[
                    (name, count(ticks))
                    for name, ticks in re.findall(
                        r"^op (\S+) (\d+)", part, re.M
                    )
                ],
                instructions=count(re.search(r"^all (\d+)", part, re.M)[1]),
            )
            for part in re.split(r"^file \d+$", text, flags=re.M)[1:]
        ]
