"""Writes the firmware sources of a .tflite file."""

import dataclasses
import pathlib
from collections.abc import Sequence

from absl import logging

from tfprune.core import boards
from tfprune.core import cores
from tfprune.core import kinds
from tfprune.core import printed
from tfprune.core import typed
from tfprune.core.files import atomic
from tfprune.core.files import leftovers
from tfprune.costs import code_size
from tfprune.export.edit import lean
from tfprune.export.edit.replaced import substitutes
from tfprune.export.file import model_file
from tfprune.export.micro import c_api
from tfprune.export.micro import c_source
from tfprune.export.micro import folder_checks
from tfprune.export.micro import golden
from tfprune.export.micro import kernel_limits
from tfprune.export.micro import kernels as op_kernels
from tfprune.export.micro import memory_map
from tfprune.export.micro import projects
from tfprune.export.micro.arena import arena_need
from tfprune.export.micro.arena import measured_arena
from tfprune.export.micro.arena import offline_plan

_ESP_PROJECT = "esp-idf"


@dataclasses.dataclass(frozen=True)
class MicroSource(printed.Printed):
    """What `export_micro` wrote.

    Attributes:
        folder: `str`, the folder.
        files: `tuple` of `str`, the paths of the files that were written.
        name: `str`, the prefix of all C names.
        flash_bytes: `int`, the size of the array.
        code: `costs.code_size.CodeSize` of TFLite Micro and the kernels.
        image_bytes: `int`, the size of the array and that code.
        arena: `measured_arena.Arena`, measured on this machine.
        esp_need: `arena_need.Need` of ESP-NN, if the sources run with ESP-IDF
            as well; `None` if they do not, or only there.
        arena_need: `arena_need.Need` of the kernels that may run.
        arena_bytes: `int`, the arena that the sources reserve on a
            microcontroller.
        resolver_methods: `tuple` of `str`, the op resolver's methods that
            register the kernels.
    """

    folder: str
    files: tuple[str, ...]
    name: str
    flash_bytes: int
    code: code_size.CodeSize
    image_bytes: int
    arena: measured_arena.Arena
    esp_need: arena_need.Need | None
    arena_need: arena_need.Need
    arena_bytes: int
    resolver_methods: tuple[str, ...]


def arena_bytes(
    path: typed.Path, kernels: str = "auto", core: str | None = None
) -> int:
    """The tensor arena that a .tflite file needs on a microcontroller.

    Simulates the initialization of TFLite Micro step by step, for 32-bit
    pointers and with the scratch buffers of the kernels that will run. The
    result is the smallest arena in which the model starts and runs, which can
    exceed the size that the interpreter reports as used.

    Args:
        path: `str` or path-like.
        kernels: "reference", "cmsis-nn", "esp-nn" or "auto": the reference
            kernels and the optimized ones of the core.
        core: `str`, such as "cortex-m55"; `None` means the largest arena of
            all Cortex-M.

    Returns:
        `int`, bytes.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        OSError: If the file cannot be read.
        ValueError: If it is not a TFLite model, or if there are no such
            kernels or core.

    Example:

    >>> arena_bytes("small.tflite", "cmsis-nn", "cortex-m55")
    """
    model_file.read(path)
    return arena_need.of(path, kernels, core).bytes


def array_bytes(path):
    """The size of the array that `export_micro` makes of a .tflite file.

    Args:
        path: `str` or path-like.

    Returns:
        `int`, bytes: those of the file without names and metadata. What
        `export_micro` rewrites for a core, or plans, is not in it.
    """
    data = substitutes.substituted(pathlib.Path(path).read_bytes())
    return len(lean.without_notes(data))


def image_bytes(
    path: typed.Path, kernels: str = "auto", core: str | None = None
) -> int:
    """The flash that `export_micro`'s array and the code that runs it take.

    Args:
        path: `str` or path-like.
        kernels, core: as for `arena_bytes`; of several kernels, the largest
            counts.

    Returns:
        `int`, bytes; your own program comes beside.

    Raises:
        ImportError, OSError, ValueError: As `arena_bytes`.

    Example:

    >>> image_bytes("small.tflite", "cmsis-nn", "cortex-m55")
    """
    file = model_file.read(path)
    need = arena_need.of(path, kernels, core)
    return array_bytes(path) + _code(file, need).bytes


def export_micro(
    tflite_path: typed.Path,
    out: typed.Path,
    *,
    name: str | None = None,
    labels: Sequence[str] = (),
    sample: typed.Data = None,
    arena_margin: float = 0.1,
    flash_bytes: int | None = None,
    ram_bytes: int | None = None,
    image_bytes: int | None = None,
    kernels: str = "auto",
    core: str | None = None,
    board: str | boards.Board | None = None,
    project: str | None = None,
    plan_memory: bool = False,
) -> MicroSource:
    """Writes a .tflite file as a project for TFLite Micro.

    The folder holds

    - `model.cc`, `model.h`: the file as an aligned constant array, so that it
      stays in flash, without names and metadata that a microcontroller does
      not read;
    - `model_settings.h`: arena, shapes, types, scales and zero points;
    - `model_ops.h`: registers only the kernels that the model needs;
    - `model_api.h`, `.cc`: C functions that start and run the model;
    - `model_golden.cc`, `.h`: inputs and their expected outputs;
    - `memory.md`: where flash and RAM go, and what would reduce them;
    - project files of build tools: of CMake, and of Arduino if its library
      computes the model correctly, or of the `project` that is asked for. Each
      has a main program that runs the model on the golden inputs, compares
      the outputs and measures the time.

    The files are written completely or not at all. While the files of another
    model are replaced, and after a crash at that moment, the headers do not
    compile. Main programs and project files are starting points: existing ones
    are not changed. Other projects that the folder already holds are updated.

    Args:
        tflite_path: `str` or path-like, the file to embed.
        out: `str` or path-like, the folder to write. It is created if it is
            missing; its parent is not.
        name: The prefix of all C names, converted to a C identifier; by
            default, the name of the file, with "_net" where software kits or C
            libraries have names of that prefix.
        labels: sequence of `str`, the names of the classes in the order of the
            output, or of its last axis if that is a map.
        sample: real inputs of the self-test, shape `(N, ...)` with N of at most
            4; a tuple or list of arrays for several inputs. The self-test adds
            random inputs that tell kernels apart.
        arena_margin: `float` of at least 0, the share of the arena to reserve
            beyond what the model needs: 0.1 is 10 %. The arena never exceeds
            `ram_bytes`.
        flash_bytes: `int`, the maximum size of the array.
        ram_bytes: `int`, the maximum size of the arena.
        image_bytes: `int`, the maximum size of the array and the code that runs
            it, without your own program.
        kernels, core: the kernels and the core that the arena is for, as for
            `arena_bytes`. By default, the sources run on any Cortex-M with the
            reference kernels or CMSIS-NN, with ESP-IDF, and on a computer;
            `project="esp-idf"` is for ESP-NN alone. For an ESP32, ops that
            ESP-NN computes wrongly there are rewritten; without a core or a
            project, a warning names them.
        board: a name from `tfprune boards`, or a `core.boards.Board`: its
            core, and what a model may use of its flash and RAM, where these
            are not given.
        project: `None`, "cmake", "arduino", "platformio", "zephyr", "esp-idf"
            or "stm32cube": the project to write, checked against the kernels of
            its version of TFLite Micro.
        plan_memory: `bool`, whether to store a memory plan of the activations
            in the array if it takes less arena than TFLite Micro's own plan;
            see `offline_plan`.

    Returns:
        A `MicroSource`.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        OSError: If the files cannot be read or written.
        RuntimeError: If TFLite Micro cannot run the file.
        ValueError: If it is not a TFLite model, if TFLite Micro has no
            kernel for an op, if the kernels do not support the file's scales,
            if the board is unknown,
            if the labels or the sample do not fit, if the folder holds another
            model, or if a budget is exceeded; the message tells by how much.

    Example:

    >>> sources = export_micro("small.tflite", "firmware",
    ...                        board="nano-33-ble", project="zephyr")
    >>> sources.arena.required_bytes
    """
    out = atomic.writable_folder(out)
    if board is not None:
        chip = boards.get(board)
        core = core or cores.get(chip.core)
        flash_bytes = chip.flash_bytes if flash_bytes is None else flash_bytes
        ram_bytes = chip.ram_bytes if ram_bytes is None else ram_bytes
    kinds.check_bytes(
        flash_bytes=flash_bytes, ram_bytes=ram_bytes, image_bytes=image_bytes
    )
    arena_need.check_margin(arena_margin)
    file = model_file.read(tflite_path)
    labels = folder_checks.labels(labels, file)
    folder_checks.project(project)
    name = folder_checks.c_name(name, tflite_path)
    folder_checks.same_model(out, name)
    if project == _ESP_PROJECT and kernels == "auto" and core is None:
        # The largest arena is that of its chips.
        kernels = "esp-nn"
    # What an earlier version, or another tool, exported gets what it lacks.
    original = substitutes.substituted(pathlib.Path(tflite_path).read_bytes())
    original, warning = kernel_limits.for_esp(
        original, kernels, core, _is_there(out, _ESP_PROJECT, name, project)
    )
    methods = op_kernels.methods_of(original)
    data = lean.without_notes(original)
    if plan_memory:
        data = offline_plan.planned(data, kernels, core)
    need = kernel_limits.runnable(arena_need.of(data, kernels, core), original)
    layouts = _layouts(out, name, project, original, methods)
    with leftovers.folder() as folder:
        named, embedded = (
            pathlib.Path(folder, f"{k}.tflite") for k in ("named", "model")
        )
        named.write_bytes(original)
        embedded.write_bytes(data)
        # The one with all names comes first, for errors.
        _, measured = measured_arena.arenas([named, embedded], tflite_path)
        file = model_file.read(embedded)
        code = _code(file, need)
        _check_budgets(file, need, code, flash_bytes, ram_bytes, image_bytes)
        pairs = golden.pairs(file, sample)
        reserved = arena_need.reserved(need.bytes, arena_margin, ram_bytes)
        esp_need = None
        if need.kernels == "auto" and need.core is None:
            esp_need = arena_need.of(data, "esp-nn")
        branches = _branches(need, esp_need, measured, arena_margin, ram_bytes)
        arena_macros = arena_need.macros(
            name.upper(), branches, measured.required_bytes
        )
        arena_macros = warning + arena_macros
        texts = {
            "model.cc": c_source.source(data, name, labels),
            "model.h": c_source.header(file, name),
            "model_settings.h": c_source.settings(
                file, name, arena_macros, labels
            ),
            "model_ops.h": c_source.ops(name, methods),
            "model_api.h": c_api.header(file, name, labels),
            "model_api.cc": c_api.source(file, name),
            "model_golden.cc": c_source.golden_source(file, name, pairs),
            "model_golden.h": c_source.golden_header(file, name, len(pairs[0])),
        }
        sources = projects.Sources(file, name, dict(texts))
        texts["memory.md"] = memory_map.text(
            name, data, need, code, reserved, original
        )
        starts: dict[str, str] = {}
        for layout in layouts:
            texts |= layout.files(sources)
            starts |= layout.starts(sources)
    folder_checks.target(out, name, texts)
    texts |= {k: v for k, v in starts.items() if not (out / k).exists()}
    written = {out / path: text.encode() for path, text in texts.items()}
    # Every source includes a header: old and new files never compile together.
    headers = [path for path in written if path.suffix == ".h"]
    atomic.write(
        written, guards=dict.fromkeys(headers, folder_checks.HALF_WRITTEN)
    )
    logging.info("Wrote %d files into %s.", len(written), out)
    return MicroSource(
        folder=str(out),
        files=tuple(map(str, written)),
        name=name,
        flash_bytes=file.file_bytes,
        code=code,
        image_bytes=file.file_bytes + code.bytes,
        arena=measured,
        esp_need=esp_need,
        arena_need=need,
        arena_bytes=reserved,
        resolver_methods=tuple(methods),
    )


def _is_there(out, key, name, project):
    """Whether a project was asked for or is already in the folder."""
    return project == key or projects.PROJECTS[key].is_in(out, name)


def _layouts(out, name, project, data, methods):
    """The projects to write, list of `projects.Layout`.

    If a project's version of TFLite Micro does not compute the file correctly,
    that is an error if the project was asked for or is already in the folder;
    other such projects are left out.
    """
    found = []
    for key, layout in projects.PROJECTS.items():
        wanted = _is_there(out, key, name, project)
        if not wanted and (project is not None or not layout.by_default):
            continue
        reason = layout.refusal(data, methods)
        if not reason:
            found.append(layout)
        elif project == key:
            raise ValueError(reason)
        elif wanted:
            raise ValueError(
                f"{reason} Or remove the {key} project that {str(out)!r} has, "
                "if it is not needed."
            )
        else:
            logging.warning("No project is written for %s. %s", key, reason)
    return found


def _branches(need, esp, measured, margin, limit):
    """The branches that `arena_need.macros` takes: the arena by compiler."""
    host = arena_need.reserved(measured.required_bytes, margin)
    narrow, known = arena_need.NARROW, arena_need.ESP
    first = (narrow, need, arena_need.reserved(need.bytes, margin, limit))
    found = [first]
    if esp is not None:
        most = None if limit is None else max(limit, esp.bytes)
        found = [
            (f"!{known} && {narrow}", *first[1:]),
            (known, esp, arena_need.reserved(esp.bytes, margin, most)),
        ]
    return [*found, ("", None, host)]


def _code(file, need):
    """The code size of the largest of the kernels that may run the file."""
    found = [code_size.of(file.ops, *key) for key in need.plans]
    return max(found, key=lambda code: code.bytes)


def _check_budgets(file, need, code, flash_bytes, ram_bytes, image_bytes):
    needs = {
        "image_bytes": (
            image_bytes,
            file.file_bytes + code.bytes,
            "image",
            f" with {code.bytes:,} bytes of code ({code.kernels})",
        ),
        "flash_bytes": (flash_bytes, file.file_bytes, "array", ""),
        "ram_bytes": (
            ram_bytes,
            need.bytes,
            "tensor arena",
            f" with {arena_need.described(*need.worst)}",
        ),
    }
    over = [
        f"{argument}={limit}, the {what} takes {bytes_:,} bytes{where}, "
        f"{bytes_ - limit:,} too many"
        for argument, (limit, bytes_, what, where) in needs.items()
        if limit is not None and bytes_ > limit
    ]
    if over:
        raise ValueError(
            f"The model must fit its budgets. Received: {'; '.join(over)}. "
            "Remove more channels, or quantize to int8."
        )
