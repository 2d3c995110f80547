"""Runs two models in one arena on emulated cores.

Exports two networks as firmware, has them share an arena, compiles both with
TFLite Micro and CMSIS-NN, and lets them take turns on golden pairs. Compares
the arena that is predicted with the least one in which all outputs are right.

  python benchmarks/shared_arena.py --tflite_micro=../tflite-micro \\
      --table=docs/results/shared_arena.md
"""

import pathlib
import re
import sys

import keras
import numpy as np
import results
from absl import app
from absl import flags

# The tools are not installed.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import tfprune
from tfprune import zoo
from tfprune.core import tables
from tools import emulated_boards
from tools import firmware_library
from tools import layer_costs

FLAGS = flags.FLAGS
flags.DEFINE_string("tflite_micro", None, "sources of TFLite Micro")
flags.DEFINE_string("build", "build/firmware", "folder of objects")
flags.DEFINE_string("out", "build/bench/shared_arena", "folder of firmware")
flags.DEFINE_string("table", "", "also write the table to this file")
flags.mark_flag_as_required("tflite_micro")

CORES = ("cortex-m4", "cortex-m55")
PAIRS = (("ds_cnn", "resnet8"), ("ds_cnn", "autoencoder"))
_ALIGNMENT = 16
_MAIN = """\
#include <stdio.h>
#include <string.h>

#include "first/model_api.h"
#include "first/model_golden.h"
#include "second/model_api.h"
#include "second/model_golden.h"

int main() {
  if (first_init() != FIRST_OK || second_init() != SECOND_OK) return 5;
  int different = 0, values = 0;
  for (int pair = 0; pair < FIRST_GOLDEN_COUNT; ++pair) {
    static int8_t first[FIRST_OUTPUT_0_SIZE], second[SECOND_OUTPUT_0_SIZE];
    if (first_run(first_golden_input_0[pair], first) != FIRST_OK) return 6;
    if (second_run(second_golden_input_0[pair], second) != SECOND_OK) return 6;
    for (int k = 0; k < FIRST_OUTPUT_0_SIZE; ++k, ++values) {
      different += first[k] != first_golden_output_0[pair][k];
    }
    for (int k = 0; k < SECOND_OUTPUT_0_SIZE; ++k, ++values) {
      different += second[k] != second_golden_output_0[pair][k];
    }
  }
  printf("differ %d of %d\\n", different, values);
  return 0;
}
"""


def firmware(pair, core, folder):
    """`(bytes, list of bytes)`: the shared arena and those of each alone."""
    sources = []
    for name, network in zip(("first", "second"), pair, strict=True):
        keras.utils.set_random_seed(0)
        model = zoo.build(network)
        shape = 16, *model.input_shape[1:]
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        path = folder / f"{name}.tflite"
        tfprune.export_tflite(model, path, "int8", x)
        sources.append(
            tfprune.export_micro(
                path, folder / name, name=name, kernels="cmsis-nn", core=core
            )
        )
    alone = [source.arena_need.bytes for source in sources]
    return tfprune.export.share_arena(sources, folder, 0.0), alone


class Program:
    """Both models and a main program, for arenas of any size."""

    def __init__(self, library, folder, build):
        self._library, self._folder, self._build = library, folder, build
        build.mkdir(parents=True, exist_ok=True)
        main = build / "main.cc"
        main.write_text(_MAIN)
        self._objects = [self._compiled(main, build / "main.o")]
        for name in ("first", "second"):
            for source in sorted((folder / name).glob("model*.cc")):
                target = build / f"{name}_{source.stem}.o"
                flags_ = f"-I{folder / name}", f"-D{name.upper()}_SHARED_ARENA"
                self._objects.append(self._compiled(source, target, *flags_))
        self._arena = build / "shared_arena.o"
        self._compiled(folder / "shared_arena.cc", self._arena)
        self._rest = library.build([*self._objects, self._arena])

    def _compiled(self, source, target, *options):
        here = f"-I{self._folder}"
        self._library.compile(source, target, "-Os", here, *options)
        return target

    def run(self, arena):
        """What it prints in an arena of so many bytes, `None` if too small."""
        size = f"-DSHARED_ARENA_BYTES={arena}"
        self._arena.unlink(missing_ok=True)
        self._compiled(self._folder / "shared_arena.cc", self._arena, size)
        path = self._build / "program.elf"
        objects = [*self._objects, self._arena, *self._rest]
        emulated_boards.link(self._library.board, objects, path)
        done = emulated_boards.run(self._library.board, path)
        if done.returncode in (5, emulated_boards.FAULT):
            return None
        if done.returncode:
            raise RuntimeError(
                "Both models must run. Received: exit "
                f"{done.returncode}; it printed:\n{done.stdout}{done.stderr}"
            )
        return done.stdout


def measured(pair, core, folder):
    predicted, alone = firmware(pair, core, folder)
    library = firmware_library.Library(
        FLAGS.tflite_micro, core, "cmsis-nn", FLAGS.build
    )
    library.prepare()
    program = Program(library, folder, folder / core)
    units, text = layer_costs.least_units(
        lambda n: program.run(n * _ALIGNMENT),
        predicted // _ALIGNMENT,
        4 * predicted // _ALIGNMENT,
    )
    different, values = re.search(r"differ (\d+) of (\d+)", text).groups()
    least = units * _ALIGNMENT
    return (
        " and ".join(pair),
        core,
        f"{sum(alone):,}",
        f"{predicted:,}",
        f"{least:,}",
        f"{predicted / least - 1:+.1%}",
        f"{different} of {values}",
    )


def main(argv):
    del argv
    rows = []
    for pair in PAIRS:
        for core in CORES:
            folder = pathlib.Path(FLAGS.out).absolute() / "-".join(
                (*pair, core)
            )
            folder.mkdir(parents=True, exist_ok=True)
            rows.append(measured(pair, core, folder))
            print(rows[-1], flush=True)
    header = ("networks", "core", "two arenas", "shared", "least", "above")
    header += ("outputs that differ",)
    table = tables.Table(header, tuple(rows), left=2)
    results.publish(
        "# Two models in one arena\n\n"
        "Bytes of arena of two int8 networks in one firmware with CMSIS-NN: "
        "one for each, the shared one that `share_arena` reserves for the core "
        "(without a margin), and the least in which both start and give "
        "the right outputs in turns, to the last bit, on that core in an "
        "emulator.\n\n"
        f"{table.to_markdown()}\n{results.footer('shared_arena.py')}\n",
        FLAGS.table,
    )


if __name__ == "__main__":
    app.run(main)
