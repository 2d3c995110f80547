"""What the code of TFLite Micro and of each kernel takes, by linking it.

A program is linked without any kernel and with one at a time. The linker's map
lists the functions and constants that stay; those that several kernels need
count once, however many of them a model has:

  python -m tools.code_sizes --tflite_micro=../tflite-micro \\
      --core=cortex-m4 --kernels=cmsis-nn

writes what it found into tfprune/costs/code_parts.json.
"""

import collections
import pathlib
import re
import tempfile

from absl import app
from absl import flags

from tfprune.costs import measured_tables
from tfprune.export.micro import c_source
from tfprune.export.micro import kernels
from tools import emulated_boards
from tools import firmware_library
from tools import source_tree

FLAGS = flags.FLAGS
TABLE = source_tree.ROOT / "tfprune" / "costs" / "code_parts.json"
_SOURCE = pathlib.Path(__file__).parent / "firmware/image.cc"
# One line where the name is short, two where it is long.
_SECTION = re.compile(
    r"^ (\.(?:text|rodata|data|init_array|ARM)\S*)\s+0x\w+\s+0x(\w+) (\S+)$",
    re.M,
)
# The harness's own, and what prints through the emulator.
_HARNESS = ("image.o", "startup.o", "librdimon", "crti.o", "crtn.o")


def kept(map_text):
    """What a linked program holds: `dict` from a section's name to bytes.

    Args:
        map_text: `str`, the linker's map.
    """
    text = map_text.split("Linker script and memory map", 1)[1]
    text = re.sub(r"^( \.\S+)\n\s+0x", r"\1 0x", text, flags=re.M)
    found = collections.Counter()
    for name, size, path in _SECTION.findall(text):
        if int(size, 16) and not any(part in path for part in _HARNESS):
            found[f"{name} {pathlib.Path(path).name}"] += int(size, 16)
    return dict(found)


def measure(library, folder, names):
    """Sections of a program with each kernel alone; "" is that without any.

    Yields what is known after each kernel, `dict` from name to sections.
    """
    found, objects = {}, None
    program, object_ = folder / "image.elf", folder / "image.o"
    library.prepare()
    for some in (names, (), *((name,) for name in names)):
        methods = [f"Add{name}" for name in some]
        (folder / "image_ops.h").write_text(c_source.ops("image", methods))
        library.compile(_SOURCE, object_, "-Os", f"-I{folder}")
        if objects is None:
            # What all of them need; the linker leaves out what one does not.
            objects = library.build([object_])
            continue
        emulated_boards.link(library.board, [object_, *objects], program)
        name = "".join(some)
        found[name] = kept(pathlib.Path(f"{program}.map").read_text())
        print(name or "no kernel", sum(found[name].values()), flush=True)
        yield found


def table(found):
    """The smallest table that gives the sum for any choice of kernels.

    Returns:
        `dict` with "base", bytes without any kernel, and "parts", a list of
        `[bytes, names of the kernels that need them]`.
    """
    base = found[""]
    needed = collections.defaultdict(set)
    sizes = {}
    for name, sections in found.items():
        for section, size in sections.items():
            # A vector of zeros and the like may grow with the program.
            sizes[section] = max(size, sizes.get(section, 0))
            if name and section not in base:
                needed[section].add(name)
    parts = collections.Counter()
    for section, names in needed.items():
        parts[tuple(sorted(names))] += sizes[section]
    return {
        "base": sum(base.values()),
        "parts": [[size, list(names)] for names, size in sorted(parts.items())],
    }


def main(_):
    library = firmware_library.Library(
        FLAGS.tflite_micro,
        FLAGS.core,
        FLAGS.kernels,
        FLAGS.build,
        FLAGS.cmsis_nn,
        FLAGS.jobs,
    )
    names = [m.removeprefix("Add") for m in kernels.portable_methods()]
    known = dict(measured_tables.table("code_parts"))
    with tempfile.TemporaryDirectory() as folder:
        for found in measure(library, pathlib.Path(folder), names):
            known |= {f"{FLAGS.kernels} {FLAGS.core}": table(found)}
            source_tree.write_data(TABLE, known)


if __name__ == "__main__":
    firmware_library.define_flags()
    app.run(main)
