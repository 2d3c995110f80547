"""Boards that qemu emulates: cores, memories, flags for the compiler.

The memories are those of the machines that Arm's Versatile Express images
describe; a core that no machine has runs on one that executes its code.
"""

import dataclasses
import pathlib
import subprocess

PREFIX = "arm-none-eabi-"
_SOURCES = pathlib.Path(__file__).parent / "firmware"
# How a program ends whose core has met a fault.
FAULT = 86
_SECTIONS = {
    ".text": "code",
    ".rodata": "constants",
    ".data": "data",
    ".bss": "zeros",
}
_LINKER = """\
MEMORY {{
  code (rx) : ORIGIN = {code:#x}, LENGTH = {code_bytes:#x}
  data (rw) : ORIGIN = {data:#x}, LENGTH = {data_bytes:#x}
}}
ENTRY(Reset_Handler)
__stack_top = ORIGIN(data) + LENGTH(data);
SECTIONS {{
  .vectors : {{ KEEP(*(.vectors)) }} > code
  .text : {{ *(.text*) KEEP(*(.init)) KEEP(*(.fini)) }} > code
  .ARM.exidx : {{ *(.ARM.exidx*) }} > code
  .init_array : {{
    __preinit_array_start = .;
    KEEP(*(.preinit_array*))
    __preinit_array_end = .;
    __init_array_start = .;
    KEEP(*(SORT(.init_array.*)))
    KEEP(*(.init_array))
    __init_array_end = .;
    __fini_array_start = .;
    KEEP(*(.fini_array*))
    __fini_array_end = .;
  }} > code
  .rodata : {{ *(.rodata*) }} > {constants}
  .data : {{ *(.data*) }} > data
  .bss (NOLOAD) : {{
    . = ALIGN(4);
    __bss_start__ = .;
    *(.bss*) *(COMMON)
    . = ALIGN(4);
    __bss_end__ = .;
    end = .;
  }} > data
}}
"""


@dataclasses.dataclass(frozen=True)
class Board:
    """A core on a machine of qemu.

    Attributes:
        machine: `str`, qemu's name of it.
        flags: tuple of `str` for compiler and linker.
        hertz: `int`, the clock that the core's own timer counts.
        code, data: `(first address, bytes)` of memory for code and for data.
        constants: "code" or "data", where constants lie.
    """

    machine: str
    flags: tuple
    hertz: int
    code: tuple = (0x0, 0x400000)
    data: tuple = (0x21000000, 0x1000000)
    constants: str = "code"


_MPS2_HERTZ = 25_000_000
BOARDS = {
    # Executes the code of the smaller core, whose instructions it has all.
    "cortex-m0plus": Board(
        "mps2-an385", ("-mcpu=cortex-m0plus", "-mfloat-abi=soft"), _MPS2_HERTZ
    ),
    "cortex-m3": Board(
        "mps2-an385", ("-mcpu=cortex-m3", "-mfloat-abi=soft"), _MPS2_HERTZ
    ),
    "cortex-m4": Board(
        "mps2-an386",
        ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
        _MPS2_HERTZ,
    ),
    "cortex-m7": Board(
        "mps2-an500",
        ("-mcpu=cortex-m7", "-mfpu=fpv5-d16", "-mfloat-abi=hard"),
        _MPS2_HERTZ,
        data=(0x60000000, 0x1000000),
    ),
    "cortex-m55": Board(
        "mps3-an547",
        ("-mcpu=cortex-m55", "-mfloat-abi=hard"),
        32_000_000,
        code=(0x0, 0x80000),
        data=(0x70000000, 0x4000000),
        constants="data",
    ),
}


def get(core):
    """The board of a core; an unknown core is an error that lists them."""
    if core not in BOARDS:
        raise ValueError(
            f"The core must be one of {', '.join(BOARDS)}. Received: "
            f"core={core!r}."
        )
    return BOARDS[core]


def link(board, objects, program, flags=()):
    """Links a program for a board.

    Args:
        board: `Board`.
        objects: paths of objects and archives.
        program: `pathlib.Path`, the file to write; the map lies beside it.
        flags: more flags for the linker.
    """
    script = program.with_suffix(".ld")
    (code, code_bytes), (data, data_bytes) = board.code, board.data
    script.write_text(
        _LINKER.format(
            code=code,
            code_bytes=code_bytes,
            data=data,
            data_bytes=data_bytes,
            constants=board.constants,
        )
    )
    start = program.with_suffix(".startup.o")
    subprocess.run(
        [f"{PREFIX}gcc", "-mthumb", *board.flags, "-O2", "-c"]
        + [str(_SOURCES / "startup.c"), "-o", str(start)],
        check=True,
    )
    subprocess.run(
        [f"{PREFIX}g++", "-mthumb", *board.flags, "--specs=rdimon.specs"]
        + ["-nostartfiles", "-Wl,--gc-sections", f"-Wl,-Map={program}.map"]
        + ["-Wl,--no-warn-rwx-segments", f"-T{script}", str(start)]
        + [*map(str, objects), *flags, "-o", str(program)],
        check=True,
    )


def run(board, program, *arguments, seconds=600):
    """Runs a program; the `CompletedProcess`, whose output is text.

    One instruction takes one nanosecond of the emulated time.
    """
    shown = ",".join(f"arg={part}" for part in (program.name, *arguments))
    return subprocess.run(
        ["qemu-system-arm", "-M", board.machine, "-nographic", "-kernel"]
        + [str(program), "-monitor", "none", "-serial", "none"]
        + ["-icount", "shift=0"]
        + ["-semihosting-config", f"enable=on,target=native,{shown}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def instructions(board, ticks):
    """How many instructions so many ticks of the core's timer are."""
    return ticks * 1_000_000_000 // board.hertz


def sizes(program):
    """Bytes of a program in flash and in RAM, `dict` from kind to `int`."""
    listed = subprocess.run(
        [f"{PREFIX}size", "-A", str(program)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = {}
    for line in listed.splitlines():
        parts = line.split()
        if parts and parts[0] in _SECTIONS:
            kind = _SECTIONS[parts[0]]
            found[kind] = found.get(kind, 0) + int(parts[1])
    return found
