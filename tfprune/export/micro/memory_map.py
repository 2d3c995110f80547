"""`memory.md`: where a model's flash and RAM go, and what would reduce them."""

import math

import numpy as np

from tfprune.core import tables
from tfprune.export.file import packing
from tfprune.export.file import tensor_names
from tfprune.export.micro.arena import arena_plan
from tfprune.export.micro.arena import flat_ops

# The most rows of a table; smaller tensors are summed up in one row.
_ROWS = 40
# Ops that could overwrite their input.
_IN_PLACE = (
    *("ADD", "MUL", "SUB", "RELU", "RELU6", "LOGISTIC", "TANH", "HARD_SWISH"),
    *("LEAKY_RELU", "SOFTMAX", "QUANTIZE", "DEQUANTIZE"),
)
# Spatial ops, whose feature maps can be computed in patches.
_SPATIAL = ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D")


def text(name, data, need, code, reserved, original):
    """The page.

    Args:
        name: `str`, the name of the model.
        data: `bytes` of the .tflite file that is embedded.
        need: `arena_need.Need`.
        code: `costs.code_size.CodeSize`.
        reserved: `int`, bytes of arena that the sources reserve.
        original: `bytes` of the file with the names of all tensors.

    Returns:
        `str` in Markdown.
    """
    graphs = flat_ops.read(data)
    ops = arena_plan.sequence(graphs)
    names = _names(original, graphs)
    image = len(data) + code.bytes
    return (
        f"# Memory of {name}\n\n"
        "Written by tfprune. Sizes are in bytes. The code is TFLite Micro and "
        f"its kernels ({code.kernels}), compiled by GCC, without your own "
        "program.\n\n"
        f"## Flash: {image:,}\n\n{_flash(data, code, names)}\n"
        f"## RAM: an arena of {need.bytes:,}, {reserved:,} reserved\n\n"
        f"{_arena(need, ops, names)}\n## What would reduce it\n\n"
        f"{_advice(need.plan, graphs, ops, code, names)}"
    )


def _names(original, graphs):
    """Layers of all tensors; the embedded file names its ends only."""
    found = [
        [
            tensor_names.layers(tensor.name)
            for graph in some
            for tensor in graph.tensors
        ]
        for some in (flat_ops.read(original), graphs)
    ]
    return found[0] if len(found[0]) == len(found[1]) else found[1]


def _flash(data, code, names):
    model = packing.unpacked(data)
    tensors = [t for graph in model.subgraphs for t in graph.tensors]
    named = {}
    for tensor, label in zip(tensors, names, strict=True):
        named.setdefault(tensor.buffer, (label, tensor.shape))
    sizes = {
        i: np.size(buffer.data)
        for i, buffer in enumerate(model.buffers)
        if buffer.data is not None and np.size(buffer.data)
    }
    order = sorted(sizes, key=lambda i: -sizes[i])
    rows = []
    for i in order[:_ROWS]:
        label, shape = named.get(i, ("", None))
        shape = "x".join(map(str, [] if shape is None else shape))
        rows.append((label or f"buffer {i}", shape, f"{sizes[i]:,}"))
    rest = sum(sizes[i] for i in order[_ROWS:])
    if rest:
        rows.append((f"{len(order) - _ROWS} smaller tensors", "", f"{rest:,}"))
    rows.append(
        ("structure of the file", "", f"{len(data) - sum(sizes.values()):,}")
    )
    rows.append(("code: TFLite Micro", "", f"{code.runtime_bytes:,}"))
    for op, count in sorted(code.by_op.items(), key=lambda row: -row[1]):
        guess = ", not measured" if op in code.unmeasured else ""
        rows.append((f"code: {op}{guess}", "", f"{count:,}"))
    header = ("what", "shape", "bytes")
    return tables.Table(header, tuple(rows), left=2).to_markdown()


def _arena(need, ops, names):
    plan = need.plan
    peak = _peak(plan)
    rows = tuple(
        (
            _label(b, names),
            f"{b.bytes:,}",
            f"{b.start:,}",
            _step(b.first, ops),
            _step(b.last, ops),
            "yes" if b.first <= peak <= b.last else "",
        )
        for b in sorted(plan.buffers, key=lambda b: (b.first, b.start))
    )
    header = (
        *("buffer", "bytes", "address"),
        *("first op", "last op", "at the peak"),
    )
    last = max((b.last for b in plan.buffers), default=0)
    time = tuple(
        (_step(step, ops), f"{_alive(plan, step):,}", f"{_top(plan, step):,}")
        for step in range(last + 1)
    )
    steps = ("op", "live bytes", "highest address")
    kept = (
        f"Persistent: {plan.persistent_bytes:,}. Activations and scratch "
        f"buffers, which share space: {plan.shared_bytes:,}. The peak is "
        f"set by: {plan.limit}.\n\n"
    )
    return (
        kept
        + tables.Table(header, rows, left=1).to_markdown()
        + "\n"
        + tables.Table(steps, time, left=1).to_markdown()
    )


def _advice(plan, graphs, ops, code, names):
    found = []
    peak = _peak(plan)
    alive = [b for b in plan.buffers if b.first <= peak <= b.last]
    alive.sort(key=lambda b: -b.bytes)
    tensors = [tensor for graph in graphs for tensor in graph.tensors]
    for b in alive[:3]:
        shape = () if b.scratch else tensors[b.tensor].shape
        if len(shape) < 2:
            continue
        one = math.prod(shape[1:-1])
        found.append(
            f"- Each channel of `{_label(b, names)}` (now {shape[-1]}) that "
            f"is removed saves {one * b.bytes // max(1, math.prod(shape)):,} "
            "bytes at the peak."
        )
    op = ops[peak - 1] if 0 < peak <= len(ops) else None
    if op is not None and op.kind in _IN_PLACE:
        found.append(
            f"- {op.kind} could overwrite its input, which would save "
            f"{op.outputs[0].bytes:,} bytes at the peak. TFLite Micro has no "
            "in-place ops."
        )
    if op is not None and op.kind in _SPATIAL and len(alive) > 1:
        found.append(
            f"- The peak is at {op.kind}, whose feature maps could be computed "
            "in patches. A smaller input or a stride in an earlier layer has "
            "the same effect without code of your own."
        )
    for b in alive:
        if b.scratch:
            found.append(
                f"- {b.bytes:,} bytes at the peak are the scratch buffer of "
                f"{b.name}. The reference kernels may need less, but are "
                "slower."
            )
    if plan.limit not in ("activations", "planning"):
        found.append(
            f"- The peak is during the initialization of {plan.limit}. Fewer "
            "channels in that layer, or one scale for all of them, reduce it."
        )
    if plan.persistent_bytes > plan.shared_bytes:
        found.append(
            "- Records of ops and tensors take more than activations. Fewer, "
            "larger layers reduce them."
        )
    largest = max(code.by_op, key=code.by_op.get, default=None)
    if largest not in (None, "shared"):
        found.append(
            f"- A model without {largest} would save "
            f"{code.by_op[largest]:,} bytes of code."
        )
    return "\n".join(found) + "\n" if found else "Nothing stands out.\n"


def _label(buffer, names):
    if buffer.scratch:
        return f"scratch buffer of {buffer.name}"
    return names[buffer.tensor] or f"tensor {buffer.tensor}"


def _alive(plan, step):
    return sum(b.bytes for b in plan.buffers if b.first <= step <= b.last)


def _top(plan, step):
    return max(
        (b.start + b.bytes for b in plan.buffers if b.first <= step <= b.last),
        default=0,
    )


def _peak(plan):
    """The step with the most live bytes."""
    last = max((b.last for b in plan.buffers), default=0)
    return max(range(last + 1), key=lambda step: _alive(plan, step))


def _step(step, ops):
    if step == 0:
        return "input"
    return f"{step} {ops[step - 1].kind}" if step <= len(ops) else str(step)
