"""Files of .tflite written op by op: no converter, no model."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfprune.export.file import packing

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
}


class Sketch:
    """A file with one graph.

    Attributes:
        model: `ModelT`.
        graph: `SubGraphT`.
    """

    def __init__(self):
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version = 3
        self.model.subgraphs = [self.graph]
        self.model.operatorCodes = []
        self.model.buffers = [schema.BufferT()]  # It holds nothing.
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []

    def buffer(self, values):
        """The index of a new buffer."""
        made = schema.BufferT()
        made.data = np.ascontiguousarray(values).reshape(-1).view("u1")
        self.model.buffers.append(made)
        return len(self.model.buffers) - 1

    def tensor(self, name, shape, dtype="float32", steps=None, buffer=0):
        """The index of a new tensor.

        Args:
            steps: `(scales, zero points)`, lists.
        """
        made = schema.TensorT()
        made.name, made.shape = name.encode(), list(shape)
        made.type, made.buffer = TYPES[dtype], buffer
        if steps is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = steps
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def constant(self, name, values, steps=None):
        """The index of a new tensor that has its values."""
        values = np.asarray(values)
        buffer = self.buffer(values)
        return self.tensor(name, values.shape, values.dtype.name, steps, buffer)

    def op(self, kind, inputs, outputs, version=1):
        """A new op; a kind in small letters is one of the user's own."""
        code = schema.OperatorCodeT()
        if kind.islower():
            code.builtinCode = schema.BuiltinOperator.CUSTOM
            code.customCode = kind.encode()
        else:
            code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        self.model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs, made.outputs = list(inputs), list(outputs)
        self.graph.operators.append(made)
        return made

    def data(self, inputs, outputs):
        """The `bytes` of the file."""
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        return packing.packed(self.model)


def dense(kernel, dtype="float32", steps=None, output="out"):
    """A file with one dense layer.

    Args:
        kernel: array, shape `(outputs, inputs)`.
        steps: of the kernel.
    """
    sketch = Sketch()
    outputs, inputs = np.shape(kernel)
    x = sketch.tensor("in", (1, inputs), dtype)
    w = sketch.constant("kernel", kernel, steps)
    y = sketch.tensor(output, (1, outputs), dtype)
    sketch.op("FULLY_CONNECTED", [x, w, -1], [y])
    return sketch.data([x], [y])
