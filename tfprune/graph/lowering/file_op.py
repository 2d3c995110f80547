"""The ops of a .tflite file of integers, and the tensors between them.

What is predicted of such a file is read off its ops: its size, the arena, the
code and the time that it takes.
"""

import dataclasses
import math

import numpy as np

DENSE, LSTM = "FULLY_CONNECTED", "UNIDIRECTIONAL_SEQUENCE_LSTM"
# No op of a file: what it becomes depends on the op before it.
CELU = "CELU"
CONVOLUTIONS = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"}
# Ops with a kernel and a bias.
WITH_KERNEL = {DENSE, *CONVOLUTIONS}


# Integers that the kernels of TFLite Micro do not take.
_AS_INT32 = ("int64", "uint16", "uint32", "uint64")


@dataclasses.dataclass(frozen=True, eq=False)
class Made:
    """A tensor that an op of the file makes.

    Attributes:
        parts: tuple, the axes of one sample: for each an `int`, the labels of
            its channels, a 1-D int array, or a tuple of both that are one axis.
        dtype: `str`, as the file has it.
    """

    parts: tuple
    dtype: str = "int8"

    @property
    def labels(self):
        """Its channels, a 1-D int array."""
        found = [np.zeros(0, int), *_arrays(self.parts)]
        return np.concatenate(found)

    def renumbered(self, number):
        """As `Tensor.renumbered`."""
        return Made(
            tuple(_renumbered(p, number) for p in self.parts), self.dtype
        )


def _arrays(part):
    if isinstance(part, np.ndarray):
        yield part
    elif isinstance(part, tuple):
        for inner in part:
            yield from _arrays(inner)


def _renumbered(part, number):
    if isinstance(part, tuple):
        return tuple(_renumbered(p, number) for p in part)
    return number[part] if isinstance(part, np.ndarray) else part


def size(part):
    """The size of a part of a tensor of which nothing is left out, `int`."""
    if isinstance(part, tuple):
        return math.prod(map(size, part))
    return part if isinstance(part, int) else len(part)


def dtype(tensor):
    """The dtype of a `Tensor` or `Made` in the file, `str`.

    Floats of the model are int8 there, and some integers int32.
    """
    if isinstance(tensor, Made):
        return tensor.dtype
    if tensor.dtype.startswith(("float", "bfloat")):
        return "int8"
    return "int32" if tensor.dtype in _AS_INT32 else tensor.dtype


def like(tensor, last=None, dtype="int8"):
    """A `Made` of another tensor's sizes.

    Args:
        tensor: a `Tensor` or a `Made`.
        last: the size or labels of the last axis, if they differ.
        dtype: `str`, as the file has it.
    """
    parts = tuple(tensor.parts)
    return Made(parts if last is None else (*parts[:-1], last), dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class FileOp:
    """An op of the file.

    Attributes:
        kind: `str`, as the schema of TFLite names it ("CONV_2D").
        inputs: tuple of `Tensor` and `Made`, without constants.
        outputs: tuple of `Tensor` and `Made`.
        window, strides: tuples of `int`, of a convolution or a pool.
        dilations: tuple of `int`, of the window.
        padded: `bool`, whether a convolution reads zeros around its input.
        channels_first: `bool`, whether the model has them so; the file does
            not.
        groups: `int`, into which a convolution splits channels.
        work: tuple of `(coefficient, label arrays)`, the multiply-adds of a
            product of matrices, as a `Step` has them.
        axis: `int`, along which a concatenation joins tensors.
        times: `int`, how often it stands in the file.
        in_time: `str`, what a layer computes whose time steps are written out,
            `"vectors"` or `"maps"`, if the op belongs to one of them.
        scratch: tuple of `Made`, what is held while it runs.
        stored: tuple of `Made`, arrays of its own in the file, but for weights
            and those that are small.
        again: `bool`, whether it has the weights of an op before it.
        scales: `bool`, whether it multiplies each channel by a constant or adds
            one, which a kernel before it takes over.
        same: `bool`, whether that is one number for all channels.
        relu: `bool`, whether it has taken over a ReLU.
    """

    kind: str
    inputs: tuple
    outputs: tuple
    window: tuple = ()
    strides: tuple = ()
    dilations: tuple = ()
    padded: bool = False
    channels_first: bool = False
    groups: int = 1
    work: tuple = ()
    axis: int = -1
    times: int = 1
    in_time: str = ""
    scratch: tuple = ()
    stored: tuple = ()
    again: bool = False
    scales: bool = False
    same: bool = False
    relu: bool = False

    @property
    def output(self):
        return self.outputs[0]

    def in_file(self, sizes):
        """The sizes of an input or output in the order of the file's axes.

        Channels are last there, and a window of one axis is one of one row.
        """
        sizes = list(sizes)
        if self.channels_first:
            sizes.append(sizes.pop(-1 - len(self.window)))
        if len(self.window) == 1:
            sizes.insert(-2, 1)
        return sizes

    def renumbered(self, tensor, labels):
        """The op with other labels.

        Args:
            tensor: function from a `Tensor` or `Made` to another one.
            labels: function from a label array to another one.
        """
        return dataclasses.replace(
            self,
            inputs=tuple(map(tensor, self.inputs)),
            outputs=tuple(map(tensor, self.outputs)),
            scratch=tuple(map(tensor, self.scratch)),
            stored=tuple(map(tensor, self.stored)),
            work=tuple((n, tuple(map(labels, axes))) for n, axes in self.work),
        )
