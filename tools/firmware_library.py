"""TFLite Micro as a static library for a core, from a folder of its sources.

The flags are those of its own makefile. Only the sources that a program needs
are compiled: what is undefined is looked for in them by name. Objects are kept
and made anew where a source is newer.
"""

import collections
import concurrent.futures
import functools
import pathlib
import re
import subprocess

from absl import flags

from tools import emulated_boards

# The flags below belong to the program that asks for them.
flags.disclaim_key_flags()

KERNELS = ("reference", "cmsis-nn")
_MICRO = pathlib.Path("tensorflow/lite/micro")
_FOLDERS = (
    "tensorflow/compiler/mlir/lite/core/api",
    "tensorflow/compiler/mlir/lite/schema",
    "tensorflow/lite/core/api",
    "tensorflow/lite/core/c",
    "tensorflow/lite/kernels",
    "tensorflow/lite/kernels/internal",
    "tensorflow/lite/kernels/internal/reference",
    "tensorflow/lite/micro",
    "tensorflow/lite/micro/arena_allocator",
    "tensorflow/lite/micro/kernels",
    "tensorflow/lite/micro/memory_planner",
    "tensorflow/lite/micro/tflite_bridge",
    "tensorflow/lite/schema",
)
_NO_SOURCES = ("_test.cc", "test_helpers.cc", "testing_helpers.cc")
_NOT_NEEDED = (
    "fake_micro_context.cc",
    "hexdump.cc",
    "kernel_runner.cc",
    "recording_micro_allocator.cc",
    "test_helper_custom_ops.cc",
)
FLAGS = (
    "-mthumb",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fomit-frame-pointer",
    "-funsigned-char",
    "-DTF_LITE_STATIC_MEMORY",
    "-DTF_LITE_DISABLE_X86_NEON",
    "-DTF_LITE_MCU_DEBUG_LOG",
    "-DKERNELS_OPTIMIZED_FOR_SPEED",
    "-DARM_NN_ENABLE_F16=0",
    "-DARM_NN_ENABLE_F32=0",
)
CXX_FLAGS = (
    "-std=c++17",
    "-fno-rtti",
    "-fno-exceptions",
    "-fno-threadsafe-statics",
)
# Read once for all sources: parsing them takes longer than compiling.
_HEADERS = (
    "tensorflow/lite/schema/schema_generated.h",
    "tensorflow/lite/micro/kernels/kernel_util.h",
    "tensorflow/lite/micro/micro_allocator.h",
    "tensorflow/lite/kernels/internal/tensor_ctypes.h",
)
# The beginning of a function or of a table, as it stands in the sources.
_DEFINED = re.compile(r"^(?:\w[^;=#]*?\b)?(\w+)(?:\(|\[\w*\] = )", re.M)
# A class whose methods stand there, and with them its table of methods.
_CLASS = re.compile(r"^\w[\w:<>*& ]*?\b(\w+)::~?\w+\(", re.M)
# What its makefile downloads, and a header that tells that it is there.
_THIRD_PARTIES = {
    "flatbuffers": "include/flatbuffers/flatbuffers.h",
    "gemmlowp": "fixedpoint/fixedpoint.h",
    "ruy": "ruy/profiler/instrumentation.h",
}


def define_flags():
    """Defines the flags of the tools that build this library."""
    flags.DEFINE_string("tflite_micro", None, "sources of TFLite Micro")
    flags.DEFINE_string("cmsis_nn", None, "sources of CMSIS-NN, if elsewhere")
    flags.DEFINE_string("build", "build/firmware", "folder of objects")
    flags.DEFINE_enum(
        "core", "cortex-m4", list(emulated_boards.BOARDS), "to compile for"
    )
    flags.DEFINE_enum("kernels", "cmsis-nn", KERNELS, "of TFLite Micro")
    flags.DEFINE_integer("jobs", 1, "compilers at a time")
    flags.mark_flag_as_required("tflite_micro")


class Library:
    """TFLite Micro for a core, with one kind of kernels.

    Args:
        tree: path-like, its sources.
        core: a key of `emulated_boards.BOARDS`.
        kernels: one of `KERNELS`.
        folder: path-like, where objects and the archive lie.
        cmsis_nn: path-like, sources of CMSIS-NN where they are not in `tree`.
        jobs: `int`, compilers at a time.

    Raises:
        ValueError: If sources are missing; says which and where they were
            looked for.
    """

    def __init__(self, tree, core, kernels, folder, cmsis_nn=None, jobs=1):
        self.tree = pathlib.Path(tree).absolute()
        self.board = emulated_boards.get(core)
        if kernels not in KERNELS:
            raise ValueError(
                f"The kernels must be one of {', '.join(KERNELS)}. Received: "
                f"kernels={kernels!r}."
            )
        if not (self.tree / _MICRO / "micro_interpreter.h").exists():
            raise ValueError(
                "The sources of TFLite Micro are required. Received: "
                f"{str(tree)!r}, which has no {_MICRO}/micro_interpreter.h. "
                "Clone https://github.com/tensorflow/tflite-micro."
            )
        self.kernels = kernels
        self.folder = pathlib.Path(folder).absolute() / f"{core}-{kernels}"
        self._jobs = jobs
        self.includes = [self.tree]
        for name, header in _THIRD_PARTIES.items():
            root = self._third_party(name, header)
            self.includes += [root / "include", root]
        self._cmsis_nn = None
        if kernels == "cmsis-nn":
            root = self._third_party(
                "cmsis_nn", "Include/arm_nnfunctions.h", cmsis_nn
            )
            self._cmsis_nn = root
            self.includes += [root, root / "Include"]

    def _third_party(self, name, header, given=None):
        tried = [given] if given else []
        if not given:
            tried = [
                self.tree / _MICRO / "tools/make/downloads" / name,
                self.tree / "third_party" / name,
                self.tree.parent / name,
            ]
        for folder in map(pathlib.Path, tried):
            if (folder / header).exists():
                return folder.absolute()
            # Some trees hold the headers alone.
            if (folder / pathlib.Path(header).name).exists():
                return folder.parent.absolute()
        raise ValueError(
            f"The sources of {name} are required. Received: none at "
            f"{', '.join(map(str, tried))}. Run TFLite Micro's makefile with "
            "the target third_party_downloads, or put them there."
        )

    def sources(self):
        """The files that belong into the library, list of `pathlib.Path`."""
        found = []
        for folder in _FOLDERS:
            found += sorted((self.tree / folder).glob("*.cc"))
        found = [
            path
            for path in found
            if not path.name.endswith(_NO_SOURCES)
            and path.name not in _NOT_NEEDED
        ]
        # Prints through a callback, as on any board; its clock wants a header
        # of one vendor or another.
        special = self.tree / _MICRO / "cortex_m_generic/debug_log.cc"
        found = self._replaced(found, [special] * special.exists())
        if self._cmsis_nn:
            kernels = self.tree / _MICRO / "kernels/cmsis_nn"
            found = self._replaced(found, kernels.glob("*.cc"))
            found += [
                path
                for path in sorted(self._cmsis_nn.glob("Source/*/*.c"))
                if not path.stem.endswith(("_f16", "_f32", "_flt"))
                and "Bindings" not in path.parts
            ]
        return found

    @staticmethod
    def _replaced(found, special):
        """The sources, with those that a target has of its own."""
        own = {path.name: path for path in special}
        return [own.get(path.name, path) for path in found]

    def build(self, objects):
        """The objects that some others need, compiled.

        Args:
            objects: list of paths, the program's own objects.

        Returns:
            List of `pathlib.Path` of the library's objects.
        """
        self.prepare()
        compiled, missing = {}, _symbols(objects)
        while True:
            wanted = {
                source
                for name in missing
                for source in self._index.get(name, ())
                if source not in compiled
            }
            if not wanted:
                return sorted(compiled.values())
            order = sorted(wanted)
            with concurrent.futures.ThreadPoolExecutor(self._jobs) as pool:
                paths = list(pool.map(self._object, order))
            compiled.update(zip(order, paths, strict=True))
            missing = _symbols([*objects, *compiled.values()])

    @functools.cached_property
    def _index(self):
        """The sources that may define a function, by its name."""
        found = collections.defaultdict(list)
        for source in self.sources():
            text = source.read_text()
            names = {*_DEFINED.findall(text), *_CLASS.findall(text)}
            for name in names:
                found[name].append(source)
        return found

    def prepare(self):
        """Parses the headers that all sources read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        header = self.folder / "common.h"
        if header.with_suffix(".h.gch").exists():
            return
        header.write_text("".join(f'#include "{h}"\n' for h in _HEADERS))
        for name in ("O2", "Os"):
            folder = self.folder / "common.h.gch"
            folder.mkdir(exist_ok=True)
            self._compile(header, folder / name, f"-{name}", "-x", "c++-header")

    def _object(self, source):
        root = self.tree
        if not source.is_relative_to(root):
            root = self._cmsis_nn.parent
        name = "_".join(source.relative_to(root).with_suffix(".o").parts)
        path = self.folder / name
        if not path.exists() or path.stat().st_mtime < source.stat().st_mtime:
            kernel = "kernels" in source.parts or source.suffix == ".c"
            self.compile(source, path, "-O2" if kernel else "-Os")
        return path

    def compile(self, source, path, *flags):
        """Compiles one source file into an object, whole or not at all."""
        made = path.with_suffix(".part.o")
        if source.suffix == ".cc":
            flags = "-include", str(self.folder / "common.h"), *flags
        self._compile(source, made, *flags)
        made.replace(path)

    def _compile(self, source, path, *flags):
        cxx = source.suffix != ".c"
        compiler = f"{emulated_boards.PREFIX}{'g++' if cxx else 'gcc'}"
        own = ("-DCMSIS_NN",) if self._cmsis_nn else ()
        subprocess.run(
            [compiler, *self.board.flags, *FLAGS, *own]
            + [*(CXX_FLAGS if cxx else ("-std=gnu11",)), *flags]
            + [f"-I{folder}" for folder in self.includes]
            + ["-c", str(source), "-o", str(path)],
            check=True,
        )


def _symbols(objects):
    """The plain names of what some objects use and none defines."""
    listed = subprocess.run(
        [f"{emulated_boards.PREFIX}nm", *map(str, objects)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    used, defined = set(), set()
    for line in listed.splitlines():
        parts = line.split()
        if len(parts) == 2 and parts[0] in ("U", "w"):
            used.add(parts[1])
        elif len(parts) == 3:
            defined.add(parts[2])
    names = "\n".join(sorted(used - defined))
    plain = subprocess.run(
        [f"{emulated_boards.PREFIX}c++filt"],
        input=names,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return {re.split(r"[(<]", name)[0].split("::")[-1] for name in plain}
