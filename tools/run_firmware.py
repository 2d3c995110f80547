"""Builds a folder of `export_micro` for a Cortex-M core and runs it in qemu.

  python -m tools.run_firmware firmware --tflite_micro=../tflite-micro \\
      --core=cortex-m55 --kernels=cmsis-nn

compiles TFLite Micro from its sources, the folder's own main program, as it
is, and a probe that finds the least arena that the model runs in, counts
the instructions of an inference and compares the outputs to the last bit.
Needed are arm-none-eabi-g++ and qemu-system-arm, and beside TFLite Micro what
its makefile downloads (flatbuffers, gemmlowp, ruy, CMSIS-NN).
"""

import dataclasses
import pathlib
import re
import sys
import tempfile

from absl import app
from absl import flags

from tools import emulated_boards
from tools import firmware_library

FLAGS = flags.FLAGS
_PROBE = pathlib.Path(__file__).parent / "firmware/probe.cc"
_ALIGNMENT = 16
# How the probe ends where the arena is too small.
_TOO_SMALL = 5


@dataclasses.dataclass(frozen=True)
class Found:
    """What a folder of sources was seen to do on a core.

    Attributes:
        self_test: `str`, what the main program printed.
        passed: `bool`, whether it ended well.
        least_arena: `int`, bytes of the smallest arena that it runs in.
        used_arena: `int`, what the interpreter says that it uses.
        instructions: `int`, of one inference.
        different, values: `int`, outputs that are not those of the folder's
            golden pairs to the last bit, and how many there are.
        image: `dict` from "code", "constants", "data" to bytes, of the main
            program.
    """

    self_test: str
    passed: bool
    least_arena: int
    used_arena: int
    instructions: int
    different: int
    values: int
    image: dict


class Firmware:
    """A folder of sources, compiled for a core.

    Args:
        folder: path-like, what `export_micro` wrote.
        library: `firmware_library.Library`.
        build: path-like, where programs are written.
    """

    def __init__(self, folder, library, build):
        self._folder = pathlib.Path(folder).absolute()
        settings = self._folder / "model_settings.h"
        if not settings.exists():
            raise ValueError(
                "A folder of tfprune.export_micro is required. Received: "
                f"{str(folder)!r}, which has no {settings.name}."
            )
        text = settings.read_text()
        self._upper = re.search(r"#define (\w+)_INPUT_COUNT", text)[1]
        self._inputs = int(re.search(r"_INPUT_COUNT (\d+)", text)[1])
        self._outputs = int(re.search(r"_OUTPUT_COUNT (\d+)", text)[1])
        self._reserved = max(
            int(n) for n in re.findall(r"_ARENA_BYTES (\d+)", text)
        )
        # The first of them is for a bare core.
        self._needed = int(re.search(r"_ARENA_NEEDED (\d+)", text)[1])
        self._library = library
        self._build = pathlib.Path(build).absolute()
        self._build.mkdir(parents=True, exist_ok=True)

    def measure(self, self_test=True, near=None):
        """Builds and runs; a `Found`.

        Args:
            self_test: `bool`, whether the folder's main program runs too.
            near: `int`, bytes of arena that the least is looked for around;
                by default what the folder says it needs.
        """
        library = self._library
        said, passed, image = "", True, {}
        if self_test:
            program = self._program("self_test", [self._folder / "main.cc"])
            image = self._image(program)
            done = emulated_boards.run(library.board, program)
            said, passed = done.stdout + done.stderr, done.returncode == 0
        probe = self._program("probe", [_PROBE], self._probe_names())
        least = self._least(probe, near or self._needed)
        done = self._probed(probe, least, 1)
        (used,) = re.findall(r"^used (\d+)", done.stdout, re.M)
        (ticks,) = re.findall(r"^ticks (\d+)", done.stdout, re.M)
        ((different, values),) = re.findall(
            r"^differ (\d+) of (\d+)", done.stdout, re.M
        )
        return Found(
            self_test=said,
            passed=passed,
            least_arena=least,
            used_arena=int(used),
            instructions=emulated_boards.instructions(
                library.board, int(ticks)
            ),
            different=int(different),
            values=int(values),
            image=image,
        )

    def _program(self, name, mains, header=None):
        library, folder = self._library, self._build
        if header is not None:
            (folder / "probe_names.h").write_text(header)
        library.prepare()
        objects = []
        for source in [*mains, *sorted(self._folder.glob("model*.cc"))]:
            objects.append(folder / f"{source.stem}.o")
            library.compile(
                source, objects[-1], "-Os", f"-I{self._folder}", f"-I{folder}"
            )
        program = folder / f"{name}.elf"
        emulated_boards.link(
            library.board, [*objects, *library.build(objects)], program
        )
        return program

    def _probe_names(self):
        """A header that gives the folder's names to the probe."""
        name, upper = self._upper.lower(), self._upper
        # Names are as the folder writes them.
        text = (self._folder / "model.h").read_text()
        name = re.search(r"extern const unsigned char (\w+)_data\[\]", text)[1]
        copies = "".join(
            f"  memcpy(interpreter.input({i})->data.raw,\n"
            f"         {name}_golden_input_{i}[pair],\n"
            f"         sizeof({name}_golden_input_{i}[pair]));\n"
            for i in range(self._inputs)
        )
        checks = "".join(
            f"  for (int k = 0; k < {upper}_OUTPUT_{i}_SIZE; ++k) {{\n"
            f"    different += memcmp(\n"
            f"        interpreter.output({i})->data.int8 + k * sizeof(\n"
            f"            {name}_golden_output_{i}[pair][k]),\n"
            f"        &{name}_golden_output_{i}[pair][k],\n"
            f"        sizeof({name}_golden_output_{i}[pair][k])) != 0;\n"
            f"    ++values;\n  }}\n"
            for i in range(self._outputs)
        )
        return f"""\
#include "model.h"
#include "model_golden.h"
#include "model_ops.h"
#include "model_settings.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#define PROBE_ARENA_BYTES {4 * self._reserved + 65536}
#define PROBE_OP_COUNT {upper}_OP_COUNT
#define PROBE_REGISTER {name}_register_ops
#define PROBE_DATA {name}_data
#define PROBE_PAIRS {upper}_GOLDEN_COUNT
inline void probe_inputs(tflite::MicroInterpreter& interpreter, int pair) {{
{copies}}}
inline void probe_outputs(tflite::MicroInterpreter& interpreter, int pair,
                          int& different, int& values) {{
{checks}}}
"""

    def _probed(self, probe, arena, runs):
        board = self._library.board
        return emulated_boards.run(board, probe, str(arena), str(runs))

    def _least(self, probe, near):
        """The least arena, found from a guess by steps that double.

        An arena that is far too small may end in a fault of the core.
        """
        most = 4 * self._reserved + 65536
        high = max(near // _ALIGNMENT, 1)
        low, step = high - 1, 1
        if self._runs(probe, high):
            while low > 0 and self._runs(probe, low):
                low, high, step = max(0, low - step), low, 2 * step
        else:
            while not self._runs(probe, high):
                if high * _ALIGNMENT >= most:
                    done = self._probed(probe, most, 0)
                    raise RuntimeError(
                        "The model must run in an arena of any size. Received: "
                        f"exit {done.returncode} with {most:,} bytes. It "
                        f"printed:\n{done.stdout}{done.stderr}"
                    )
                low = high
                high, step = min(high + step, most // _ALIGNMENT), 2 * step
        while high - low > 1:
            middle = (low + high) // 2
            fits = self._runs(probe, middle)
            low, high = (low, middle) if fits else (middle, high)
        return high * _ALIGNMENT

    def _runs(self, probe, units):
        """Whether the model runs in so many times 16 bytes."""
        arena = units * _ALIGNMENT
        code = self._probed(probe, arena, 0).returncode
        if code not in (0, _TOO_SMALL, emulated_boards.FAULT):
            raise RuntimeError(
                "The probe must run or find its arena too small. "
                f"Received: exit {code} with {arena:,} bytes."
            )
        return not code

    @staticmethod
    def _image(program):
        return emulated_boards.sizes(program)


def main(argv):
    folder = argv[1]
    library = firmware_library.Library(
        FLAGS.tflite_micro,
        FLAGS.core,
        FLAGS.kernels,
        FLAGS.build,
        FLAGS.cmsis_nn,
        FLAGS.jobs,
    )
    with tempfile.TemporaryDirectory() as build:
        found = Firmware(folder, library, build).measure()
    print(found.self_test)
    print(f"least arena    {found.least_arena:,} bytes")
    print(f"used           {found.used_arena:,} bytes")
    print(f"outputs        {found.different} of {found.values} differ")
    print(f"instructions   {found.instructions:,}")
    for kind, count in found.image.items():
        print(f"{kind:14} {count:,} bytes")
    if not found.passed:
        sys.exit(1)


if __name__ == "__main__":
    firmware_library.define_flags()
    app.run(main)
