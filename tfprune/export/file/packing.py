"""Unpacks the flatbuffer of a .tflite file into objects, and packs it."""

from tfprune.core import packages

# The schema's `force_align` of buffers, which Python's writer ignores.
_ALIGNMENT = 16


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
        # Some writers put large buffers after the flatbuffer.
        if buffer.offset > 1:
            end = buffer.offset + buffer.size
            buffer.data = data[buffer.offset : end]
            buffer.offset = buffer.size = 0
    for entry in model.metadata or ():
        entry.name = entry.name or b""
    return model


def sweep(model):
    """Drops op codes, tensors and data that are no longer used.

    The model must not have signatures, as they refer to tensors by index.

    Args:
        model: `ModelT`, changed in place.
    """
    ops = [op for graph in model.subgraphs for op in graph.operators]
    codes, before = {}, model.operatorCodes
    for op in ops:
        code = before[op.opcodeIndex]
        kind = code.builtinCode, code.customCode, code.version
        op.opcodeIndex, _ = codes.setdefault(kind, (len(codes), code))
    model.operatorCodes = [code for _, code in codes.values()]
    for graph in model.subgraphs:
        lists = [(graph, "inputs"), (graph, "outputs")]
        for op in graph.operators:
            lists += [(op, "inputs"), (op, "outputs"), (op, "intermediates")]
        lists = [(o, k) for o, k in lists if getattr(o, k) is not None]
        used = sorted({int(i) for o, k in lists for i in getattr(o, k)} - {-1})
        graph.tensors = [graph.tensors[i] for i in used]
        # -1 stands for an optional input that is absent.
        places = {-1: -1} | {i: place for place, i in enumerate(used)}
        for owner, key in lists:
            kept = [places[int(i)] for i in getattr(owner, key)]
            setattr(owner, key, kept)
    used = {t.buffer for g in model.subgraphs for t in g.tensors}
    used |= {entry.buffer for entry in model.metadata or ()}
    # An unused buffer is emptied, not removed, so that indices stay valid.
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data = None


def packed(model):
    """Packs objects into a file.

    All weights lie inside the flatbuffer, aligned to 16 bytes, as firmware
    requires.

    Args:
        model: `ModelT`.

    Returns:
        `bytes` of the file.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    flatbuffers = packages.load("flatbuffers")
    before = model.buffers
    model.buffers = [_aligned(schema, buffer) for buffer in before]
    # A builder that has to grow copies its contents each time.
    room = sum(len(b.data) + 64 for b in before if b.data is not None)
    builder = flatbuffers.Builder(room + (1 << 16))
    builder.Finish(model.Pack(builder), b"TFL3")
    model.buffers = before
    return bytes(builder.Output())


def _aligned(schema, buffer):
    """A buffer whose data is packed at a multiple of `_ALIGNMENT`."""
    content = b"" if buffer.data is None else bytes(buffer.data)

    class Aligned(schema.BufferT):
        def Pack(self, builder):
            vector = None
            if content:
                builder.StartVector(1, len(content), _ALIGNMENT)
                builder.head -= len(content)
                start = builder.head
                builder.Bytes[start : start + len(content)] = content
                vector = builder.EndVector()
            schema.BufferStart(builder)
            if content:
                schema.BufferAddData(builder, vector)
            return schema.BufferEnd(builder)

    return Aligned()
