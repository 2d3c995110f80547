"""Plans the tensor arena of a file on a 32-bit core, without running it.

This simulates TFLite Micro's allocation step by step: persistent records grow
down from the end of the arena, temporary buffers up from its beginning. The
peak may come from an op's tensors while it prepares, from the planner's tables
while tensors are planned, or finally from the activations.
https://github.com/tensorflow/tflite-micro, tensorflow/lite/micro,
`micro_allocator.cc`, `micro_allocation_info.cc`, `greedy_memory_planner.cc`.
"""

import dataclasses

from tfprune.costs import memory
from tfprune.export.micro.arena import kernel_memory

_ALIGNMENT = 16
# Bytes of objects with 32-bit pointers.
_ALLOCATOR, _PLANNER, _MICRO_ALLOCATOR, _PARSER = 36, 44, 36, 8
_SUBGRAPH, _EVAL_TENSOR, _NODE, _TENSOR, _STEPS = 8, 12, 32, 32, 12
_POINTER = 4
# For each buffer, the planner keeps a request, a handle, its lifetime and its
# place.
_REQUEST, _HANDLE, _INFO, _PLANNED = 12, 4, 24, 40
_MOST_REQUESTS = 12


@dataclasses.dataclass(frozen=True)
class Buffer:
    """Activations of a tensor, or the scratch buffer of an op.

    Attributes:
        name: `str`, the name of the tensor, or the op of a scratch buffer.
        scratch: `bool`, whether it is a scratch buffer.
        bytes: `int`, its size.
        first, last: `int`, the first and the last step at which it is alive:
            0 is the model's input, n the n-th op of `sequence`.
        start: `int`, its offset in the arena.
        tensor: `int`, its index among the tensors of all subgraphs; -1 for a
            scratch buffer.
    """

    name: str
    scratch: bool
    bytes: int
    first: int
    last: int
    start: int
    tensor: int = -1


@dataclasses.dataclass(frozen=True)
class Plan:
    """The contents of an arena.

    Attributes:
        bytes: `int`, the smallest arena in which the model starts and runs.
        shared_bytes: `int`, the part for activations and scratch buffers.
        persistent_bytes: `int`, the part that is allocated for good.
        buffers: tuple of `Buffer`.
        limit: `str`, what sets the peak: "activations", "planning" or the op
            whose initialization does.
    """

    bytes: int
    shared_bytes: int
    persistent_bytes: int
    buffers: tuple
    limit: str


def plan(graphs, kernels, extension):
    """Plans the arena of a file.

    Args:
        graphs: list of `flat_ops.Graph`.
        kernels: "reference", "cmsis-nn" or "esp-nn".
        extension: `str`, as `cores.variants` names them.

    Returns:
        A `Plan`.
    """
    needs = [
        [kernel_memory.of(op, kernels, extension) for op in graph.ops]
        for graph in graphs
    ]
    tail = _Tail()
    for size in (_ALLOCATOR, _PLANNER, _MICRO_ALLOCATOR, _PARSER):
        tail.take(size)
    handles = sum(op.kind == "VAR_HANDLE" for g in graphs for op in g.ops)
    if handles:
        tail.take(12)
        tail.take(16 * handles)
    tail.take(_SUBGRAPH * len(graphs))
    for graph in graphs:
        tail.take(_EVAL_TENSOR * len(graph.tensors))
    for graph in graphs:
        tail.take(_NODE * len(graph.ops))
    everything = [need for row in needs for need in row]
    for need in everything:
        tail.take(need.params)
    for need in everything:
        tail.take(need.record, _ALIGNMENT)
    peak, limit = tail.size, "planning"
    requests = 0
    for graph, row in zip(graphs, needs, strict=True):
        for op, need in zip(graph.ops, row, strict=True):
            for size in need.persistent:
                tail.take(size, _ALIGNMENT)
            head = _REQUEST * (requests + _MOST_REQUESTS)
            requests += len(need.scratch)
            if tail.size + head + need.temporary > peak:
                peak, limit = tail.size + head + need.temporary, op.kind
    if requests:
        tail.take(_HANDLE * requests)
    head = _REQUEST * (requests + _MOST_REQUESTS) + _POINTER * len(graphs)
    count = sum(len(graph.tensors) for graph in graphs) + requests
    for tensor in (t for graph in graphs for t in graph.tensors):
        if tensor.variable:
            tail.take(tensor.bytes, _ALIGNMENT)
    buffers = _buffers(graphs, needs)
    planning = _up(head + _INFO * count) + _PLANNED * len(buffers)
    planning += _up(tail.size)
    if planning >= peak:
        peak, limit = planning, "planning"
    for group in (graphs[0].inputs, graphs[0].outputs):
        tail.take(_POINTER * len(group), _ALIGNMENT)
        for tensor in group:
            tail.take(_TENSOR)
            if tensor.channels:
                tail.take(_STEPS)
                tail.take(4 + 4 * tensor.channels)
    shared = max((_up(b.start + b.bytes) for b in buffers), default=0)
    if tail.size + shared >= peak:
        peak, limit = tail.size + shared, "activations"
    # Aligning the start of the arena may lose some bytes.
    return Plan(
        _up(peak) + _ALIGNMENT, shared, tail.size, tuple(buffers), limit
    )


class _Tail:
    """Persistent records, which grow down from the end of the arena."""

    def __init__(self):
        self.size = 0

    def take(self, count, alignment=4):
        self.size = _up(self.size + count, alignment)


def _buffers(graphs, needs):
    """List of `Buffer`, in the order in which TFLite Micro adds them."""
    lives, scratch = {}, []
    _Walk(graphs, needs, lives, scratch).graph(0)
    everything = [tensor for graph in graphs for tensor in graph.tensors]
    numbered = [
        (number, tensor)
        for number, tensor in enumerate(everything)
        if id(tensor) in lives
        and not (tensor.constant or tensor.variable)
        and tensor.bytes
    ]
    found = [(t.name, number, t.bytes, *lives[id(t)]) for number, t in numbered]
    fixed = {
        place: t.planned
        for place, (_, t) in enumerate(numbered)
        if t.planned >= 0
    }
    # TFLite Micro adds scratch buffers subgraph by subgraph, not by time.
    scratch.sort(key=lambda row: row[0])
    found += [(name, -1, size, a, b) for _, name, size, a, b in scratch]
    sizes = [_up(size) for _, _, size, _, _ in found]
    starts = memory.offsets(sizes, [row[3:] for row in found], fixed=fixed)
    return [
        Buffer(name, number < 0, size, first, last, start, number)
        for (name, number, size, first, last), start in zip(
            found, starts, strict=True
        )
    ]


def sequence(graphs, index=0):
    """The ops by step, in execution order, as `Buffer` counts steps.

    Args:
        graphs: list of `flat_ops.Graph`.
        index: `int`, the subgraph to begin with.

    Returns:
        List of `flat_ops.Op`. An op that calls subgraphs takes a step of its
        own and another one before the ops of each subgraph.
    """
    found = []
    for op in graphs[index].ops:
        found.append(op)
        for called in op.subgraphs:
            found += [op, *sequence(graphs, called)]
    return found


class _Walk:
    """Collects lifetimes in the order of `sequence`."""

    def __init__(self, graphs, needs, lives, scratch):
        self._graphs, self._needs = graphs, needs
        self._lives, self._scratch = lives, scratch
        self._now = 0

    def graph(self, index):
        graph = self._graphs[index]
        for tensor in graph.inputs:
            self._use(tensor)
        for place, op in enumerate(graph.ops):
            self._now += 1
            for tensor in op.outputs:
                self._use(tensor)
            start = self._now
            for called in op.subgraphs:
                self._now += 1
                self.graph(called)
            for tensor in (*op.inputs, *op.outputs):
                self._use(tensor)
            for size in self._needs[index][place].scratch:
                self._scratch.append(
                    ((index, place), op.kind, size, start, self._now)
                )
        for tensor in graph.outputs:
            self._use(tensor)

    def _use(self, tensor):
        if tensor is None:
            return
        first, _ = self._lives.get(id(tensor), (self._now, self._now))
        self._lives[id(tensor)] = first, self._now


def _up(count, step=_ALIGNMENT):
    return -(-count // step) * step
