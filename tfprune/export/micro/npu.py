"""Compiles a .tflite file for an Ethos-U NPU with Arm's compiler Vela."""

import csv
import dataclasses
import pathlib
import subprocess
import sys
from collections.abc import Sequence

from absl import logging

from tfprune.core import packages
from tfprune.core import printed
from tfprune.core import typed
from tfprune.core.files import atomic
from tfprune.core.files import leftovers
from tfprune.export.file import model_file
from tfprune.export.micro.arena import flat_ops
from tfprune.export.run import refusals

ACCELERATORS = (
    *(f"ethos-u55-{macs}" for macs in (32, 64, 128, 256)),
    *(f"ethos-u65-{macs}" for macs in (256, 512)),
    *(f"ethos-u85-{macs}" for macs in (128, 256, 512, 1024, 2048)),
)
_TAIL = 25


@dataclasses.dataclass(frozen=True)
class NpuReport(printed.Printed):
    """Vela's estimates for one file. They are not measurements.

    Attributes:
        accelerator: `str`, one of `ACCELERATORS`.
        system_config: `str`, the clocks and memories that Vela assumes.
        sram_bytes: `int`, SRAM for feature maps and staging buffers; on
            systems with DRAM, some feature maps may lie there instead.
        flash_bytes: `int`, weights compressed for the NPU, and commands; in
            DRAM on systems that keep them there.
        cycles: `int`, cycles of the NPU per inference.
        milliseconds: `float`, time per inference at the assumed clock.
        macs: `int`, multiply-adds on the NPU.
        ops: `int`, the number of ops of the original file.
        cpu_ops: `dict` from op to the number that is left to the CPU.
    """

    accelerator: str
    system_config: str
    sram_bytes: int
    flash_bytes: int
    cycles: int
    milliseconds: float
    macs: int
    ops: int
    cpu_ops: dict[str, int]

    @property
    def npu_share(self):
        """The share of ops that run on the NPU, in [0, 1]."""
        left = min(sum(self.cpu_ops.values()), self.ops)
        return 1 - left / self.ops if self.ops else 0.0


def compile_for_npu(
    path: typed.Path,
    accelerator: str = "ethos-u55-128",
    out: typed.Path | None = None,
    flags: Sequence[str] = (),
) -> NpuReport:
    """Compiles an int8 file for an Ethos-U NPU.

    Args:
        path: `str` or path-like, an int8 file of `export_tflite`.
        accelerator: one of `npu.ACCELERATORS`; the number after the name is
            the multiply-adds per cycle.
        out: `str` or path-like, the compiled file to write, which TFLite Micro
            runs with Arm's driver, in a program of your own: `export_micro`
            takes it no more. `None` writes no file.
        flags: sequence of `str`, further flags of Vela ("--optimise=Size").

    Returns:
        An `NpuReport`.

    Raises:
        ImportError: If the package ethos-u-vela is missing.
        OSError: If a file cannot be read or written.
        RuntimeError: If Vela fails.
        ValueError: If the accelerator is unknown, or the file is not a TFLite
            model.

    Example:

    >>> report = tfprune.compile_for_npu("small.tflite", "ethos-u55-128")
    >>> report.sram_bytes, report.flash_bytes, report.cycles
    """
    if accelerator not in ACCELERATORS:
        raise ValueError(
            f"accelerator must be one of {', '.join(ACCELERATORS)}. Received: "
            f"accelerator={accelerator!r}."
        )
    packages.require("ethosu", "vela", "Compiling for an NPU")
    out = None if out is None else atomic.writable(out)
    before = model_file.read(path)
    with leftovers.folder() as folder:
        folder = pathlib.Path(folder)
        # Vela names its outputs after the file.
        source = folder / "model.tflite"
        source.write_bytes(pathlib.Path(path).read_bytes())
        _run(source, path, accelerator, folder, flags)
        compiled = folder / "model_vela.tflite"
        (table,) = folder.glob("model_summary_*.csv")
        with open(table, newline="") as file:
            (row,) = csv.DictReader(file)
        after = model_file.read(compiled)
        kept = _kept(compiled.read_bytes())
        if out is not None:
            atomic.write({out: compiled.read_bytes()})
            logging.info("Wrote %s.", out)
    return NpuReport(
        accelerator=accelerator,
        system_config=row["system_config"],
        # Vela counts in KiB.
        sram_bytes=round(1024 * float(row["sram_memory_used"])),
        flash_bytes=kept,
        cycles=int(float(row["cycles_total"])),
        milliseconds=1000 * float(row["inference_time"]),
        macs=int(float(row["nn_macs"])),
        ops=sum(before.ops.values()),
        cpu_ops={k: n for k, n in after.ops.items() if k != refusals.NPU_OP},
    )


def _run(source, path, accelerator, folder, flags):
    command = [sys.executable, "-m", "ethosu.vela", str(source)]
    command += [f"--accelerator-config={accelerator}"]
    command += [f"--output-dir={folder}", *flags]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode or not (folder / "model_vela.tflite").exists():
        tail = "\n".join(done.stdout.splitlines()[-_TAIL:])
        raise RuntimeError(
            "Vela must be able to compile the file. Received: "
            f"path={str(path)!r}, accelerator={accelerator!r}. The end of its "
            f"log:\n{tail}"
        )


def _kept(data):
    """Bytes of what a compiled file holds for the NPU.

    Vela's table leaves out the commands, and adds to the weights the feature
    maps that share their memory.
    """
    found = {
        id(tensor): tensor.bytes
        for graph in flat_ops.read(data)
        for op in graph.ops
        if op.kind == refusals.NPU_OP
        for tensor in op.inputs
        if tensor is not None and tensor.constant
    }
    return sum(found.values())
