"""Where a file turns channels to the end, as its kernels take them, and back.

Layers of maps whose channels are first run together between two turns, with
what computes each element alone among them. Those of one axis have two turns
each, and then add a bias of their own.
"""

import dataclasses

from tfprune.graph.lowering import file_op

# Ops that turns are moved across, if what they read is turned.
_PASSED = set(
    "ABS ADD ELU HARD_SWISH LEAKY_RELU LOGISTIC MAXIMUM MINIMUM MUL RELU SUB "
    "TANH".split()
)


def turned(found):
    """Turns stand around layers whose channels are first."""
    first_ones = [op for op in found.ops if op.channels_first and op.window]
    maps = {id(op) for op in first_ones if len(op.window) > 1}
    rows = {id(op) for op in first_ones if is_row(op)}
    inside = _inside(found, maps)
    by_others = _read_by_others(found, maps, inside)

    def change(op):
        if id(op) in rows:
            return _row(op)
        ops, inputs = [], op.inputs
        if id(op) in maps and id(found.home(op.inputs[0])) not in inside:
            x = file_op.like(op.inputs[0])
            ops.append(file_op.FileOp("TRANSPOSE", op.inputs[:1], (x,)))
            inputs = (x, *op.inputs[1:])
        if id(op.output) not in inside or id(op.output) not in by_others:
            return [*ops, dataclasses.replace(op, inputs=inputs)]
        x = file_op.like(op.output)
        back = file_op.FileOp("TRANSPOSE", (x,), op.outputs)
        op = dataclasses.replace(op, inputs=inputs, outputs=(x,))
        return [*ops, op, back]

    return found.rewritten(change)


def is_row(op):
    """Whether an op is a layer of one axis whose channels are first."""
    return op.channels_first and len(op.window) == 1 and not op.in_time


def _inside(found, maps):
    """The `id`s of the tensors that are made with channels last."""
    inside = set()
    for op in found.ops:
        read = {id(found.home(tensor)) for tensor in op.inputs}
        passed = op.kind in _PASSED and read <= inside
        if id(op) in maps or passed:
            inside.update(map(id, op.outputs))
    return inside


def _read_by_others(found, maps, inside):
    """The `id`s of the tensors that something reads with channels first."""
    by_others = {id(found.home(tensor)) for tensor in found.ends}
    for op in found.ops:
        is_flat = op.channels_first and not op.window
        if id(op) not in maps and id(op.output) not in inside and not is_flat:
            by_others |= {id(found.home(tensor)) for tensor in op.inputs}
    return by_others


def _row(op):
    """Reshapes and turns around a layer of one axis, and its bias."""
    x = file_op.like(op.inputs[0])
    turned, made = file_op.like(x), [file_op.like(op.output) for _ in range(3)]
    has_bias = op.kind in file_op.WITH_KERNEL
    ends = (made[2],) if has_bias else op.outputs
    ops = [
        file_op.FileOp("RESHAPE", op.inputs[:1], (x,)),
        file_op.FileOp("TRANSPOSE", (x,), (turned,)),
        dataclasses.replace(
            op, inputs=(turned, *op.inputs[1:]), outputs=(made[0],), relu=False
        ),
        file_op.FileOp("TRANSPOSE", (made[0],), (made[1],)),
        file_op.FileOp("RESHAPE", (made[1],), ends),
    ]
    if has_bias:
        ops.append(file_op.FileOp("ADD", ends, op.outputs, relu=op.relu))
    return ops
