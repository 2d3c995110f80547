"""The signature of a .tflite file: inputs and outputs by name.

The converter writes none for what it is given here, so it is added after.
"""

from tfprune.export import packages

KEY = "serving_default"
# What the schema asks for of the data of buffers, and C++ writers give.
_ALIGNMENT = 16


def with_signature(data):
    """A file with a signature, so that `get_signature_runner()` finds one.

    Names are those of the tensors. All weights lie inside the flatbuffer and
    begin at multiples of 16 bytes, as firmware wants them.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        `bytes`; all else is as it was.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    flatbuffers = packages.load("flatbuffers")
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = KEY
    signature.inputs = _maps(schema, graph, graph.inputs)
    signature.outputs = _maps(schema, graph, graph.outputs)
    model.signatureDefs = [signature]
    model.buffers = [_aligned(schema, data, b) for b in model.buffers]
    builder = flatbuffers.Builder(len(data) + 1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _maps(schema, graph, tensors):
    names = [graph.tensors[i].name.decode() for i in tensors]
    found = []
    for number, (name, index) in enumerate(zip(names, tensors, strict=True)):
        entry = schema.TensorMapT()
        twice = names.count(name) > 1
        entry.name = f"{name}_{number}" if twice else name
        entry.tensorIndex = int(index)
        found.append(entry)
    return found


def _aligned(schema, data, buffer):
    """A buffer whose data begin at a multiple of `_ALIGNMENT`."""
    content = b"" if buffer.data is None else bytes(buffer.data)
    # Some writers put large ones behind the flatbuffer.
    if buffer.offset > 1:
        content = data[buffer.offset : buffer.offset + buffer.size]

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
