"""Stores a memory plan in the file where that saves RAM.

TFLite Micro places activations by size, the largest first, which leaves gaps.
If the metadata of the file (`OfflineMemoryAllocation`) hold offsets, it uses
them and plans only the scratch buffers around them:
https://github.com/tensorflow/tflite-micro,
tensorflow/lite/micro/docs/memory_management.md.
"""

import random

import numpy as np

from tfprune.core import packages
from tfprune.costs import memory
from tfprune.export.file import packing
from tfprune.export.micro.arena import arena_need
from tfprune.export.micro.arena import flat_ops

_VERSION = 1
_TRIES = 400
_ALIGNMENT = 16


def planned(data, kernels="auto", core=None):
    """The file with a memory plan, or unchanged if no plan saves RAM.

    Searches for the order in which to place buffers: first by several
    heuristics, then by swapping pairs. A plan counts by the largest arena of
    all kernels that may run. Files with several subgraphs are not changed.

    Args:
        data: `bytes` of a .tflite file.
        kernels, core: the kernels and the core that the arena is for, as for
            `arena_need.of`.

    Returns:
        `bytes`.
    """
    graphs = flat_ops.read(data)
    before = arena_need.of(data, kernels, core)
    if len(graphs) > 1 or any(t.planned >= 0 for t in graphs[0].tensors):
        return data
    buffers = before.plan.buffers
    sizes = [_up(b.bytes) for b in buffers]
    lives = [(b.first, b.last) for b in buffers]
    best, least = data, before.bytes
    for order in _orders(buffers, _bound(sizes, lives)):
        starts = memory.offsets(sizes, lives, order)
        places = {
            b.tensor: start
            for b, start in zip(buffers, starts, strict=True)
            if not b.scratch
        }
        tried = _with_plan(data, len(graphs[0].tensors), places)
        need = arena_need.of(tried, kernels, core).bytes
        if need < least:
            best, least = tried, need
    return best


def _bound(sizes, lives):
    """A lower bound of any plan: the most bytes alive at one step."""
    last = max((b for _, b in lives), default=0)
    return max(
        sum(
            size
            for size, (a, b) in zip(sizes, lives, strict=True)
            if a <= step <= b
        )
        for step in range(last + 1)
    )


def _orders(buffers, bound):
    """Yields orders to place buffers in, each better than those before."""
    sizes = [_up(b.bytes) for b in buffers]
    lives = [(b.first, b.last) for b in buffers]
    count = range(len(buffers))

    def top(order):
        starts = memory.offsets(sizes, lives, order)
        return max(s + n for s, n in zip(starts, sizes, strict=True))

    rules = (
        lambda i: (-sizes[i], -i),
        lambda i: (lives[i][0], -sizes[i]),
        lambda i: (-lives[i][1], -sizes[i]),
        lambda i: (lives[i][0] - lives[i][1], -sizes[i]),
        lambda i: -sizes[i] * (1 + lives[i][1] - lives[i][0]),
    )
    found = min((sorted(count, key=rule) for rule in rules), key=top)
    least = top(found)
    yield found
    rng = random.Random(0)
    for _ in range(_TRIES):
        if least <= bound or len(found) < 2:
            return
        i, j = rng.sample(count, 2)
        changed = list(found)
        changed[i], changed[j] = changed[j], changed[i]
        now = top(changed)
        if now < least:
            yield changed
        if now <= least:
            found, least = changed, now


def _with_plan(data, count, places):
    """The file with the offsets of its tensors in its metadata."""
    schema = packages.load("ai_edge_litert.schema_py_generated")
    model = packing.unpacked(data)
    numbers = [_VERSION, 0, count, *(places.get(i, -1) for i in range(count))]
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(np.array(numbers, "<i4").tobytes(), np.uint8)
    entry.name, entry.buffer = packing.PLAN.encode(), len(model.buffers)
    model.buffers = [*model.buffers, buffer]
    model.metadata = [*(model.metadata or ()), entry]
    return packing.packed(model)


def _up(count):
    return -(-count // _ALIGNMENT) * _ALIGNMENT
