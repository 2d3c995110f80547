"""Edits a graph of a .tflite file, op by op."""

import copy

import numpy as np


class Place:
    """A graph of a model, with queries and edits.

    "Steps" are the quantization parameters of a tensor: `(scale, zero point)`.

    Args:
        schema: the module of the flatbuffer's classes.
        model: `ModelT`, as `packing.unpacked` returns it; changed in place.
        graph: `SubGraphT`, one of its graphs.
    """

    def __init__(self, schema, model, graph):
        self.schema = schema
        self.model = model
        self.graph = graph
        self._names = {
            value: name
            for name, value in vars(schema.BuiltinOperator).items()
            if not name.startswith("_")
        }

    def type(self, index):
        return self.graph.tensors[index].type

    def shape(self, index):
        found = self.graph.tensors[index].shape
        # That of a scalar may be absent.
        return () if found is None else tuple(int(n) for n in found)

    def constant(self, index):
        """The integers of a constant; `None` if the tensor is computed."""
        tensor = self.graph.tensors[index]
        data = self.model.buffers[tensor.buffer].data
        if data is None:
            return None
        long = tensor.type == self.schema.TensorType.INT64
        values = np.frombuffer(bytes(data), "<i8" if long else "<i4")
        return values.reshape(self.shape(index))

    def steps(self, index):
        """`(scale, zero point)`, or `None` unless there is one scale."""
        found = self.graph.tensors[index].quantization
        if found is None or found.scale is None or len(found.scale) != 1:
            return None
        zeros = found.zeroPoint  # Some writers omit a zero point of 0.
        zero = 0 if zeros is None or not len(zeros) else int(zeros[0])
        return float(found.scale[0]), zero

    def real(self, index):
        """The real values of an int8 or int16 constant, or `None`."""
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

    def represents(self, values, index):
        """Whether real values lie in the range of a quantized tensor."""
        scale, zero = self.steps(index)
        limits = np.iinfo(self._integers(self.graph.tensors[index]))
        stored = np.rint(values / scale) + zero
        return bool(((limits.min <= stored) & (stored <= limits.max)).all())

    def add_steps(self, values, steps, like, shape=()):
        """Adds a constant, quantized like the tensor `like`; its index.

        Values beyond what the type holds become its ends.
        """
        tensor = copy.deepcopy(self.graph.tensors[like])
        scale, zero = steps
        kind = np.dtype(self._integers(tensor))
        limits = np.iinfo(kind)
        stored = np.rint(np.reshape(values, -1) / scale) + zero
        stored = np.clip(stored, limits.min, limits.max).astype(kind)
        tensor.name = tensor.name + b"/value"
        tensor.shape = list(shape)
        tensor.buffer = len(self.model.buffers)
        buffer = self.schema.BufferT()
        buffer.data = stored.view("u1")
        self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def add_constant(self, values, dtype="<i4"):
        """Adds a constant of type int32, stored as `dtype`; its index."""
        index = self._add_tensor(values.shape)
        buffer = self.schema.BufferT()
        buffer.data = values.astype(dtype).reshape(-1).view("u1")
        self.model.buffers.append(buffer)
        self.graph.tensors[index].buffer = len(self.model.buffers) - 1
        return index

    def add_floats(self, values):
        """Adds a float32 constant; its index."""
        index = self.add_constant(np.asarray(values), "<f4")
        self.graph.tensors[index].type = self.schema.TensorType.FLOAT32
        return index

    def maker(self, index):
        """The op that computes a tensor, or `None`."""
        return next(
            (o for o in self.graph.operators if index in o.outputs), None
        )

    def readers(self, index):
        """The ops that read a tensor."""
        return [op for op in self.graph.operators if index in op.inputs]

    def kind(self, op):
        """The name of an op ("CONV_2D")."""
        code = self.model.operatorCodes[op.opcodeIndex]
        return self._names[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def is_constant(self, index):
        buffer = self.model.buffers[self.graph.tensors[index].buffer]
        return buffer.data is not None

    def add_int8(self, values, like):
        """Adds an int8 constant with the steps of `like`; its index."""
        index = self.add_constant(values.view("i1"), "i1")
        tensor = self.graph.tensors[index]
        tensor.type = self.schema.TensorType.INT8
        tensor.quantization = self.graph.tensors[like].quantization
        return index

    def insert(
        self, before, kind, options, inputs, shape=None, like=None, **values
    ):
        """Inserts an op before another one.

        Args:
            before: The op to insert it before.
            kind: `str`, the op ("SUB").
            options: `str`, the class of its options ("SubOptions").
            inputs: list of `int`, the indices of the inputs.
            shape: The shape of the output; by default, the inputs broadcast.
            like: The type of the output ("BOOL"), or the index of a tensor
                whose type and steps it takes; by default int32.
            **values: The fields of the options.

        Returns:
            `int`, the index of the output.
        """
        op = self.schema.OperatorT()
        if shape is None:
            shape = np.broadcast_shapes(*(self.shape(i) for i in inputs))
        made = self._add_tensor(shape)
        tensor = self.graph.tensors[made]
        if isinstance(like, str):
            tensor.type = getattr(self.schema.TensorType, like)
        elif like is not None:
            tensor.type = self.type(like)
            tensor.quantization = self.graph.tensors[like].quantization
        op.outputs = [made]
        self.become(op, kind, options, inputs, **values)
        self._put(before, op)
        return made

    def repeat(self, op, inputs, shape):
        """Inserts a copy of an op before it, for other inputs.

        Args:
            op: The op, of one output.
            inputs: list of `int`, the indices of the inputs.
            shape: The shape of the output, which is stored as that of `op`.

        Returns:
            `int`, the index of the output.
        """
        new = copy.copy(op)
        like = self.graph.tensors[op.outputs[0]]
        made = self._add_tensor(shape)
        self.graph.tensors[made].type = like.type
        self.graph.tensors[made].quantization = like.quantization
        new.inputs, new.outputs = list(inputs), [made]
        self._put(op, new)
        return made

    def _put(self, before, op):
        place = next(
            i for i, known in enumerate(self.graph.operators) if known is before
        )
        self.graph.operators.insert(place, op)

    def dequantize(self, before, index):
        """A tensor in float: a constant, or the output of an inserted op."""
        values = self.real(index)
        if values is not None:
            return self.add_floats(values.reshape(self.shape(index)))
        return self.insert(
            before,
            "DEQUANTIZE",
            "DequantizeOptions",
            [index],
            self.shape(index),
            "FLOAT32",
        )

    def reshape(self, before, index, shape):
        """Inserts a RESHAPE of tensor `index`; the index of its output."""
        target = self.add_constant(np.array(shape))
        return self.insert(
            before,
            "RESHAPE",
            "ReshapeOptions",
            [index, target],
            shape,
            index,
            newShape=list(shape),
        )

    def become(self, op, kind, options, inputs, version=1, **values):
        """Turns an op into one of another kind ("SELECT_V2")."""
        code = self.schema.OperatorCodeT()
        code.builtinCode = getattr(self.schema.BuiltinOperator, kind)
        # Old readers know this field alone, which is a byte.
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        self.model.operatorCodes.append(code)
        op.opcodeIndex = len(self.model.operatorCodes) - 1
        op.inputs = list(inputs)
        op.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
        # Some ops, such as TANH, have none.
        made = None if options == "NONE" else f"{options}T"
        op.builtinOptions = made and getattr(self.schema, made)()
        for name, value in values.items():
            setattr(op.builtinOptions, name, value)

    def _add_tensor(self, shape):
        tensor = self.schema.TensorT()
        tensor.shape = list(shape)
        tensor.type = self.schema.TensorType.INT32
        # By the schema, buffer 0 is empty.
        tensor.buffer = 0
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1
