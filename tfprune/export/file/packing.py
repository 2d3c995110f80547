"""Unpacks the flatbuffer of a .tflite file into objects, and packs it."""

import numpy as np

from tfprune.core import packages

# The metadata with the offsets of tensors, after version, subgraph and count.
PLAN, PLAN_HEAD = "OfflineMemoryAllocation", 3
# The schema's `force_align` of buffers, which Python's writer ignores.
_ALIGNMENT = 16
# Offsets in a flatbuffer are signed numbers of 32 bits.
MOST_BYTES = 2**31 - 1
# Room for all that is not data: the graph, names and scales.
_GRAPH_BYTES = 1 << 26
# Smaller buffers always lie in the flatbuffer.
_LEAST_OUTSIDE = 4096


def unpacked(data):
    """Unpacks a file into objects whose buffers hold all their data.

    Metadata without a name have an empty one.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        `ModelT` of the schema.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = _outside(data, buffer.offset, buffer.size)
            buffer.offset = buffer.size = 0
    for entry in model.metadata or ():
        entry.name = entry.name or b""
    return model


def content(buffer, data):
    """The data of a buffer.

    Large files keep it after the flatbuffer, whose offsets are too short for
    it; some writers always do.

    Args:
        buffer: `Buffer` of the schema.
        data: `bytes` of the file.

    Returns:
        Array of `uint8`, a view of `data`.

    Raises:
        ValueError: If the data would lie outside of the file.
    """
    if buffer.Offset() > 1:
        return _outside(data, buffer.Offset(), buffer.Size())
    if buffer.DataLength():
        return buffer.DataAsNumpy()
    return np.zeros(0, "uint8")


def size(buffer):
    """The bytes of the data of a buffer of the schema, wherever they lie."""
    return buffer.Size() if buffer.Offset() > 1 else buffer.DataLength()


def inside(data):
    """The file with all data in the flatbuffer, where TFLite Micro looks.

    Args:
        data: `bytes` of a file.

    Returns:
        `bytes`, the same if there is none elsewhere.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    model = schema.Model.GetRootAs(data, 0)
    buffers = map(model.Buffers, range(model.BuffersLength()))
    if all(buffer.Offset() <= 1 for buffer in buffers):
        return data
    return packed(unpacked(data))


def _outside(data, offset, count):
    if offset + count > len(data):
        raise ValueError(
            f"Data must lie in the file. Received: {count} bytes at {offset} "
            f"of {len(data)}."
        )
    return np.frombuffer(data, "uint8", count, offset)


def sweep(model):
    """Drops op codes, tensors and data that are no longer used.

    A memory plan loses their offsets, or goes if tensors were added.

    Args:
        model: `ModelT`, changed in place.
    """
    ops = [op for graph in model.subgraphs for op in graph.operators]
    codes, before = {}, model.operatorCodes
    for op in ops:
        code = before[op.opcodeIndex]
        # Old files have the second field alone.
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        kind = number, code.customCode, code.version
        op.opcodeIndex, _ = codes.setdefault(kind, (len(codes), code))
    model.operatorCodes = [code for _, code in codes.values()]
    left, count = [], 0
    for number, graph in enumerate(model.subgraphs):
        named = _named(model, number)
        lists = [(graph, "inputs"), (graph, "outputs")]
        for op in graph.operators:
            lists += [(op, "inputs"), (op, "outputs"), (op, "intermediates")]
        lists = [(o, k) for o, k in lists if getattr(o, k) is not None]
        used = {int(i) for o, k in lists for i in getattr(o, k)} - {-1}
        used = sorted(used | {entry.tensorIndex for entry in named})
        left += [count + i for i in used]
        count += len(graph.tensors)
        graph.tensors = [graph.tensors[i] for i in used]
        # -1 stands for an optional input that is absent.
        places = {-1: -1} | {i: place for place, i in enumerate(used)}
        for owner, key in lists:
            kept = [places[int(i)] for i in getattr(owner, key)]
            setattr(owner, key, kept)
        for entry in named:
            entry.tensorIndex = places[entry.tensorIndex]
    _fit_plan(model, left, count)
    used = {t.buffer for g in model.subgraphs for t in g.tensors}
    used |= {entry.buffer for entry in model.metadata or ()}
    # An unused buffer is emptied, not removed, so that indices stay valid.
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data = None


def _fit_plan(model, left, count):
    """Makes a memory plan one of the tensors that are left of `count`."""
    for entry in tuple(model.metadata or ()):
        if entry.name != PLAN.encode():
            continue
        data = model.buffers[entry.buffer].data
        if data is None or len(data) != 4 * (PLAN_HEAD + count):
            model.metadata = [e for e in model.metadata if e is not entry]
        elif len(left) < count:
            numbers = np.frombuffer(bytes(data), "<i4")
            head, places = numbers[:PLAN_HEAD].copy(), numbers[PLAN_HEAD:]
            head[-1] = len(left)
            fitting = np.concatenate([head, places[left]]).astype("<i4")
            buffer = type(model.buffers[entry.buffer])()
            buffer.data = np.frombuffer(fitting.tobytes(), np.uint8)
            model.buffers = [*model.buffers, buffer]
            entry.buffer = len(model.buffers) - 1


def _named(model, number):
    """The entries of signatures, which name tensors of a graph.

    Those of damaged files that name none are left out.
    """
    count = len(model.subgraphs[number].tensors)
    return [
        entry
        for signature in model.signatureDefs or ()
        if signature.subgraphIndex == number
        for entry in (*(signature.inputs or ()), *(signature.outputs or ()))
        if entry.tensorIndex < count
    ]


def packed(model):
    """Packs objects into a file.

    All weights lie inside the flatbuffer, aligned to 16 bytes, as firmware
    requires, unless they are too many for one. Then large ones follow it,
    which LiteRT reads, but TFLite Micro does not.

    Args:
        model: `ModelT`.

    Returns:
        `bytes` of the file.
    """
    sizes = [0 if b.data is None else len(b.data) for b in model.buffers]
    if sum(sizes) + _ALIGNMENT * len(sizes) <= MOST_BYTES - _GRAPH_BYTES:
        return bytes(_flatbuffer(model, {}))
    places = {i: 0 for i, n in enumerate(sizes) if n >= _LEAST_OUTSIDE}
    # The first pass shows how long the flatbuffer is, whatever the places.
    end = len(_flatbuffer(model, dict.fromkeys(places, (2, 1))))
    for i in places:
        places[i] = _rounded(end), sizes[i]
        end = sum(places[i])
    parts, end = [_flatbuffer(model, places)], 0
    for i, (start, _) in places.items():
        end += len(parts[-1])
        parts += [bytes(start - end), memoryview(model.buffers[i].data)]
        end = start
    return b"".join(parts)


def _rounded(count):
    return -(-count // _ALIGNMENT) * _ALIGNMENT


def _flatbuffer(model, places):
    """The flatbuffer, without the data of some buffers.

    Args:
        model: `ModelT`.
        places: `dict` from the index of a buffer to `(offset, size)` in the
            file.

    Returns:
        `bytearray`.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    flatbuffers = packages.load("flatbuffers")
    before = model.buffers
    model.buffers = [
        _Buffer(schema, buffer.data, places.get(i))
        for i, buffer in enumerate(before)
    ]
    # A builder that has to grow copies its contents each time.
    room = sum(len(buffer.inside) + 64 for buffer in model.buffers)
    builder = flatbuffers.Builder(room + (1 << 16))
    builder.Finish(model.Pack(builder), b"TFL3")
    model.buffers = before
    return builder.Output()


class _Buffer:
    """A buffer whose data is packed at a multiple of `_ALIGNMENT`."""

    def __init__(self, schema, data, place):
        self._schema, self._place = schema, place
        self.inside = b"" if data is None or place else bytes(data)

    def Pack(self, builder):
        """Writes the buffer; the schema's generated code calls this."""
        schema, vector = self._schema, None
        if self.inside:
            builder.StartVector(1, len(self.inside), _ALIGNMENT)
            builder.head -= len(self.inside)
            start = builder.head
            builder.Bytes[start : start + len(self.inside)] = self.inside
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if self.inside:
            schema.BufferAddData(builder, vector)
        if self._place:
            offset, count = self._place
            schema.BufferAddOffset(builder, offset)
            schema.BufferAddSize(builder, count)
        return schema.BufferEnd(builder)
