"""The flatbuffer of a .tflite file as objects, and back."""

from tfprune.core import packages

# What the schema asks for of the data of buffers, and C++ writers give.
_ALIGNMENT = 16


def unpacked(data):
    """The `ModelT` of a file, whose buffers hold all their data.

    Args:
        data: `bytes` of a .tflite file.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for buffer in model.buffers:
        # Some writers put large ones behind the flatbuffer.
        if buffer.offset > 1:
            end = buffer.offset + buffer.size
            buffer.data = data[buffer.offset : end]
            buffer.offset = buffer.size = 0
    return model


def sweep(model):
    """Drops what nothing uses any more: kinds of ops, tensors, data.

    Signatures must not be there yet, as they count tensors.

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
        # An input that is left out stays so.
        places = {-1: -1} | {i: place for place, i in enumerate(used)}
        for owner, key in lists:
            kept = [places[int(i)] for i in getattr(owner, key)]
            setattr(owner, key, kept)
    used = {t.buffer for g in model.subgraphs for t in g.tensors}
    used |= {entry.buffer for entry in model.metadata or ()}
    # The numbers of the others stay what they are.
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data = None


def packed(model):
    """The `bytes` of a file.

    All weights lie inside the flatbuffer and begin at multiples of 16 bytes,
    as firmware wants them.

    Args:
        model: `ModelT`.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    flatbuffers = packages.load("flatbuffers")
    before = model.buffers
    model.buffers = [_aligned(schema, buffer) for buffer in before]
    # One that grows copies all that it holds, again and again.
    room = sum(len(b.data) + 64 for b in before if b.data is not None)
    builder = flatbuffers.Builder(room + (1 << 16))
    builder.Finish(model.Pack(builder), b"TFL3")
    model.buffers = before
    return bytes(builder.Output())


def _aligned(schema, buffer):
    """A buffer whose data begin at a multiple of `_ALIGNMENT`."""
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
