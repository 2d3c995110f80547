"""The command `tfprune export`: builds everything, then moves it in place."""

import contextlib
import pathlib
import re

import tfprune
from tfprune.cli import actions
from tfprune.cli import choices
from tfprune.cli import printing
from tfprune.core import boards
from tfprune.core import cores
from tfprune.core import tables
from tfprune.core.files import atomic
from tfprune.core.files import leftovers
from tfprune.deploy import file_evaluation
from tfprune.export.file import modes
from tfprune.export.micro import compression
from tfprune.export.micro import folder_checks
from tfprune.reports import quantities


def export(paths, values, given):
    out, micro = given["out"], given["micro"]
    board = values.board and boards.get(values.board)
    if micro:
        with _in_words_of_flags():
            name = folder_checks.c_name(None, out)
            folder_checks.same_model(micro, name)
    core = values.core or (board and board.core)
    kernels = cores.of_file(values.kernels, core and cores.get(core))
    model = actions.load(paths[0], values)
    with leftovers.folder() as folder:
        # Names in the sources are derived from the file's name.
        path = pathlib.Path(folder, out.name)
        inputs = _inputs(given["calibration"], model)
        facts = _file(model, path, inputs, values, kernels, board)
        if values.compress:
            facts |= _compressed(path, values, board, core)
        facts |= _qualities(path, model, given["data"], values)
        facts |= _npu(path, values)
        if micro:
            facts |= _sources(path, micro, values)
        atomic.write({out: path.read_bytes()})
    facts = {"file": str(out), **facts}
    if values.format == "json":
        return printing.as_json(facts)
    rows = [
        (name.replace("_", " "), _cell(name, v)) for name, v in facts.items()
    ]
    table = tables.Table(("", "written"), tuple(rows), left=2)
    return printing.shown([table], values)


def _file(model, path, calibration, values, kernels, board):
    file = tfprune.export_tflite(
        model,
        path,
        values.quantize,
        calibration,
        interface=values.interface,
        input_shapes=values.input_shape,
        sparse=values.sparse,
        kernels=kernels,
        dense_scales=_dense_scales(values, board),
        ranges=_ranges(values),
        runtime="tflite" if values.runtime == "reference" else values.runtime,
    )
    return {"file_bytes": file.file_bytes, "ops": file.ops}


def _compressed(path, values, board, core):
    """Compresses a file in place, within the RAM of the board that runs it."""
    ram_bytes = values.ram_bytes
    if ram_bytes is None and board:
        ram_bytes = board.ram_bytes
    file = tfprune.compress_tflite(
        path,
        path,
        flash_bytes=values.flash_bytes,
        ram_bytes=ram_bytes,
        decoder_bytes=compression.DECODER_BYTES,
        kernels=values.kernels,
        core=core,
    ).file
    return {"file_bytes": file.file_bytes, "ops": file.ops}


def _inputs(calibration, model):
    """The inputs of a file that holds labels, too, as --data has it."""
    is_pair = isinstance(calibration, tuple)
    # A model may have inputs of these names.
    if is_pair and not {"x", "y"} <= {t.name for t in model.inputs}:
        return calibration[0]
    return calibration


def _ranges(values):
    if not values.ranges:
        return None
    found = tfprune.quantization_ranges(values.ranges, values.allow_lambda)
    if not found:
        raise ValueError(
            "--ranges must name a model of quantization-aware training. "
            f"Received: --ranges={values.ranges}, which holds no ranges of "
            "outputs. Drop it."
        )
    return found


def _dense_scales(values, board):
    """The scales that --project supports, if the mode leaves a choice.

    Without one, a board of Arduino is taken for a sketch.
    """
    chosen = values.dense_scales
    project = values.project or (board and board.is_arduino and "arduino")
    if chosen or choices.PROJECTS.get(project) != "tensor":
        return chosen
    return modes.dense_scales(values.quantize) and "tensor"


def _qualities(path, model, data, values):
    if data is None:
        return {}
    runtime = "micro" if values.compress else values.runtime or "tflite"
    progress = values.format == "text"
    found = file_evaluation.qualities(path, model, data, runtime, progress)
    return {**found, "runtime": runtime}


def _npu(path, values):
    if not values.vela:
        return {}
    report = tfprune.compile_for_npu(path, values.vela)
    return {
        "npu": report.accelerator,
        "npu_sram_bytes": report.sram_bytes,
        "npu_flash_bytes": report.flash_bytes,
        "npu_cycles": report.cycles,
        "npu_share_of_ops": report.npu_share,
        "ops_on_cpu": report.cpu_ops,
    }


def _sources(path, out, values):
    with _in_words_of_flags():
        sources = tfprune.export_micro(
            path,
            out,
            labels=values.labels,
            arena_margin=values.arena_margin,
            flash_bytes=values.flash_bytes,
            ram_bytes=values.ram_bytes,
            kernels=values.kernels,
            core=values.core,
            board=values.board,
            project=values.project,
            image_bytes=values.image_bytes,
            plan_memory=values.plan_memory,
        )
    return {
        "sources": sources.folder,
        "array_bytes": sources.flash_bytes,
        "image_bytes": sources.image_bytes,
        "arena_bytes": sources.arena_need.bytes,
        "reserved_arena_bytes": sources.arena_bytes,
    }


@contextlib.contextmanager
def _in_words_of_flags():
    """Names the flags that give the arguments `out` and `name`."""
    try:
        yield
    except ValueError as error:
        text = re.sub(r"\bout=", "--micro=", str(error))
        # The model has the name of its file.
        text = re.sub(r"\bname='(\w+)'", r"--out=\1.tflite", text)
        raise ValueError(text) from error


def _cell(name, value):
    if isinstance(value, dict):
        return ", ".join(f"{n} {op}" for op, n in value.items()) or "none"
    if quantities.is_absolute(name):
        return quantities.absolute(name, value)
    if isinstance(value, float):
        return tables.percent(value, 2)
    return value if isinstance(value, str) else tables.cell(value)
