"""Chooses the weights of a file to compress, within flash and RAM.

A compressed weight is decoded into the arena whenever its op runs, which trades
RAM and time for flash. Decoded weights reuse the same arena space, so the
largest one sets its size, plus a small record for each. The arena is therefore
planned with each weight compressed alone, and then with all chosen weights.
"""

import dataclasses
import math
import pathlib

import numpy as np
from absl import logging

from tfprune.core import kinds
from tfprune.core import printed
from tfprune.core import typed
from tfprune.core.files import atomic
from tfprune.core.files import damage
from tfprune.core.files import leftovers
from tfprune.export.edit import weight_codes
from tfprune.export.file import model_file
from tfprune.export.file import packing
from tfprune.export.micro.arena import arena_need
from tfprune.export.micro.arena import arena_plan
from tfprune.export.run import interpreter

# Flash of the kernel of DECODE, measured with GCC on a Cortex-M4.
DECODER_BYTES = 21_700
# Inputs on which the outputs of both files are compared.
_COMPARED = 4


@dataclasses.dataclass(frozen=True)
class CompressedWeight:
    """A weight that can be compressed.

    Attributes:
        name: `str`, the name of the tensor.
        method: `str`, "pruning" (bitmap of zeros) or "lut" (table of values).
        zeros: `float` in [0, 1], the share of its values that are zero.
        bytes_before: `int`, bytes of the weight.
        bytes_after: `int`, bytes of the compressed weight.
        arena_bytes: `int`, arena of the file if only this weight is compressed.
        chosen: `bool`, whether the file that was written has it compressed.
    """

    name: str
    method: str
    zeros: float
    bytes_before: int
    bytes_after: int
    arena_bytes: int
    chosen: bool


@dataclasses.dataclass(frozen=True)
class Compression(printed.Printed):
    """A file with compressed weights, compared with the original.

    Attributes:
        file: `model_file.ModelFile`, the compressed file.
        bytes_before: `int`, size of the original file.
        arena_before: `int`, arena of the original file on the core, in bytes.
        arena_bytes: `int`, arena of the compressed file on the core, in bytes.
        weights: tuple of `CompressedWeight`, all that can be compressed.
    """

    file: model_file.ModelFile
    bytes_before: int
    arena_before: int
    arena_bytes: int
    weights: tuple

    def __str__(self):
        chosen = sum(row.chosen for row in self.weights)
        return (
            f"{chosen} of {len(self.weights)} weights compressed, "
            f"{self.bytes_before:,} -> {self.file.file_bytes:,} bytes, arena "
            f"{self.arena_before:,} -> {self.arena_bytes:,} bytes"
        )


def compress_tflite(
    path: typed.Path,
    out: typed.Path,
    *,
    flash_bytes: int | None = None,
    ram_bytes: int | None = None,
    decoder_bytes: int = 0,
    x: typed.Data = None,
    kernels: str = "auto",
    core: str | None = None,
) -> Compression:
    """Compresses the weights of a file for TFLite Micro.

    Weights with many zeros, or with few distinct values, are stored in a
    shorter code, which TFLite Micro decodes each time before it reads them;
    this takes arena and time. Tensor names are removed, too. The outputs are
    verified to be bit-identical. No other runtime reads such files: neither
    LiteRT nor Vela.

    Without a limit, all weights that make the file smaller are compressed;
    with `ram_bytes`, as many as fit; with `flash_bytes`, those that take the
    least arena, and no more than needed.

    Args:
        path: `str` or path-like, a file of `export_tflite`; not changed.
        out: `str` or path-like, the file to write.
        flash_bytes: `int`, maximum size of the file.
        ram_bytes: `int`, maximum size of its arena.
        decoder_bytes: `int`, flash of the decoder's code, about 21,700 bytes
            if nothing else in the firmware needs it. It counts towards
            `flash_bytes`, and nothing is compressed unless more is saved.
        x: inputs `(N, ...)` to compare outputs on, as for
            `interpreter.run`; random ones by default.
        kernels, core: the kernels and the core that the arena is for, as for
            `tfprune.export.arena_bytes`; by default, the largest arena of all
            Cortex-M.

    Returns:
        A `Compression`.

    Raises:
        ImportError: If a package of the extra `export` is missing or too old.
        OSError: If a file cannot be read or written.
        RuntimeError: If the interpreter cannot run the file, or if the outputs
            differ.
        ValueError: If it is not a TFLite model, or if no choice of weights fits
            the limits; the message gives the closest result.

    Example:

    >>> done = tfprune.compress_tflite(
    ...     "sparse.tflite", "small.tflite", ram_bytes=64_000)
    >>> done.bytes_before, done.file.file_bytes, done.arena_bytes
    """
    out = atomic.writable(out)
    kinds.check_bytes(flash_bytes=flash_bytes, ram_bytes=ram_bytes)
    dense = model_file.read(path)
    data = pathlib.Path(path).read_bytes()
    with damage.reading(path):
        data = packing.inside(data)
        rows = weight_codes.shorter(data)
        # A file that cannot be packed again is not whole.
        tried = _Trials(data, kernels, core)
    with leftovers.folder() as folder:
        result, arena, chosen, candidates = _choose(
            tried, rows, flash_bytes, ram_bytes, decoder_bytes
        )
        small = pathlib.Path(folder, "chosen.tflite")
        small.write_bytes(result)
        _compare(dense, model_file.read(small), x)
        before = arena_need.of(data, kernels, core).bytes
    atomic.write({out: result})
    done = Compression(
        file=model_file.read(out),
        bytes_before=dense.file_bytes,
        arena_before=before,
        arena_bytes=arena.bytes,
        weights=tuple(
            CompressedWeight(
                name=c.row.name,
                method=c.row.method,
                zeros=c.row.zeros,
                bytes_before=c.row.before,
                bytes_after=c.row.after,
                arena_bytes=c.arena.bytes,
                chosen=c in chosen,
            )
            for c in candidates
        ),
    )
    logging.info("Wrote %s: %s.", out, done)
    return done


@dataclasses.dataclass(frozen=True, eq=False)
class _Candidate:
    """A weight that may be compressed.

    Attributes:
        row: `weight_codes.Coded`.
        saved: `int`, bytes by which the file shrinks.
        arena: `arena_plan.Plan` of the file with only this weight compressed.
        record: `int`, persistent bytes of the arena that its DECODE op takes,
            less those that its reader no longer keeps; may be negative.
    """

    row: object
    saved: int
    arena: arena_plan.Plan
    record: int


class _Trials:
    """Makes files with some weights compressed, and plans their arenas.

    Args:
        data: `bytes` of the file.
        kernels, core: the kernels and the core that the arena is for.

    Attributes:
        plain: what `plan` returns without compressed weights.
    """

    def __init__(self, data, kernels, core):
        self._data = data
        self._target = kernels, core
        self.plain = self.plan([])

    def plan(self, chosen):
        """`(bytes, arena_plan.Plan)` of the file.

        Args:
            chosen: list of `weight_codes.Coded`, the weights to compress.
        """
        data = weight_codes.rewritten(self._data, chosen)
        return data, arena_need.of(data, *self._target).plan


def _choose(tried, rows, flash_bytes, ram_bytes, decoder_bytes):
    """`(bytes, plan, chosen, candidates)` of the best file."""
    plain, least = tried.plain
    single = [tried.plan([row]) for row in rows]
    candidates = [
        _Candidate(
            row,
            len(plain) - len(data),
            arena,
            arena.persistent_bytes - least.persistent_bytes,
        )
        for row, (data, arena) in zip(rows, single, strict=True)
    ]
    useful = [c for c in candidates if c.saved > 0]
    limit = ram_bytes
    while True:
        room = None if limit is None else limit - least.persistent_bytes
        chosen = _most_saved(useful, room, least.shared_bytes)
        if flash_bytes is not None:
            over = len(plain) - flash_bytes
            need = over + decoder_bytes if over > 0 else over
            fewer = _least_arena(useful, need, room, least.shared_bytes)
            # By the estimate it may fit as it is, while it does not.
            is_over = ram_bytes is not None and least.bytes > ram_bytes
            if fewer is not None and (fewer or not is_over):
                chosen = fewer
        if chosen and _saved(chosen) <= decoder_bytes:
            logging.warning(
                "No weight is compressed: %d bytes would be saved, and the "
                "code that decodes them takes %d.",
                _saved(chosen),
                decoder_bytes,
            )
            useful = chosen = []
        data, arena = tried.plan([c.row for c in chosen])
        over = 0 if limit is None else arena.bytes - ram_bytes
        if over <= 0:
            break
        if not chosen:
            raise ValueError(
                "The model must fit into RAM before its weights are "
                f"compressed. Received: ram_bytes={ram_bytes}, the arena takes "
                f"{least.bytes:,} bytes. Remove more channels."
            )
        # The estimate was too low: the planner leaves gaps, or the peak is
        # during initialization. Retry with less room.
        limit -= over
    taken = len(data) + (decoder_bytes if chosen else 0)
    if flash_bytes is not None and taken > flash_bytes:
        within = "" if ram_bytes is None else f" within ram_bytes={ram_bytes}"
        raise ValueError(
            "The file must fit its budget. Received: flash_bytes="
            f"{flash_bytes}; compressed as far as possible{within}, it takes "
            f"{taken:,} bytes. Remove more channels or make more weights "
            "zero."
        )
    return data, arena, chosen, candidates


def _most_saved(candidates, room, shared):
    """The candidates that save most flash within `room` bytes of arena.

    Decoded weights share the same space, so only the largest counts, while
    records add up. Given the largest, the best choice is a knapsack of records.
    """
    if room is None:
        return candidates
    best = []
    for top in sorted({shared, *(c.arena.shared_bytes for c in candidates)}):
        fitting = [c for c in candidates if c.arena.shared_bytes <= top]
        found = _knapsack(fitting, room - top)
        if _saved(found) > _saved(best):
            best = found
    return best


def _knapsack(candidates, room):
    """The candidates that save most while their records fit into `room`.

    Those whose op keeps less for good if it decodes its weights make room.
    """
    free = [c for c in candidates if c.record <= 0]
    candidates = [c for c in candidates if c.record > 0]
    room -= sum(c.record for c in free)
    step = math.gcd(*(c.record for c in candidates)) or 1
    size = min(room, sum(c.record for c in candidates)) // step
    if size < 0:
        return []
    # best[r]: the most that records of r steps save, and their candidates.
    best = [(0, ())] * (size + 1)
    for i, c in enumerate(candidates):
        weight = c.record // step
        for r in range(size, weight - 1, -1):
            saved, taken = best[r - weight]
            if saved + c.saved > best[r][0]:
                best[r] = saved + c.saved, (*taken, i)
    return [*free, *(candidates[i] for i in best[size][1])]


def _least_arena(candidates, need, room, shared):
    """The candidates that save enough and take the least arena, or `None`."""
    best, least = None, math.inf if room is None else room
    for top in sorted({shared, *(c.arena.shared_bytes for c in candidates)}):
        fitting = [c for c in candidates if c.arena.shared_bytes <= top]
        fitting.sort(key=lambda c: c.saved, reverse=True)
        chosen = []
        while fitting and _saved(chosen) < need:
            chosen.append(fitting.pop(0))
        arena = top + sum(c.record for c in chosen)
        if _saved(chosen) >= need and arena <= least:
            best, least = chosen, arena
    return best


def _saved(candidates):
    return sum(c.saved for c in candidates)


def _compare(dense, small, x):
    """Raises `RuntimeError` unless both files have the same outputs."""
    if x is None:
        x = interpreter.random_inputs(dense, _COMPARED)
    try:
        wanted, got = (interpreter.stored(file, x) for file in (dense, small))
    except RuntimeError as error:
        if weight_codes.OP not in str(error):
            raise
        raise RuntimeError(
            f"A version of TFLite Micro with the op {weight_codes.OP} is "
            "required. Received: an older one. Run: pip install "
            '"tfprune[export]"'
        ) from error
    for a, b in zip(wanted, got, strict=True):
        if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            raise RuntimeError(
                "The outputs must be bit-identical. Received: other outputs "
                "from the file with compressed weights, which this version of "
                "TFLite Micro decodes differently. Export without compression."
            )
