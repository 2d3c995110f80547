"""Which tensors of an int8 file are in memory at which op."""

import dataclasses

from tfprune.costs import file_arena
from tfprune.costs import memory


def plan(graph, found):
    """Assigns the tensors of the file to buffers.

    No op writes where it reads.

    Args:
        graph: a `ChannelGraph`.
        found: its `file_ops.FileOps`.

    Returns:
        A `memory.Plan`, with a step for each op.
    """
    drafts, scratch, makers = {}, [], {}
    for tensor in graph.inputs:
        drafts[id(tensor)] = _Draft([tensor], 0, 0)
    ops = zip(found.ops, found.layers, strict=True)
    for now, (op, layer) in enumerate(ops, start=1):
        for tensor in op.inputs:
            home = id(found.home(tensor))
            if home in drafts:
                drafts[home].last = now
        for tensor in op.outputs:
            drafts[id(tensor)] = _Draft([tensor], now, now)
        extra = file_arena.held(op)
        scratch += [_Draft([tensor], now, now) for tensor in extra]
        makers |= dict.fromkeys(map(id, (*op.outputs, *extra)), layer)
    end = len(found.ops)
    for tensor in graph.outputs:
        home = id(found.home(tensor))
        if home in drafts:
            drafts[home].last = end
    buffers = [
        memory.Buffer(d.tensors, d.first, d.last)
        for d in (*drafts.values(), *scratch)
    ]
    return memory.Plan(buffers, ["nothing", *found.layers], makers)


@dataclasses.dataclass
class _Draft:
    tensors: list
    first: int
    last: int
