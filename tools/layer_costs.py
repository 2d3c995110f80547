"""What .tflite files take on emulated cores: instructions of ops, arenas.

One program has the kernels and reads the files, so that a file takes as long
as its ops; qemu counts, and one instruction is one nanosecond there.
"""

import dataclasses
import pathlib
import re
import subprocess

from tfprune.export.micro import c_source
from tfprune.export.micro import kernels
from tools import emulated_boards

_SOURCE = pathlib.Path(__file__).parent / "firmware/layers.cc"
_ALIGNMENT = 16
_TOO_SMALL = 5
_OP = re.compile(r"^op (\S+) (\d+)", re.M)
_DATA_BYTES, _ARENA_BYTES = 1 << 20, 1 << 20
# After which a program is taken to have stopped.
_SECONDS = 90
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


@dataclasses.dataclass(frozen=True)
class Arena:
    """What a file was seen to need.

    Attributes:
        least: `int`, bytes of the smallest arena that it runs in.
        used: `int`, what the interpreter says that it uses.
        instructions: `int`, of the inference.
        outputs: `bytes`, of all outputs.
    """

    least: int
    used: int
    instructions: int
    outputs: bytes


def least_units(run, near, most):
    """The least number that runs, found from a guess by steps that double.

    Args:
        run: function of an `int`; `None` where that is too few.
        near, most: `int`, a guess, and where to give up.

    Returns:
        `(number, what run returned for it)`.
    """
    high, step = max(near, 1), 1
    found = run(high)
    low = high - 1 if found is not None else high
    while found is None:
        if high >= most:
            raise RuntimeError(
                "The file must run in an arena of any size. Received: none "
                f"with {most * _ALIGNMENT:,} bytes."
            )
        low, high, step = high, min(high + step, most), 2 * step
        found = run(high)
    while low > 0 and (lower := run(low)) is not None:
        low, high, found, step = max(0, low - step), low, lower, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        lower = run(middle)
        if lower is None:
            low = middle
        else:
            high, found = middle, lower
    return high, found


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
        methods = kernels.portable_methods()
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
            done = emulated_boards.run(self._board, self._path, "ops", *some)
            if done.returncode:
                raise RuntimeError(
                    "Every file must run on the core. Received: exit "
                    f"{done.returncode} for one of {', '.join(some)}. It "
                    f"printed:\n{done.stdout}{done.stderr}"
                )
            found += self._read(done.stdout)
        return found

    def least_arena(self, path, near, folder, inputs, variables=0):
        """The least arena that a file starts and runs in.

        Args:
            path: of the file.
            near: `int`, a multiple of 16 that it is looked for around.
            folder: `pathlib.Path`, for inputs and outputs.
            inputs: `bytes`, of all inputs.
            variables: `int`, of its resource variables.

        Returns:
            An `Arena`.
        """
        (folder / "in").write_bytes(inputs)

        def run(units):
            arena = units * _ALIGNMENT
            try:
                done = emulated_boards.run(
                    self._board,
                    self._path,
                    "arena",
                    str(path),
                    str(arena),
                    str(folder / "in"),
                    str(folder / "out"),
                    str(variables),
                    seconds=_SECONDS,
                )
            except subprocess.TimeoutExpired:
                # Some kernels stop the core where there is no memory.
                return None
            if done.returncode in (_TOO_SMALL, emulated_boards.FAULT):
                return None
            if done.returncode:
                raise RuntimeError(
                    "The file must run or find its arena too small. Received: "
                    f"exit {done.returncode} with {arena:,} bytes of {path}. "
                    f"It printed:\n{done.stdout}{done.stderr}"
                )
            return done.stdout

        least, text = least_units(run, near // _ALIGNMENT, _ARENA_BYTES // 16)
        return Arena(
            least=least * _ALIGNMENT,
            used=int(re.search(r"^used (\d+)", text, re.M)[1]),
            instructions=emulated_boards.instructions(
                self._board, int(re.search(r"^ticks (\d+)", text, re.M)[1])
            ),
            outputs=(folder / "out").read_bytes(),
        )

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
