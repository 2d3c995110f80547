"""What a layer becomes in a .tflite file of integers.

A rule tells the ops in their order, as it tells the channels:

    squares = call.file.op("SQUARED_DIFFERENCE", x, mean)
    variance = call.file.op("MEAN", squares, made=file_op.like(mean))

What it does not tell is added here: the ops under which it is registered, and
the activation of the layer.
"""

import dataclasses
import math

from tfprune.graph import rulebook
from tfprune.graph.lowering import activation_ops
from tfprune.graph.lowering import file_op


class InFile:
    """Collects the ops of a layer, or of a part of it.

    Args:
        call: the `Call` of the layer, if `complete` and `window` are needed.

    Attributes:
        ops: list of `FileOp`.
        whole: `bool`, whether they are all, the activation included.
    """

    def __init__(self, call=None):
        self.ops = []
        self.whole = False
        self._call = call

    def op(self, kind, *inputs, made=None, **how):
        """Adds an op.

        Args:
            kind: `str`, as the schema of TFLite names it.
            *inputs: `Tensor`s and `Made`s.
            made: the output, if its sizes are not those of the first input, or
                a tuple of all outputs.
            **how: the other attributes of the `FileOp`.

        Returns:
            The first output.
        """
        made = _usual(kind, inputs[0]) if made is None else made
        outputs = made if isinstance(made, tuple) else (made,)
        self.ops.append(file_op.FileOp(kind, inputs, outputs, **how))
        return outputs[0]

    def chain(self, kinds, x, **how):
        """Adds ops that each read what the one before them makes."""
        for kind in kinds:
            x = self.op(kind, x, **how)
        return x

    def look_up(self, x):
        """Adds the ops by which a function of `x` is looked up in a table."""
        wide = self.op("CAST", x, made=file_op.like(x, dtype="int32"))
        wide = self.op("ADD", wide, made=file_op.like(x, dtype="int32"))
        return self.op("GATHER", wide, made=file_op.like(x))

    def divide(self, x, divisor, made):
        """Adds a division by what is computed, which is one of floats."""
        pair = [self.as_float(x), self.as_float(divisor)]
        floats = [file_op.like(made, dtype="float32") for _ in range(2)]
        ratio = self.op("DIV", *pair, made=floats[0])
        # Infinity would become the lowest integer.
        ratio = self.op("MINIMUM", ratio, made=floats[1])
        return self.op("QUANTIZE", ratio, made=made)

    def as_float(self, x):
        """Adds the op that makes floats of `x`."""
        floats = file_op.like(x, dtype="float32")
        return self.op("DEQUANTIZE", x, made=floats)

    def as_int8(self, x):
        """Adds the ops that make of integers or truths what floats become."""
        if x.dtype.startswith(("float", "bfloat")):
            return x
        if x.dtype != "uint8":
            floats = file_op.like(x, dtype="float32")
            x = self.op("CAST", x, made=floats)
        return self.op("QUANTIZE", x, made=file_op.like(x))

    def take(self, other, given=(), times=1, lead=(), in_time=""):
        """Adds the ops of a layer within.

        Args:
            other: its `InFile`.
            given: pairs of a tensor that this layer is given and the one that
                the layer around it is.
            times: `int`, how often the ops are in the file.
            lead: tuple of `int`, axes of each sample that it does not see.
            in_time: `str`, as a `FileOp` has it.
        """
        found = {id(inner): outer for inner, outer in given}
        self.whole = True

        def tensor(x):
            if id(x) not in found:
                parts = (*lead, *x.parts)
                inner = file_op.Made(parts, file_op.dtype(x))
                found[id(x)] = inner if lead else x
            return found[id(x)]

        for op in other.ops:
            op = op.renumbered(tensor, lambda labels: labels)
            self.ops.append(
                dataclasses.replace(
                    op,
                    times=times * op.times,
                    in_time=in_time or op.in_time,
                    work=tuple((math.prod(lead) * n, a) for n, a in op.work),
                )
            )

    def end(self, outputs):
        """Makes tensors of the model what the last op makes."""
        if self.ops:
            self.ops[-1] = dataclasses.replace(self.ops[-1], outputs=outputs)

    def window(self, kind, x, output, **how):
        """Adds an op whose window and strides are those of the config.

        Args:
            kind: `str`, as the schema of TFLite names it.
            x, output: `Tensor`s or `Made`s.
            **how: other attributes of the `FileOp`.

        Returns:
            The output.
        """
        config = self._call.config
        rank = max(1, len(output.parts) - 1)
        size = config.get("kernel_size") or config.get("pool_size")
        strides = config.get("strides")
        if strides is None:  # Windows of a pool stand side by side.
            strides = config.get("pool_size", 1)
        sizes = {
            "window": _each(size or 1, rank),
            "strides": _each(strides, rank),
            "dilations": _each(config.get("dilation_rate", 1), rank),
            "padded": config.get("padding") == "same",
            "channels_first": config.get("data_format") == "channels_first",
            "groups": config.get("groups", 1),
        }
        return self.op(kind, x, made=output, **(sizes | how))

    def complete(self, labels):
        """Adds what the rule has not told.

        Args:
            labels: label array of the first output.
        """
        call = self._call
        output = call.made(labels)
        if call.memory == "view":
            if not self.ops and _sizes(call.x) != _sizes(output):
                self.op("RESHAPE", call.x, made=output)
            return
        if not self.ops and not self.whole:
            self._add_usual(output)
        if not self.whole:
            x = self.ops[-1].output if self.ops else call.x
            function = getattr(call.live, "activation", None)
            activation_ops.add(self, x, function)

    def _add_usual(self, output):
        """Adds the ops of a layer whose rule tells none."""
        call = self._call
        names = rulebook.file_ops(call.entry, call.live)
        if names:
            # What works in place does so with constants.
            scales = call.memory == "inplace" and set(names) <= {"MUL", "ADD"}
            how = {"scales": scales and len(call.tensors) == 1}
            in_floats = names[0] == "DEQUANTIZE"
            made = _usual(names[0], output) if in_floats else output
            x = self.op(names[0], *call.tensors, made=made, **how)
            self.chain(names[1:], x, **how)
        elif call.work and "kernel_size" in call.config:
            self.window("CONV_2D", call.x, output)
        elif call.work:
            several = len(call.tensors) > 1
            kind = "BATCH_MATMUL" if several else file_op.DENSE
            work = tuple(call.work)
            self.op(kind, *call.tensors, made=output, work=work)
        elif call.memory == "new":
            self.op("ADD", *call.tensors, made=output)  # or another one


def _usual(kind, x):
    """What an op makes of `x` if nothing else is said."""
    in_floats = kind == "DEQUANTIZE" or file_op.dtype(x) == "float32"
    is_float = in_floats and kind != "QUANTIZE"
    return file_op.like(x, dtype="float32" if is_float else "int8")


def _sizes(tensor):
    """The sizes of the axes that are not 1, where all channels are kept."""
    sizes = map(file_op.size, tensor.parts)
    return [size for size in sizes if size != 1]


def _each(sizes, rank):
    """Sizes, of which one number may tell all, a tuple."""
    return (sizes,) * rank if isinstance(sizes, int) else tuple(sizes)
