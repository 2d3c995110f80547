"""Strips random graphs with random zeros and counts failures.

A graph that fails is saved with its seed; `--seed=<that seed> --graphs=1`
reproduces it. A stopped run of the same seed and size goes on where it was with
`--resume`.

  python benchmarks/fuzz.py --graphs=2000 --seed=0
"""

import collections
import json
import pathlib
import sys
import time
import traceback

import keras
import results
from absl import app
from absl import flags

# The generator is in the tests, which are not installed.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfprune.core import tables
from tfprune.core.files import atomic
from tfprune_test import exactness
from tfprune_test import random_models

FLAGS = flags.FLAGS
flags.DEFINE_integer("graphs", 200, "number of graphs", lower_bound=1)
flags.DEFINE_integer("seed", 0, "seed of the first graph")
flags.DEFINE_integer("size", 5, "most blocks in a graph", lower_bound=1)
flags.DEFINE_boolean("resume", False, "go on with the counts in --out")
flags.DEFINE_boolean("stop", False, "whether to stop at the first failure")
flags.DEFINE_string("table", "", "also write a table to this file")
flags.DEFINE_string("out", "build/bench/fuzz", "folder of the results")


_PROGRESS, _PART = "progress.json", 100


class Recorder:
    """Draws a graph from a seed and keeps it for the report of a failure."""

    def __init__(self, seed, size):
        self.seed = seed
        self.masked = None
        self.size = size

    def run(self):
        """`(faults, Stripped)` of one graph."""
        graph, self.masked, keep = random_models.sparse_model(
            random_models.Seeded(self.seed), self.size
        )
        found = exactness.strip_sparse(graph, self.masked, keep)
        return exactness.faults(found), found

    def save(self, folder, faults):
        """Writes a graph that failed, and its faults."""
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / f"seed{self.seed}"
        if self.masked is not None:
            self.masked.save(stem.with_suffix(".keras"))
        stem.with_suffix(".txt").write_text("\n".join(faults) + "\n")


def check(seed, size, folder):
    """The faults of one graph, and its channels before and after."""
    recorder = Recorder(seed, size)
    channels = (0, 0)
    try:
        faults, found = recorder.run()
        channels = (found.kept.size, int(found.kept.sum()))
    except Exception:
        faults = [traceback.format_exc()]
    if faults:
        recorder.save(folder, faults)
        print(f"\nseed {seed}: {faults[-1].strip().splitlines()[-1]}")
    return faults, channels


def main(_):
    folder = pathlib.Path(FLAGS.out)
    folder.mkdir(parents=True, exist_ok=True)
    counts = begun(folder / _PROGRESS)
    for i in range(counts["graphs"], FLAGS.graphs):
        if i % _PART == 0:
            keras.utils.clear_session()
        start = time.process_time()
        faults, (before, after) = check(FLAGS.seed + i, FLAGS.size, folder)
        counts["seconds"] += time.process_time() - start
        counts["graphs"] = i + 1
        counts["failed"] += bool(faults)
        counts["channels"] += before
        counts["channels removed"] += before - after
        if faults and FLAGS.stop:
            raise SystemExit(1)
        if (i + 1) % _PART == 0:
            text = json.dumps(settings() | {"counts": counts}, indent=2)
            atomic.write({folder / _PROGRESS: text.encode()})
        if sys.stderr.isatty():
            print(f"\r{i + 1}/{FLAGS.graphs}", end="", file=sys.stderr)
    result = {
        "first seed": FLAGS.seed,
        **counts,
        "seconds per graph": counts["seconds"] / FLAGS.graphs,
    }
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    if FLAGS.table:
        write(counts)
    if counts["failed"]:
        raise SystemExit(f"{counts['failed']} graphs failed, see {folder}")


def settings():
    """What the counts of a run depend on, beside the code."""
    backend = keras.backend.backend()
    return {"seed": FLAGS.seed, "size": FLAGS.size, "backend": backend}


def begun(path):
    """The counts of a run so far, a `Counter`.

    Raises:
        app.UsageError: If they are of a run with other settings, or of more
            graphs.
    """
    if not (FLAGS.resume and path.exists()):
        return collections.Counter()
    found = json.loads(path.read_text())
    counts = collections.Counter(found.pop("counts"))
    if found != settings() or counts["graphs"] > FLAGS.graphs:
        raise app.UsageError(
            f"{path} is of {counts['graphs']} graphs with {found}. Received: "
            f"{FLAGS.graphs} graphs with {settings()}. Choose another --out."
        )
    return counts


def write(counts):
    """A table of the results, with the versions and the machine."""
    last = FLAGS.seed + FLAGS.graphs - 1
    header = ("random graphs", "seeds", "channels", "removed", "wrong")
    cells = (
        f"{FLAGS.graphs:,}",
        f"{FLAGS.seed} to {last}",
        f"{counts['channels']:,}",
        f"{counts['channels removed']:,}",
        f"{counts['failed']}",
    )
    text = (
        "# Random graphs\n\n"
        f"Graphs of up to {FLAGS.size} blocks with random zeros, stripped. A "
        "graph fails if an output differs by more than "
        f"{exactness.TOLERANCE:.0e} of the largest one, the number of "
        "parameters differs from the prediction, a layer has no rule, or a "
        "second strip removes more.\n\n"
        f"{tables.Table(header, (cells,)).to_markdown()}\n"
        f"backend {keras.backend.backend()}, "
        f"{results.footer('fuzz.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
