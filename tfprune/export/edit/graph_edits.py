"""Changes to a graph of a .tflite file, op by op."""

import copy

import numpy as np


class Place:
    """A graph of a model, and ways to change it."""

    def __init__(self, schema, model, graph):
        self.schema = schema
        self.model = model
        self.graph = graph

    def type(self, index):
        return self.graph.tensors[index].type

    def shape(self, index):
        return tuple(int(n) for n in self.graph.tensors[index].shape)

    def constant(self, index):
        """Integers that a tensor holds, or `None` if they are computed."""
        tensor = self.graph.tensors[index]
        data = self.model.buffers[tensor.buffer].data
        if data is None:
            return None
        long = tensor.type == self.schema.TensorType.INT64
        values = np.frombuffer(bytes(data), "<i8" if long else "<i4")
        return values.reshape(self.shape(index))

    def steps(self, index):
        """`(scale, zero point)`, or `None` if it has not one of each."""
        found = self.graph.tensors[index].quantization
        if found is None or found.scale is None or len(found.scale) != 1:
            return None
        zeros = found.zeroPoint  # Some writers leave it out where it is 0.
        zero = 0 if zeros is None or not len(zeros) else int(zeros[0])
        return float(found.scale[0]), zero

    def real(self, index):
        """The real values of a constant in int8 or int16, else `None`."""
        tensor, types = self.graph.tensors[index], self.schema.TensorType
        data, steps = self.model.buffers[tensor.buffer].data, self.steps(index)
        whole = tensor.type in (types.INT8, types.INT16)
        if data is None or steps is None or not whole:
            return None
        scale, zero = steps
        kind = self._integers(tensor)
        return (np.frombuffer(bytes(data), kind).astype(float) - zero) * scale

    def _integers(self, tensor):
        wide = tensor.type == self.schema.TensorType.INT16
        return "<i2" if wide else "i1"

    def add_steps(self, values, steps, like):
        """The index of a new constant, quantized as the tensor `like` is."""
        tensor = copy.deepcopy(self.graph.tensors[like])
        scale, zero = steps
        kind = np.dtype(self._integers(tensor))
        limits = np.iinfo(kind)
        stored = np.rint(np.reshape(values, -1) / scale) + zero
        stored = np.clip(stored, limits.min, limits.max).astype(kind)
        tensor.name = tensor.name + b"/value"
        tensor.shape = []
        tensor.buffer = len(self.model.buffers)
        buffer = self.schema.BufferT()
        buffer.data = stored.view("u1")
        self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def add_constant(self, values, dtype="<i4"):
        """The index of a new tensor of int32."""
        index = self._add_tensor(values.shape)
        buffer = self.schema.BufferT()
        buffer.data = values.astype(dtype).reshape(-1).view("u1")
        self.model.buffers.append(buffer)
        self.graph.tensors[index].buffer = len(self.model.buffers) - 1
        return index

    def add_int8(self, values, like):
        """The index of a new tensor of int8, in the steps of another one."""
        index = self.add_constant(values.view("i1"), "i1")
        tensor = self.graph.tensors[index]
        tensor.type = self.schema.TensorType.INT8
        tensor.quantization = self.graph.tensors[like].quantization
        return index

    def insert(self, before, kind, options, inputs):
        """A new op before another one; the index of its output of int32."""
        op = self.schema.OperatorT()
        shapes = (self.shape(index) for index in inputs)
        op.outputs = [self._add_tensor(np.broadcast_shapes(*shapes))]
        self.become(op, kind, options, inputs)
        place = next(
            i for i, known in enumerate(self.graph.operators) if known is before
        )
        self.graph.operators.insert(place, op)
        return op.outputs[0]

    def become(self, op, kind, options, inputs, version=1, **values):
        """Makes an op one of another kind ("SELECT_V2")."""
        code = self.schema.OperatorCodeT()
        code.builtinCode = getattr(self.schema.BuiltinOperator, kind)
        # For readers that know no others.
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        self.model.operatorCodes.append(code)
        op.opcodeIndex = len(self.model.operatorCodes) - 1
        op.inputs = list(inputs)
        op.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
        op.builtinOptions = getattr(self.schema, f"{options}T")()
        for name, value in values.items():
            setattr(op.builtinOptions, name, value)

    def _add_tensor(self, shape):
        tensor = self.schema.TensorT()
        tensor.shape = list(shape)
        tensor.type = self.schema.TensorType.INT32
        # The first buffer holds nothing.
        tensor.buffer = 0
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1
