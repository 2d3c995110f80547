"""What the converter leaves undone in a .tflite file."""

import numpy as np

from tfprune.export import packages

KEY = "serving_default"
# What the schema asks for of the data of buffers, and C++ writers give.
_ALIGNMENT = 16
# Ops whose second input are positions. TFLite takes them in 64 bits too,
# TFLite Micro in 32 bits only.
_BY_POSITION = ("GATHER", "GATHER_ND")


def finished(data):
    """A file as runtimes want it, small ones too.

    It gets a signature, so that `get_signature_runner()` finds one: inputs and
    outputs by the names of their tensors. All weights lie inside the flatbuffer
    and begin at multiples of 16 bytes, as firmware wants them. Constant
    positions have 32 bits.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        `bytes`; all else is as it was.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    flatbuffers = packages.load("flatbuffers")
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for graph in model.subgraphs:
        _narrow_positions(schema, model, graph)
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


def _narrow_positions(schema, model, graph):
    """Gives constants that are nothing but positions 32 bits."""
    kinds = [getattr(schema.BuiltinOperator, name) for name in _BY_POSITION]
    positions, others = set(), {*graph.inputs, *graph.outputs}
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        for place, index in enumerate(op.inputs):
            is_position = kind in kinds and place == 1
            (positions if is_position else others).add(index)
    for tensor in (graph.tensors[i] for i in sorted(positions - others)):
        data = model.buffers[tensor.buffer].data
        if tensor.type != schema.TensorType.INT64 or data is None:
            continue
        values = np.asarray(data, np.uint8).view("<i8").astype("<i4")
        tensor.type = schema.TensorType.INT32
        if _shared(model, tensor.buffer):
            model.buffers.append(schema.BufferT())
            tensor.buffer = len(model.buffers) - 1
        model.buffers[tensor.buffer].data = values.view(np.uint8)


def _shared(model, buffer):
    """Whether several tensors have their data in one buffer."""
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    return sum(tensor.buffer == buffer for tensor in tensors) > 1


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
