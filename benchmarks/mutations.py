"""Would the fuzzer notice a wrong rule? Breaks one line at a time to find out.

Makes each mutation in a copy of the library and strips random graphs with it
until one fails. A mutation that no graph notices is a gap in the fuzzer.

  python benchmarks/mutations.py --table=docs/results/mutations.md
"""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import results
from absl import app
from absl import flags

from tfprune.core import tables

FLAGS = flags.FLAGS
flags.DEFINE_integer("graphs", 1000, "maximum number of graphs per mutation")
flags.DEFINE_integer("seed", 0, "seed of the first graph")
flags.DEFINE_list("only", [], "files; empty means all")
flags.DEFINE_string("table", "", "also write the table to this file")

ROOT = pathlib.Path(__file__).resolve().parents[1]
COPIED = ("tfprune", "tfprune_test", "benchmarks")


@dataclasses.dataclass(frozen=True)
class Mutation:
    """A line to break.

    Attributes:
        what: `str`, a description.
        file: `str`, the path below `tfprune/`.
        line: `str`, the text to replace, which occurs once in the file.
        by: `str`, the replacement.
    """

    what: str
    file: str
    line: str
    by: str


RULES = "graph/rules/"
MUTATIONS = (
    Mutation(
        "a dense layer forgets its bias",
        RULES + "dense.py",
        'call.bind("bias", 0, outputs)',
        "pass",
    ),
    Mutation(
        "batch normalization binds its mean backwards",
        RULES + "norm.py",
        'for name in ("gamma", "beta", "moving_mean", "moving_variance"):\n'
        "        call.bind(name, 0, channels)",
        'for name in ("gamma", "beta", "moving_mean", "moving_variance"):\n'
        '        turn = -1 if name == "moving_mean" else 1\n'
        "        call.bind(name, 0, channels[::turn])",
    ),
    Mutation(
        "a concatenation takes its parts in the wrong order",
        RULES + "merge.py",
        "return np.concatenate(parts, axis)",
        "return np.concatenate(parts[::-1], axis)",
    ),
    Mutation(
        "a transposed convolution reads along the wrong axis",
        RULES + "conv.py",
        'call.bind("kernel", -1, inputs, READS, **reading)\n'
        '    call.bind("kernel", -2, outputs, WRITES)',
        'call.bind("kernel", -2, outputs, READS)\n'
        '    call.bind("kernel", -1, inputs, WRITES)',
    ),
    Mutation(
        "a convolution forgets that it reads a padded border",
        RULES + "conv.py",
        'return config["padding"] != "valid" and larger',
        "return False",
    ),
    Mutation(
        "the groups of a convolution lose channels each by itself",
        RULES + "conv.py",
        "outputs = np.tile(call.fresh(filters // groups), groups)",
        "outputs = call.fresh(filters)",
    ),
    Mutation(
        "a depthwise convolution takes its multiplier the other way round",
        RULES + "conv.py",
        'outputs = np.repeat(inputs, call.config["depth_multiplier"])\n'
        '    call.gain("kernel")',
        'outputs = np.tile(inputs, call.config["depth_multiplier"])\n'
        '    call.gain("kernel")',
    ),
    Mutation(
        "a sum forgets to join its operands",
        RULES + "merge.py",
        "        call.join(out, labels)\n        out, _ =",
        "        out, _ =",
    ),
    Mutation(
        "a slice is off by one",
        RULES + "slicing.py",
        'call.edit(at + ("config", "start"), channels[:start])',
        'call.edit(at + ("config", "start"), channels[: start - 1])',
    ),
    Mutation(
        "a flip leaves the channels where they are",
        RULES + "slicing.py",
        "return np.flip(call.x.labels, tuple(axes))",
        "return call.x.labels",
    ),
    Mutation(
        "a reshape lets rows and columns go one by one",
        RULES + "shape.py",
        "        if axis != free:\n            labels = call.tie(labels, axis)",
        "        pass",
    ),
    Mutation(
        "the gates of a recurrent cell lie the other way round",
        RULES + "recurrent.py",
        "call.fresh(call.config[key])\n    columns = np.tile(units, gates)",
        "call.fresh(call.config[key])\n    columns = np.repeat(units, gates)",
    ),
    Mutation(
        "attention forgets the root of its width",
        RULES + "attention.py",
        "call.scale(name, keys, 0.5)",
        "pass",
    ),
    Mutation(
        "attention forgets the heads of its output",
        RULES + "attention.py",
        'call.bind(f"{out}kernel", 0, query_heads, READS, padded=True)',
        "pass",
    ),
    Mutation(
        "a product of tensors freezes nothing",
        RULES + "products.py",
        "            for labels in arrays:\n"
        "                call.freeze_product(labels)",
        "            pass",
    ),
    Mutation(
        "layer normalization lets its channels go",
        RULES + "norm.py",
        "if call.mix(labels, reason):",
        "if True:",
    ),
    Mutation(
        "pixels become channels in the wrong order",
        RULES + "shape.py",
        "copy = np.repeat if _are_together(call) else np.tile",
        "copy = np.tile if _are_together(call) else np.repeat",
    ),
    Mutation(
        "a constant moves into a bias with the wrong sign",
        "surgery/constants.py",
        "changes[id(bias)] = old + reader.shift(gone)",
        "changes[id(bias)] = old - reader.shift(gone)",
    ),
    Mutation(
        "a branch that adds a constant counts as zero",
        "surgery/depth.py",
        "x.constant and not np.any(values.numpy(x.value))",
        "x.constant",
    ),
)


def main(argv):
    del argv
    rows = []
    for mutation in MUTATIONS:
        if FLAGS.only and mutation.file not in FLAGS.only:
            continue
        seed = caught(mutation)
        after = "-" if seed is None else str(seed - FLAGS.seed + 1)
        rows.append((mutation.what, mutation.file, after))
        print("  ".join(rows[-1]), flush=True)
    write(rows)
    if any(row[2] == "-" for row in rows):
        raise SystemExit("A mutation was not noticed.")


def caught(mutation):
    """The seed of the first graph that fails with a mutation, or `None`."""
    with tempfile.TemporaryDirectory() as folder:
        for name in COPIED:
            shutil.copytree(
                ROOT / name,
                pathlib.Path(folder, name),
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        path = pathlib.Path(folder, "tfprune", mutation.file)
        text = path.read_text()
        if text.count(mutation.line) != 1:
            raise ValueError(
                "A mutation must fit one place. Received: "
                f"{mutation.line!r}, {text.count(mutation.line)} times in "
                f"{mutation.file}."
            )
        path.write_text(text.replace(mutation.line, mutation.by))
        done = subprocess.run(
            [
                sys.executable,
                "benchmarks/fuzz.py",
                f"--graphs={FLAGS.graphs}",
                f"--seed={FLAGS.seed}",
                "--stop",
            ],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": folder},
            capture_output=True,
            text=True,
        )
    found = re.search(r"^seed (\d+):", done.stdout, re.M)
    if found is None and done.returncode:
        raise RuntimeError(f"The fuzzer stopped:\n{done.stderr[-2000:]}")
    return int(found.group(1)) if found else None


def write(rows):
    header = ("what is broken", "file", "noticed at graph")
    text = (
        "# Broken rules\n\nOne line of the library is broken at a time, and "
        "random graphs are stripped until one fails; at most "
        f"{FLAGS.graphs:,} graphs, from seed {FLAGS.seed}.\n\n"
        f"{tables.Table(header, tuple(rows), left=2).to_markdown()}\n"
        f"{results.footer('mutations.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
