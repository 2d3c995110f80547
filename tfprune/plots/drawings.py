"""Channel groups drawn as a graph: SVG, Graphviz or Mermaid."""

import collections
import pathlib

from tfprune.core.files import atomic
from tfprune.graph import channel_graph
from tfprune.plots import group_map

# Keyed by file extension.
FORMATS = (".svg", ".dot", ".gv", ".mmd", ".md")


def draw_groups(graph, path):
    """Draws a model's channel groups as SVG, Graphviz or Mermaid.

    A box is a group, with the layers that write its channels and their number;
    a gray box cannot be pruned and says why. An arrow is a layer that reads one
    group and writes another.

    Args:
        graph: a `ChannelGraph`.
        path: `str` or `pathlib.Path`; its extension selects the format:
            `.svg` for an image; `.dot` or `.gv` for Graphviz; `.mmd` for
            Mermaid; `.md` for Mermaid in a fenced block, which code hosts
            render.

    Returns:
        The path, a `str`.

    Raises:
        ValueError: If the path has another extension.

    Example:

    >>> tfprune.plots.draw_groups(tfprune.channel_graph(model), "groups.svg")
    """
    channel_graph.check(graph)
    path = writable(path)
    end = path.suffix.lower()
    if end == ".svg":
        text = _svg(graph)
    else:
        text = _dot(graph) if end in (".dot", ".gv") else _mermaid(graph)
    if end == ".md":
        text = f"```mermaid\n{text}```\n"
    atomic.write({path: text.encode()})
    return str(path)


def writable(path):
    """Returns the `pathlib.Path`, if a drawing can be written there.

    Raises:
        ValueError: If its extension is not in `FORMATS`.
        OSError: If its folder cannot be written to.
    """
    if pathlib.Path(path).suffix.lower() not in FORMATS:
        raise ValueError(
            f"A drawing's file must end in {', '.join(FORMATS)}. "
            f"Received: path={str(path)!r}. Try groups.svg."
        )
    return atomic.writable(path)


def arrows(graph):
    """Returns a `dict` from two group indices to the layers between them."""
    readers, writers = _sides(graph)
    found = collections.defaultdict(list)
    for layer, sources in readers.items():
        for source in sources:
            for target in writers.get(layer, ()):
                found[source, target].append(layer)
    return dict(found)


def _sides(graph):
    readers = collections.defaultdict(list)
    writers = collections.defaultdict(list)
    for i, group in enumerate(graph.groups):
        for layer in group.readers:
            readers[layer].append(i)
        for layer in group.writers:
            writers[layer].append(i)
    return readers, writers


def _lines(group):
    """The lines of text in a box."""
    made = ", ".join(group.writers[:2]) or "the input"
    more = len(group.writers) - 2
    yield made + (f" and {more} more" if more > 0 else "")
    yield f"{len(group)} channels"
    if group.frozen:
        layer, reason = group.frozen
        yield f"kept: {reason} ({layer})"


def _svg(graph):
    boxes = [(list(_lines(g)), bool(g.frozen)) for g in graph.groups]
    texts = {pair: _some(layers) for pair, layers in arrows(graph).items()}
    return group_map.drawn(
        boxes, texts, f"channel groups of {graph.model.name}"
    )


def _dot(graph):
    lines = ["digraph groups {", "  node [shape=box];"]
    for i, group in enumerate(graph.groups):
        text = "\\n".join(map(_dot_text, _lines(group)))
        style = ", style=filled, fillcolor=gray90" if group.frozen else ""
        lines.append(f'  g{i} [label="{text}"{style}];')
    for (source, target), layers in arrows(graph).items():
        text = _dot_text(_some(layers))
        lines.append(f'  g{source} -> g{target} [label="{text}"];')
    return "\n".join([*lines, "}", ""])


def _dot_text(text):
    """Text between quotes, which no name in it ends."""
    return text.replace("\\", "\\\\").replace('"', "'")


def _mermaid(graph):
    lines = ["flowchart TD"]
    for i, group in enumerate(graph.groups):
        text = "<br/>".join(map(_mermaid_text, _lines(group)))
        lines.append(f'  g{i}["{text}"]{":::kept" if group.frozen else ""}')
    for (source, target), layers in arrows(graph).items():
        text = _mermaid_text(_some(layers))
        lines.append(f'  g{source} -- "{text}" --> g{target}')
    return "\n".join([*lines, "  classDef kept fill:#e5e5e5", ""])


def _mermaid_text(text):
    """Text between quotes, whose names are neither tags nor entities."""
    entities = {"#": "#35;", "&": "#amp;", "<": "#lt;", ">": "#gt;", '"': "'"}
    return text.translate(str.maketrans(entities))


def _some(layers):
    more = len(layers) - 1
    return layers[0] + (f" and {more} more" if more else "")
