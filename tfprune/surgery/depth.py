"""Chooses which whole blocks go: those that change least what they read.

Taking a residual block out is exact if its branch is zero for every input.
"""

import dataclasses
import fnmatch

import keras
import numpy as np

from tfprune.datasets import samples
from tfprune.graph import document
from tfprune.graph import read
from tfprune.graph import tensor as tensor_lib
from tfprune.graph import values
from tfprune.selection import budget as budget_lib
from tfprune.selection import candidates
from tfprune.surgery import whole_blocks


def scores(graph, found, data=None, limit=256):
    """Scores each block by how much it changes what it reads.

    The score is one minus the cosine similarity of the block's input and
    output, averaged over samples ("block influence", Men et al. 2024,
    ShortGPT, eq. 1, defined there on the hidden states of transformers).

    Args:
        graph: a `ChannelGraph`.
        found: list of its `whole_blocks.Block`s.
        data: inputs, as for `tfprune.scoring.channel_scores`; `None` takes
            random ones, which are less informative.
        limit: `int`, maximum number of samples to use.

    Returns:
        Float array, one score per block.
    """
    model = graph.model
    found = {block.path: block for block in found}
    begin = {b.layers[0]: k for k, b in found.items() if b.branch is None}
    sums, entered = {path: [] for path in found}, {}

    def apply(site, args, kwargs):
        args, kwargs = keras.tree.map_structure(_value, (args, kwargs))
        outputs = site.live(*args, **kwargs)
        inputs = keras.tree.flatten((args, kwargs))
        if site.path in begin:
            entered[begin[site.path]] = inputs[0]
        if site.path in found:
            branch = found[site.path].branch
            before = (
                entered.pop(site.path) if branch is None else inputs[1 - branch]
            )
            sums[site.path].append(_change(before, outputs))
        return outputs

    if data is None:
        batches = [(_random(graph, 16), None)]
    else:
        purpose = "a limit on depth"
        batches = samples.batches(data, purpose, 32, limit, model=model)
    with keras.StatelessScope():
        for x, _ in batches:
            inputs = [keras.ops.convert_to_tensor(v) for v in x]
            document.run(graph.config, model, inputs, apply, training=False)
    return np.array([np.concatenate(sums[path]).mean() for path in found])


def _random(graph, batch):
    """Random inputs, longer than usual where kernels need it."""
    rng, inputs = np.random.default_rng(0), graph.model.inputs
    size = values.open_size(graph.model, inputs)
    return [values.random(rng, x, batch=batch, size=size) for x in inputs]


def _change(x, y):
    x, y = (values.numpy(t).reshape(len(t), -1).astype(float) for t in (x, y))
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return 1 - (x * y).sum(1) / np.maximum(norms, 1e-12)


def cut(graph, budget, data=None, skip=(), **reading):
    """Removes blocks until a budget's limit on depth is met.

    Args:
        graph: a `ChannelGraph`; its model is not changed.
        budget: a `Budget` with a limit on depth.
        data: inputs, as for `scores`; the lowest-scoring blocks are removed.
        skip: name patterns of layers whose blocks all stay.
        **reading: how to read the smaller model, as `read.channel_graph`.

    Returns:
        `(graph, budget, skip)`: the `ChannelGraph` of a plain Keras model, the
        budget's other limits, `None` if there are none, and the patterns
        without those that only name layers without channels in blocks, which
        stay. Fractions still refer to the original model.

    Raises:
        ValueError: If the model has no blocks, or too many have to stay.
    """
    model, depth = graph.model, budget.depth
    found = whole_blocks.find(graph)
    if not found:
        raise ValueError(
            "A limit on depth needs blocks that can be taken out: residual "
            "ones, or layers whose output has the shape of their input. "
            f"Received: model={model.name!r}, which has none. Give other "
            "limits."
        )
    share = isinstance(depth, float)
    left = int(depth * len(found) + 1e-9) if share else min(depth, len(found))
    ceilings = budget.ceilings(budget.meter(graph)) if budget.limits() else {}
    skip = (skip,) if isinstance(skip, str) else tuple(skip)
    kept = {
        p: {b.path for b in found if _is_skipped(graph, b, p)} for p in skip
    }
    stay = np.array([any(b.path in k for k in kept.values()) for b in found])
    if stay.sum() > left:
        raise ValueError(
            f"The budget must be within reach. Received: depth={depth!r}, "
            f"which leaves {left}, and skip={skip!r}, by which {stay.sum()} "
            f"blocks of {len(found)} stay. Raise the limit, or skip fewer "
            "layers."
        )
    rated = np.where(stay, np.inf, scores(graph, found, data))
    order = np.argsort(rated, kind="stable")
    gone = sorted(order[: len(found) - left])
    smaller = whole_blocks.without(graph, [found[i] for i in gone])
    smaller = read.channel_graph(smaller, **reading)
    rest = [p for p in skip if not kept[p] or candidates.fits(smaller, p)]
    if not ceilings:
        return smaller, None, rest
    table = budget.latency_table
    if "latency" in ceilings:  # Without the blocks that are gone.
        table = table.of_pruned(graph, smaller)
    left = dataclasses.replace(budget, depth=None, latency_table=table)
    meter = left.meter(smaller)
    limits = {
        name: budget_lib.limit(name, ceiling, meter)
        for name, ceiling in ceilings.items()
    }
    return smaller, dataclasses.replace(left, **limits), rest


def _is_skipped(graph, block, pattern):
    """Whether any layer that a block is removed with matches a pattern.

    Layers of a model within count, too.
    """
    above = block.path.rpartition("/")[0]
    gone = [f"{above}/{name}".lstrip("/") for name in block.layers]
    inside = tuple(f"{path}/" for path in gone)
    gone += [path for path in graph.layers if path.startswith(inside)]
    return any(
        path == pattern or fnmatch.fnmatchcase(path, pattern)
        for path in (block.path, *gone)
    )


def zero_blocks(graph):
    """Finds the blocks whose branch is zero for every input.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        List of `whole_blocks.Block`s of the graph's model.
    """
    constant = {
        id(graph.layers[path])
        for path, variable in graph.gains.items()
        if not np.any(values.numpy(variable))
    }
    found = (
        {b.path: b for b in whole_blocks.residual(graph)} if constant else {}
    )
    if not found:
        return []
    zero = dict.fromkeys(found, True)

    def apply(site, args, kwargs):
        plain = keras.tree.map_structure(_value, (args, kwargs))
        outputs = site.live(*plain[0], **plain[1])
        flat = keras.tree.flatten((args, kwargs))
        inputs = [x for x in flat if isinstance(x, _Traced)]
        if site.path in found:
            x = inputs[found[site.path].branch]
            zero[site.path] &= x.constant and not np.any(values.numpy(x.value))
        fixed = id(site.live) in constant or all(x.constant for x in inputs)
        return keras.tree.map_structure(lambda y: _Traced(y, fixed), outputs)

    inputs = map(keras.ops.convert_to_tensor, _random(graph, 2))
    traced = [_Traced(x, False) for x in inputs]
    with keras.StatelessScope():
        document.run(graph.config, graph.model, traced, apply, training=False)
    return [block for path, block in found.items() if zero[path]]


@dataclasses.dataclass(frozen=True, eq=False)
class _Traced:
    """A tensor, and whether it is independent of the input."""

    value: object
    constant: bool


def _value(x):
    return x.value if isinstance(x, (_Traced, tensor_lib.Constant)) else x
