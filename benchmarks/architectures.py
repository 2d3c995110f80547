"""Networks in the wild: what can be removed from each, and is a strip exact?

Masks random channels of every network of `keras.applications`, and of
backbones of KerasHub where that is installed, strips them and compares the
outputs before and after.

  python benchmarks/architectures.py --table=docs/results/architectures.md
"""

import pathlib
import sys
import time

import keras
import results
from absl import app
from absl import flags

# The list of networks is in the tests, which are not installed.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfprune.core import tables
from tfprune.costs import counting
from tfprune.selection import candidates as candidates_lib
from tfprune_test import exactness
from tfprune_test import networks

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", [], "names; empty means all")
flags.DEFINE_float("rate", 0.5, "share of the removable channels to mask")
flags.DEFINE_integer("seed", 0, "seed of the weights and the masks")
flags.DEFINE_string("table", "", "also write the table to this file")

HEADER = (
    "network",
    "layers",
    "parameters",
    "removable channels",
    "removable parameters",
    "removed parameters",
    "difference",
    "s",
    "kept whole",
)


def main(argv):
    del argv
    names = [(name, False) for name in networks.APPLICATIONS]
    if networks.HAS_HUB:
        names += [(name, True) for name in networks.BACKBONES]
    cells = []
    for name, hub in names:
        if not FLAGS.networks or name in FLAGS.networks:
            cells.append(row(name, hub))
            print("  ".join(cells[-1]), flush=True)
            keras.utils.clear_session()
    write(cells)


def row(name, hub):
    """The cells of one network's row."""
    model = networks.backbone(name) if hub else networks.application(name)
    start = time.process_time()
    found = exactness.strip_masked(model, FLAGS.rate, FLAGS.seed, silence=0.1)
    seconds = time.process_time() - start
    graph, params = found.graph, model.count_params()
    least = candidates_lib.restored(graph, graph.frozen)
    left = counting.Meter(graph).params(least)
    return (
        f"{name} (KerasHub)" if hub else name,
        f"{len(graph.layers)}",
        f"{params:,}",
        f"{graph.removable.mean():.0%} of {graph.size:,}",
        f"{1 - left / params:.1%}",
        f"{1 - found.small.count_params() / params:.1%}",
        f"{found.error:.0e}",
        f"{seconds:.0f}",
        ", ".join(sorted(set(graph.unknown.values()))) or "-",
    )


def write(cells):
    text = (
        "# Networks in the wild\n\n"
        f"Built at a small size with random weights; {FLAGS.rate:.0%} of the "
        "removable channels are masked at random and a tenth are silenced, "
        "and the network is stripped. `removable parameters`: the share of "
        "parameters that is removed if only one removable channel of each "
        "axis stays; `difference`: the largest difference of outputs before "
        "and after the strip, relative to the largest output; `kept whole`: "
        "layer classes without a rule that cannot be opened. Seed "
        f"{FLAGS.seed}; CPU seconds include two readings, masking, stripping "
        "and the comparison.\n\n"
        f"{tables.Table(HEADER, tuple(cells)).to_markdown()}\n"
        f"{results.footer('architectures.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
