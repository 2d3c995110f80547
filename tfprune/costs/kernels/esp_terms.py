"""What loops of ESP-NN's kernels run on an ESP32-S3.

By what its assembly takes at a time: 8 channels of convolutions of 1x1, which
run in C for other counts, whole vectors of 16 values of other windows, 8
channels of depthwise ones. Ops without such kernels run TFLite Micro's own.
"""

from tfprune.costs.kernels import cmsis_terms

_EIGHT, _VECTOR, _FEW = 8, 16, 3


def _up(count, step):
    return -(-count // step)


def terms(size):
    """The terms of an op, list of numbers, the constant first.

    Args:
        size: a `core_steps.OpSize`.
    """
    name = family(size)
    places, reads, writes = size.places, size.reads, size.writes
    window = size.window
    if name.startswith("CONV_2D 1x1"):
        # Eight places at a time; the others one by one.
        eights, rest = divmod(places, _EIGHT)
        groups, single = divmod(reads, _EIGHT)
        return [
            1,
            eights,
            eights * groups,
            eights * writes,
            eights * writes * groups,
            eights * writes * single,
            rest * writes,
            rest * writes * groups,
            rest * writes * reads,
        ]
    if name == "CONV_2D groups":
        outputs = places * writes
        return [1, places, outputs, outputs * window, outputs * window * reads]
    if name.startswith("CONV_2D"):
        columns = size.columns
        rows = window // columns
        whole = _up(window * reads, _VECTOR)
        if name == "CONV_2D":
            whole = rows * _up(columns * reads, _VECTOR)
        return [
            1,
            writes,
            writes * window * reads,
            places * size.stride * reads,
            places,
            places * rows,
            places * window * reads,
            places * writes,
            places * writes * rows,
            places * writes * whole,
        ]
    if size.kind == "DEPTHWISE_CONV_2D":
        groups = _up(writes, _EIGHT)
        return [
            1,
            places * size.stride,
            places * size.stride * reads,
            writes * window,
            places,
            places * window,
            places * groups,
            places * groups * window,
            places * writes,
            places * writes * window,
        ]
    if size.kind == "FULLY_CONNECTED":
        outputs = places * writes
        return [
            1,
            places,
            outputs,
            outputs * reads,
            outputs * (reads // _VECTOR),
            outputs * (reads % _VECTOR),
            outputs * (reads // _EIGHT),
            outputs * (reads % _EIGHT),
        ]
    return cmsis_terms.terms(size)


def family(size):
    """Ops of one family have coefficients in common.

    Args:
        size: a `core_steps.OpSize`.
    """
    if size.kind == "CONV_2D":
        if size.groups > 1:
            return "CONV_2D groups"
        if size.window == size.stride == 1:
            return "CONV_2D 1x1" + (", odd" if size.reads % _EIGHT else "")
        few = size.columns * size.reads < _VECTOR <= size.window * size.reads
        return "CONV_2D few" if few else "CONV_2D"
    if size.kind == "DEPTHWISE_CONV_2D":
        return f"{size.kind} {_by_channel(size)}"
    if size.kind == "FULLY_CONNECTED":
        if size.reads < _VECTOR:
            return f"{size.kind} short"
        turned = size.places > 1 and size.reads % _VECTOR
        return f"{size.kind} turned" if turned else size.kind
    if size.kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        return size.kind + (" odd" if size.writes % 4 else "")
    return cmsis_terms.family(size)


def _by_channel(size):
    if size.way:
        return size.way
    shape = "3x3" if size.window == 9 else "other"
    if size.writes > size.reads:
        fours = size.writes // size.reads % 4 == 0
        return "times four" if fours else "times"
    if size.reads <= _FEW:
        return "few"
    return shape + (", odd" if size.reads % _EIGHT else "")
