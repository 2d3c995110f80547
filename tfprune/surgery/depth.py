"""Finds, scores and removes whole blocks.

A residual block adds the output of a branch to its input. Removing it drops the
sum and the layers of the branch and passes the input straight through. This is
exact if the branch is zero for every input. In a network without residual
blocks, the blocks are its `links`.
"""

import collections
import contextlib
import dataclasses
import fnmatch

import keras
import numpy as np

from tfprune.datasets import samples
from tfprune.graph import document
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib
from tfprune.graph import values
from tfprune.selection import budget as budget_lib
from tfprune.selection import candidates
from tfprune.surgery import links

# What unknown sizes may be: strides should not end at maps of one place, which
# all later layers would seem to keep. And how many places a map may have.
_SIZES = 1024, 16384, 64, 16
_MOST_PLACES = 2**20


@dataclasses.dataclass(frozen=True)
class Block:
    """A residual block whose branch can be removed, or a link of a chain.

    Attributes:
        path: `str`, path of the layer or op that adds the branch, or of the
            last one of a link.
        keys: tuple, position of its entry in the model's config.
        branch: `int`, index of the branch among its two inputs; `None` in a
            link.
        layers: tuple of `str`, names of the layers removed with it; those of
            a link in their order.
        source: tuple, the config's reference to the input that stays; `None`
            in a Sequential model.
    """

    path: str
    keys: tuple
    branch: int | None
    layers: tuple
    source: tuple | None


def blocks(graph):
    """Finds the blocks that a limit on depth may remove.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        List of `Block`: the residual blocks; if there are none, the links.
    """
    return residual_blocks(graph) or _links(graph)


def residual_blocks(graph):
    """Finds the residual blocks of a model, in the order of its config.

    In a block, one input of a sum is computed from the other by layers whose
    outputs nothing else uses, and both have the shape of the sum.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        List of `Block`.
    """
    places = _places(graph.config)
    return [block for place in places for block in place.blocks()]


def _links(graph):
    """The links of a model as `Block`s."""
    entries = graph.config.get("layers", ())
    places = {
        entry.get("name") or entry["config"]["name"]: i
        for i, entry in enumerate(entries)
    }
    found = []
    for steps in links.find(_sized(graph)):
        names = [step.layer for step in steps]
        if not places.keys() >= set(names):
            continue
        calls = entries[places[names[0]]].get("inbound_nodes")
        source = None
        if calls:
            (leaf,) = _leaves(calls[0])
            source = tuple(leaf["keras_history"])
        keys = "layers", places[names[-1]]
        found.append(Block(names[-1], keys, None, tuple(names), source))
    return found


def _sized(graph):
    """The graph, on inputs of some size where theirs are unknown.

    Else all maps of unknown sizes would seem to be of one shape.
    """
    if not any(None in x.shape[1:] for x in graph.inputs):
        return graph
    open_axes = max(x.shape[1:].count(None) for x in graph.inputs)
    for size in _SIZES:
        if size**open_axes > _MOST_PLACES:
            continue
        shapes = [tuple(n or size for n in x.shape[1:]) for x in graph.inputs]
        # Strides and long kernels may leave nothing, positions end before.
        with contextlib.suppress(ValueError):
            return read.channel_graph(graph.model, shapes)
    return graph


def scores(graph, found, data=None, limit=256):
    """Scores each block by how much it changes what it reads.

    The score is one minus the cosine similarity of the block's input and
    output, averaged over samples ("block influence", Men et al. 2024,
    ShortGPT, eq. 1, defined there on the hidden states of transformers).

    Args:
        graph: a `ChannelGraph`.
        found: list of its `Block`s.
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
    found = blocks(graph)
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
    smaller = without(graph, [found[i] for i in gone])
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


def without(graph, gone):
    """Removes some blocks from a model.

    Args:
        graph: a `ChannelGraph`; its model is not changed.
        gone: list of its `Block`s to remove.

    Returns:
        A plain Keras model.
    """
    config = document.copied(graph.config)
    gone = {block.keys: block for block in gone}
    for place in _places(config):
        place.drop(gone)
    # Those of a Sequential model, which names no tensors.
    rows = [block for block in gone.values() if block.source is None]
    if rows:
        names = {name for block in rows for name in block.layers}
        config["layers"] = [
            entry
            for entry in config["layers"]
            if entry["config"].get("name") not in names
        ]
    return rebuild.build(graph.model, config, lambda variable: variable.value)


def zero_blocks(graph):
    """Finds the blocks whose branch is zero for every input.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        List of `Block`s of the graph's model.
    """
    constant = {
        id(graph.layers[path])
        for path, variable in graph.gains.items()
        if not np.any(values.numpy(variable))
    }
    found = {b.path: b for b in residual_blocks(graph)} if constant else {}
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


class _Place:
    """A Functional model's config, possibly nested in another model's.

    Args:
        config: `dict`, the model's config.
        path: `str`, prefix of its layers' paths.
        keys: tuple, position of the config in the outermost config.
    """

    def __init__(self, config, path, keys):
        self._config = config
        self._path = path
        self._keys = keys
        self._nodes = {
            (entry["name"], n): [
                tuple(leaf["keras_history"]) for leaf in _leaves(call)
            ]
            for entry in config["layers"]
            for n, call in enumerate(entry["inbound_nodes"])
        }
        self._readers = collections.defaultdict(set)
        for node, references in self._nodes.items():
            for name, n, _ in references:
                self._readers[name, n].add(node)
        self._outputs = {
            reference[0]
            for reference in document.references(config["output_layers"])
        }

    def blocks(self):
        """Yields the `Block`s of this model, without those of nested models."""
        for i, entry in enumerate(self._config["layers"]):
            name = entry["name"]
            references = self._nodes.get((name, 0), [])
            sums = rulebook.name_of(entry) in ("Add", "ops.Add")
            once = len(entry["inbound_nodes"]) == 1
            if not sums or not once or name in self._outputs:
                continue
            if len(references) != 2 or not _same_shapes(entry):
                continue
            keys = self._keys + ("layers", i)
            for branch in (1, 0):
                source = references[1 - branch]
                inside = self._between(references[branch], source)
                if inside is not None and self._only(inside, name):
                    layers = tuple(sorted({layer for layer, _ in inside}))
                    yield Block(self._path + name, keys, branch, layers, source)
                    break

    def _between(self, end, start):
        """The calls on all paths from `start` to `end`, else `None`."""
        if end == start:
            return None
        found, waiting = set(), [end[:2]]
        while waiting:
            node = waiting.pop()
            if node == start[:2] or node in found:
                continue
            if not self._nodes.get(node):
                return None  # An input of the model.
            found.add(node)
            waiting += [reference[:2] for reference in self._nodes[node]]
        return found

    def _only(self, inside, name):
        """Whether only the sum uses the outputs computed in its branch."""
        layers = {layer for layer, _ in inside}
        calls = {node for node in self._nodes if node[0] in layers}
        users = set().union(*(self._readers[node] for node in inside))
        return (
            calls == inside
            and not layers & self._outputs
            and users <= inside | {(name, 0)}
        )

    def drop(self, gone):
        """Removes blocks, a `dict` from keys to `Block`, from the config."""
        layers, sources = set(), {}
        for i, entry in enumerate(self._config["layers"]):
            block = gone.get(self._keys + ("layers", i))
            if block is not None:
                layers |= {*block.layers, entry["name"]}
                sources[entry["name"]] = block.source
        entries = self._config["layers"]
        entries[:] = [e for e in entries if e["name"] not in layers]
        for entry in entries:
            for call in entry["inbound_nodes"]:
                for leaf in _leaves(call):
                    reference = tuple(leaf["keras_history"])
                    while reference[0] in sources:
                        reference = sources[reference[0]]
                    leaf["keras_history"] = list(reference)


def _places(config, path="", keys=()):
    """Yields a `_Place` for each Functional model in a config."""
    for i, entry in enumerate(config["layers"]):
        inner = entry["config"]
        if isinstance(inner.get("layers"), list):
            name = entry.get("name") or inner["name"]
            below = keys + ("layers", i, "config")
            yield from _places(inner, f"{path}{name}/", below)
    if "input_layers" in config:
        yield _Place(config, path, keys)


def _same_shapes(entry):
    call = entry["inbound_nodes"][0]
    return len({tuple(leaf["shape"]) for leaf in _leaves(call)}) == 1


def _leaves(call):
    return document.tensor_entries((call["args"], call["kwargs"]))
