"""Activation memory of a model while it runs.

The layers run in the order of the graph. A tensor lives from the step that
makes it to the last step that uses it. Normalization and activation reuse the
buffer of their input unless another step needs it, because converters fuse them
into the preceding layer; a reshape is a view. The peak is the largest sum of
live buffers at one step.
"""

import bisect
import dataclasses
import math

import numpy as np

from tfprune.graph.lowering import file_op

_ITEMSIZE = {"bool": 1, "bfloat16": 2, "string": 8}


def itemsize(dtype):
    """Bytes of one element of a dtype's name."""
    if dtype in _ITEMSIZE:
        return _ITEMSIZE[dtype]
    return 1 if dtype.startswith("float8") else np.dtype(dtype).itemsize


def kept_shape(tensor, keep):
    """The shape of a `Tensor` when only some channels are kept."""
    shape = list(tensor.shape)
    for axis, labels in zip(tensor.varying, tensor.axes, strict=True):
        shape[axis] = int(keep[labels].sum())
    return tuple(shape)


def shape(tensor, keep):
    """The kept shape of a `Tensor` or `Made` without the batch axis."""
    if isinstance(tensor, file_op.Made):
        return tuple(sizes(tensor, keep))
    kept = kept_shape(tensor, keep)
    return kept[: tensor.batch] + kept[tensor.batch + 1 :]


def tensor_bytes(tensor, keep):
    """Bytes of a `Tensor` of one sample; unknown sizes count as 1."""
    counts = math.prod(int(keep[a].sum()) for a in tensor.axes)
    return tensor.other_size * counts * itemsize(tensor.dtype)


def count(part, keep):
    """The size of an axis.

    Args:
        part: as `file_op.Made.parts` has them.
        keep: bool array, shape `(graph.size,)`.
    """
    if isinstance(part, np.ndarray):
        return int(keep[part].sum())
    if isinstance(part, tuple):
        return math.prod(count(p, keep) for p in part)
    return int(part)


def work(parts, keep):
    """Multiply-adds, `int`, of what a `Step` or a `FileOp` has as its work."""
    return sum(n * count(tuple(axes), keep) for n, axes in parts)


def sizes(tensor, keep):
    """The sizes of a `Tensor` or `Made` of one sample, a list of `int`."""
    return [count(part, keep) for part in tensor.parts]


@dataclasses.dataclass(frozen=True, eq=False)
class Buffer:
    """Memory that one or several tensors share.

    Attributes:
        tensors: the `Tensor`s or `Made`s that it holds in turn.
        first, last: `int`, first and last step at which it is alive.
    """

    tensors: list
    first: int
    last: int

    @property
    def channels(self):
        """The channels that its tensors hold, sorted int array."""
        return np.unique(
            np.concatenate([t.labels.reshape(-1) for t in self.tensors])
        )

    def bytes(self, keep):
        return max(tensor_bytes(t, keep) for t in self.tensors)


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """Which buffers are alive at which step.

    Attributes:
        buffers: list of `Buffer`.
        running: list of `str`, the layer that runs at each step; at step 0
            the inputs arrive.
        makers: `dict` from the `id` of a tensor to the layer that makes it.
    """

    buffers: list
    running: list
    makers: dict

    def buffer_bytes(self, buffer, keep):
        """Bytes of a buffer, `int`."""
        return buffer.bytes(keep)

    def scratch_bytes(self, keep):
        """Bytes that kernels hold at each step: none is known, all are 0."""
        return [0] * len(self.running)

    def loads(self, keep):
        """Bytes alive at each step, int array of the size of `running`."""
        change = np.zeros(len(self.running) + 1, np.int64)
        for buffer in self.buffers:
            size = buffer.bytes(keep)
            change[buffer.first] += size
            change[buffer.last + 1] -= size
        return np.cumsum(change)[:-1]

    def peak_bytes(self, keep):
        """The largest sum of buffers alive at one step."""
        return int(self.loads(keep).max())


def offsets(sizes, lives, order=None, fixed=None):
    """Places buffers as TFLite Micro's greedy planner does.

    Buffers are placed from the largest to the smallest, the last of equals
    first: the first at 0, each other one into the first gap between placed
    buffers that are alive at the same time. The memory in use may therefore
    exceed the sum of the live buffers.

    Args:
        sizes: list of `int`, bytes.
        lives: list of `(first, last)`, the steps at which each is alive.
        order: indices in the order of placing; by default as above.
        fixed: `dict` from an index to the start of that buffer, as files with
            a plan of their own have them; these are placed first.

    Returns:
        List of `int`.
    """
    starts = [0] * len(sizes)
    placed = []
    for i, start in (fixed or {}).items():
        starts[i] = start
        bisect.insort(placed, i, key=lambda j: starts[j])
    if order is None:
        order = sorted(range(len(sizes)), key=lambda i: (-sizes[i], -i))
    for i in order:
        if fixed and i in fixed:
            continue
        first, last = lives[i]
        start = 0
        for j in placed:
            if lives[j][0] > last or lives[j][1] < first:
                continue
            if starts[j] - start >= sizes[i]:
                break
            start = max(start, starts[j] + sizes[j])
        starts[i] = start
        bisect.insort(placed, i, key=lambda j: starts[j])
    return starts


def plan(graph):
    """Assigns the tensors of a channel graph to buffers.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        A `Plan`; at step 0 the inputs arrive; step `i + 1` is
        `graph.steps[i]`.
    """
    end = len(graph.steps)
    last = {id(t): 0 for t in graph.inputs}
    for i, step in enumerate(graph.steps, start=1):
        for tensor in (*step.inputs, *step.outputs):
            last[id(tensor)] = i
    last |= {id(t): end for t in graph.outputs}

    home = {}
    for tensor in graph.inputs:
        home[id(tensor)] = _Draft([tensor], 0)
    drafts = list(home.values())
    for i, step in enumerate(graph.steps, start=1):
        shared = _takes_over(step, home, last, i)
        for k, tensor in enumerate(step.outputs):
            if shared and k == 0:
                draft = home[id(step.inputs[0])]
                draft.tensors.append(tensor)
            else:
                draft = _Draft([tensor], i)
                drafts.append(draft)
            home[id(tensor)] = draft
    buffers = [
        Buffer(d.tensors, d.first, max(last[id(t)] for t in d.tensors))
        for d in drafts
    ]
    running = ["nothing", *(step.layer for step in graph.steps)]
    makers = {id(t): s.layer for s in graph.steps for t in s.outputs}
    return Plan(buffers, running, makers)


@dataclasses.dataclass
class _Draft:
    tensors: list
    first: int


def _takes_over(step, home, last, now):
    if step.memory == "new" or not step.inputs:
        return False
    if step.memory == "view":
        return True
    draft = home[id(step.inputs[0])]
    return all(last[id(t)] <= now for t in draft.tensors)
