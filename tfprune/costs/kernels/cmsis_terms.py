"""What loops of CMSIS-NN's kernels run, and so how their instructions grow."""

_VECTOR, _WORD = 16, 4
# With more input channels, CMSIS-NN makes a convolution of a transposed one.
_REVERSED = 16


def _up(count, step):
    return -(-count // step)


def _products(places, depth, writes):
    """Terms of a product of matrices, row by row and four rows at a time."""
    pairs = _up(writes, 2)
    rows = _up(places, 2)
    return [
        places * writes,
        places * writes * _up(depth, _VECTOR),
        places * pairs * (depth // _VECTOR),
        places * pairs * (depth % _VECTOR // _WORD),
        places * pairs * (depth % _WORD),
        places * (writes % 2) * depth,
        rows * pairs,
        rows * pairs * (depth // _WORD),
        writes,
        writes * depth,
        writes * _up(depth, _VECTOR),
    ]


def _convolved(size, places):
    """Terms of products of windows, which are copied into rows."""
    depth = size.window * size.reads
    copies = [
        places,
        places * depth,
        places * size.window,
        places * size.window * _up(size.reads, _VECTOR),
    ]
    return [1, *_products(places, depth, size.writes // size.groups), *copies]


def _scattered(size):
    """Terms of products of places, which are added to windows."""
    places = max(1, size.places // size.stride)
    spread = size.window * size.writes
    return [
        1,
        *_products(places, size.reads, spread),
        places * spread,
        places * size.window * _up(size.writes, _VECTOR),
        size.places * size.writes,
        size.places * _up(size.writes, _VECTOR),
    ]


def terms(size):
    """The terms of an op, list of numbers, the constant first."""
    depth = size.window * size.reads
    count = size.places * size.writes
    if size.kind == "TRANSPOSE_CONV":
        if family(size) == size.kind:
            return _scattered(size)
        # A convolution of maps with zeros between.
        return [*_convolved(size, size.places), size.writes * depth]
    if size.kind in ("CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL"):
        return _convolved(size, size.places * size.groups)
    if size.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        units = size.places * size.writes
        return [
            *(1, size.places, units, units * size.reads, units * size.writes),
            units * _up(size.reads, _VECTOR),
            units * _up(size.writes, _VECTOR),
        ]
    if size.kind == "DEPTHWISE_CONV_2D":
        return [
            1,
            size.places,
            count,
            count * size.window,
            size.places * _up(size.writes, _WORD),
            size.places * _up(size.writes, _WORD) * size.window,
            size.places * _up(size.writes, _VECTOR),
            size.places * _up(size.writes, _VECTOR) * size.window,
            size.places * (size.writes % _WORD) * size.window,
            size.places * size.window,
        ]
    return [
        1,
        size.places,
        count,
        count * size.window,
        size.places * _up(size.writes, _WORD),
        size.places * size.window * _up(size.writes, _VECTOR),
        count // _VECTOR,
        size.writes,
    ]


def family(size):
    """Ops of one family have coefficients in common."""
    if size.kind == "CONV_2D":
        if size.groups > 1:
            return "CONV_2D groups"
        if size.window == 1:
            return "CONV_2D 1x1" + (", strided" if size.stride > 1 else "")
        if size.way == "row":
            even = size.stride * size.reads % _WORD == 0
            return "CONV_2D row" if even else "CONV_2D row, odd"
        return "CONV_2D"
    if size.kind == "TRANSPOSE_CONV" and size.reads > _REVERSED:
        return f"{size.kind} reversed" if size.stride <= 4 else size.kind
    if size.kind == "DEPTHWISE_CONV_2D":
        return f"{size.kind} {_by_channel(size)}".rstrip()
    if size.broadcast:
        return f"{size.kind} broadcast"
    return f"{size.kind} {size.way}".rstrip()


def _by_channel(size):
    if size.way:
        return size.way
    if size.writes > size.reads:
        if size.reads == 1:
            return "of one"
        fours = size.writes // size.reads % _WORD == 0
        return "times four" if fours else "times"
    return "3x3" if size.window == 9 else ""
