"""The blocks that can be taken out of a model.

A residual block adds the output of a branch to its input. Removing it drops the
sum and the layers of the branch and passes the input straight through. In a
network without residual blocks, the blocks are its `links`.
"""

import collections
import contextlib
import dataclasses

from tfprune.graph import document
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.graph import rulebook
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


def find(graph):
    """Finds the blocks that a limit on depth may remove.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        List of `Block`: the residual blocks; if there are none, the links.
    """
    return residual(graph) or _links(graph)


def residual(graph):
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
