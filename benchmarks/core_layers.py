"""Layers on emulated cores: predicted arenas and equal outputs.

Networks of one layer, op or block run in int8 and int16x8 on qemu's Cortex-M4
and M55 with CMSIS-NN. The smallest arena is found by bisection.

  python benchmarks/core_layers.py --tflite_micro=../tflite-micro \\
      --table=docs/results/core_layers.md

If it is started again, it continues with what is missing.
"""

import json
import pathlib

import emulated
import layer_rows
import results
from absl import app
from absl import flags

from tfprune.core import tables
from tfprune.core.files import atomic
from tfprune.export.convert import tflite
from tfprune.export.micro import firmware_folder

FLAGS = flags.FLAGS
flags.DEFINE_list("only", [], "names of rows; empty means all")
flags.DEFINE_string("out", "build/bench/core_layers", "folder of results")
flags.DEFINE_string("table", "", "also write a table to this file")

MODES = ("int8", "int16x8")
CORES = ("cortex-m4", "cortex-m55")
KERNELS = "cmsis-nn"
_SAMPLES = 64
_LIMIT = 0.05


def cell(folder, name, mode, core):
    """What a row needs in a mode on a core; `None` if it is refused."""
    stem = folder / mode / name.replace(" ", "_").replace(",", "")
    path, refused = stem.with_suffix(".tflite"), stem.with_suffix(".refused")
    found = stem.with_suffix(f".{core}.json")
    if not path.exists() and not refused.exists():
        model, x = layer_rows.of(name, _SAMPLES)
        try:
            tflite.export_tflite(model, path, mode, x)
        except (RuntimeError, ValueError) as error:
            refused.write_text(str(error))
    if refused.exists():
        return None
    if not found.exists():
        row = emulated.measure(folder, path, KERNELS, core)
        print(name, mode, core, row, flush=True)
        atomic.write({found: json.dumps(row, indent=1).encode()})
    need = firmware_folder.arena_bytes(path, KERNELS, core)
    return {**json.loads(found.read_text()), "predicted": need}


def shown(found):
    """The cell of the table."""
    if found is None:
        return "refused"
    share = found["predicted"] / found["least"] - 1
    text = f"{found['predicted']:,} ({share:+.1%})"
    if found["differ"]:
        text += f", {found['differ']} of {found['values']} differ by up to "
        text += f"{found['most']:.3g}"
    return text


def main(_):
    folder = pathlib.Path(FLAGS.out).absolute()
    for mode in MODES:
        (folder / mode).mkdir(parents=True, exist_ok=True)
    # Column by column, so that each core's program is linked only once.
    columns = {
        (mode, core): {
            name: cell(folder, name, mode, core)
            for name in FLAGS.only or layer_rows.ROWS
        }
        for core in CORES
        for mode in MODES
    }
    order = [(mode, core) for mode in MODES for core in CORES]
    rows = tuple(
        (name, *(shown(columns[key][name]) for key in order))
        for name in FLAGS.only or layer_rows.ROWS
    )
    ran = [row for c in columns.values() for row in c.values() if row]
    low = sum(row["predicted"] < row["least"] for row in ran)
    high = sum(row["predicted"] > row["least"] * (1 + _LIMIT) for row in ran)
    wrong = sum(row["differ"] > 0 for row in ran)
    most = max((row["most"] for row in ran), default=0)
    header = "layer", *(f"{mode}, {core}" for mode, core in order)
    text = (
        "# Layers on emulated cores\n\n"
        "Networks of one layer, op or block with random weights, exported, "
        "and run with CMSIS-NN in qemu: mps2-an386 (Cortex-M4) and mps3-an547 "
        "(Cortex-M55). The arena that `tfprune.export.arena_bytes` predicts, "
        "in bytes, and how much more that is than the smallest in which the "
        f"file starts and runs, found by bisection. Of {len(ran)} runs, "
        f"{low} need more than predicted, in {high} the prediction is more "
        f"than {_LIMIT:.0%} above, and the outputs of {wrong} differ from "
        f"those of the interpreter on this machine, by up to {most:.3g} as "
        "they are stored: what is computed in float32 may round otherwise. "
        "Compilers other than Arm's own need fewer scratch buffers on a "
        "Cortex-M4 than predicted. "
        "[micro_layers.md](micro_layers.md) says why some are refused.\n\n"
        f"{tables.Table(header, rows, left=1).to_markdown()}\n"
        f"{results.footer('core_layers.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
