"""Sizes of tensors that old models compute with: `tf.shape(x)[0]`.

Keras 3 knows the sizes of a symbolic tensor or does not; it has no tensor of
them. Here they are numpy arrays, of integers or of `Open`.
"""

import operator

import keras
import numpy as np

_OPS = keras.ops
# Functions of two sizes, and of a list of them.
_MATH: dict = {
    "floor_div": operator.floordiv,
    "math.floordiv": operator.floordiv,
    "math.multiply": operator.mul,
    "math.reduce_prod": lambda x, axis=None, keepdims=False: np.prod(x),
}


class Open:
    """A size that the model leaves open, times a number.

    Args:
        tensor: the `keras.KerasTensor` that has it.
        axis: `int`.
        times: `int`.
    """

    def __init__(self, tensor, axis, times=1):
        self.tensor = tensor
        self.axis = axis
        self.times = times

    def __mul__(self, factor):
        if not isinstance(factor, int | np.integer):
            return NotImplemented
        return Open(self.tensor, self.axis, self.times * int(factor))

    __rmul__ = __mul__

    def __floordiv__(self, divisor):
        if isinstance(divisor, Open) or self.times % int(divisor):
            return NotImplemented
        return Open(self.tensor, self.axis, self.times // int(divisor))

    @property
    def is_batch(self):
        return self.axis == 0 and self.times == 1


def array(sizes):
    """Sizes as an array: of integers if all are known."""
    kind = object if are_open(sizes) else "int32"
    return np.array(sizes, dtype=kind)


def shape(x):
    """The sizes of a tensor."""
    if not isinstance(x, keras.KerasTensor):
        return array(np.shape(x))
    return array(
        [Open(x, i) if n is None else n for i, n in enumerate(x.shape)]
    )


def are_open(values):
    """Whether one of these values, in lists and dicts, is an open size."""
    return any(isinstance(value, Open) for value in _flat(values))


def _flat(values):
    for value in keras.tree.flatten(values):
        if isinstance(value, np.ndarray) and value.dtype == object:
            yield from value.ravel()
        else:
            yield value


def listed(sizes):
    """Sizes as a list of `int` and `Open`."""
    sizes = sizes.tolist() if isinstance(sizes, np.ndarray) else sizes
    sizes = sizes if isinstance(sizes, (list, tuple)) else [sizes]
    return [
        size if isinstance(size, Open) else int(np.asarray(size))
        for size in sizes
    ]


def computed(name, *args, **kwargs):
    """A function of sizes, some of which are open."""
    if name not in _MATH:
        raise unclear(_flat([args, kwargs]))
    values = [*args, *([kwargs.pop("y")] if "y" in kwargs else [])]
    try:
        arrays = [np.array(value, dtype=object) for value in values]
        found = _MATH[name](*arrays, **kwargs)
    except TypeError as error:
        raise unclear(_flat(values)) from error
    return array(found) if isinstance(found, np.ndarray) else found


def reshape(x, shape):
    """`tf.reshape`."""
    wanted = listed(shape)
    unknown = [size for size in wanted if isinstance(size, Open) or size == -1]
    plain = [-1 if isinstance(size, Open) else size for size in wanted]
    if len(unknown) < 2:
        return _OPS.reshape(x, plain)
    first = wanted[0]
    if len(unknown) > 2 or not isinstance(first, Open) or not first.is_batch:
        raise unclear(unknown)
    if not _same_batch(x, first.tensor):
        raise unclear(unknown)
    return keras.layers.Reshape(plain[1:])(x)


def _same_batch(x, y):
    """Whether the first axes of two symbolic tensors have the same size.

    A reshape may have moved another axis into one of them, so both sizes are
    computed for a batch of 7.
    """
    if x is y:
        return True
    inputs = keras.utils.get_source_inputs(x)
    if {id(i) for i in keras.utils.get_source_inputs(y)} - {
        id(i) for i in inputs
    }:
        return False
    model = keras.Model(inputs, [x, y])
    sizes = [
        (7, *(11 if n is None else n for n in i.shape[1:])) for i in inputs
    ]
    one, other = model.compute_output_shape(
        sizes if len(sizes) > 1 else sizes[0]
    )
    return one[0] == other[0] == 7


def filled(sizes, value):
    """`tf.fill`."""
    first, *rest = listed(sizes)
    if are_open(rest):
        raise unclear(rest)
    if not isinstance(first, Open):
        return np.full((first, *rest), value)
    return _for_batch(first, np.full((1, *rest), value))


def broadcast(x, sizes):
    """`tf.broadcast_to`."""
    first, *rest = listed(sizes)
    if are_open(rest):
        raise unclear(rest)
    if not isinstance(first, Open):
        return _OPS.broadcast_to(x, (first, *rest))
    if x.shape[0] is None:
        return _OPS.add(x, np.zeros((1, *rest), _type(x)))
    return _for_batch(first, _OPS.broadcast_to(x, (1, *rest)))


def tile(x, times):
    """`tf.tile`."""
    first, *rest = listed(times)
    if are_open(rest) or (isinstance(first, Open) and x.shape[0] != 1):
        raise unclear([first, *rest])
    if not isinstance(first, Open):
        return _OPS.tile(x, (first, *rest))
    return _for_batch(first, _OPS.tile(x, (1, *rest)))


def counted(start, limit=None, delta=1, dtype=None):
    """`tf.range`."""
    if limit is None:
        start, limit = 0, start
    if not are_open([start, limit, delta]):
        found = np.arange(start, limit, delta)
        kind = "float32" if found.dtype.kind == "f" else "int32"
        return found.astype(dtype or kind)
    if not isinstance(limit, Open) or limit.times != 1 or delta != 1:
        raise unclear([limit])
    tensor, axis = limit.tensor, limit.axis
    ones = _OPS.ones_like(_line(tensor, axis), dtype=dtype or "int32")
    return _OPS.cumsum(_OPS.reshape(ones, (-1,))) + (start - 1)


def _line(tensor, axis):
    """The tensor's first entries along all axes but one."""
    return tensor[
        tuple(
            slice(None) if i == axis else slice(0, 1)
            for i in range(len(tensor.shape))
        )
    ]


def _for_batch(size, value):
    """A constant of one sample, repeated as often as a tensor has samples."""
    if not size.is_batch:
        raise unclear([size])
    zeros = _OPS.zeros_like(_line(size.tensor, 0), dtype=_type(value))
    zeros = _OPS.reshape(zeros, (-1, *[1] * (len(value.shape) - 1)))
    return _OPS.add(zeros, value)


def within(x, tensor):
    """A constant as a symbolic tensor, so that a layer belongs to the model."""
    zero = _OPS.sum(_OPS.zeros_like(tensor))
    return _OPS.add(_OPS.cast(zero, _type(x)), x)


def _type(x):
    return keras.backend.standardize_dtype(x.dtype)


def unclear(sizes):
    """The error of a size that is not known."""
    (size, *_) = [n for n in sizes if isinstance(n, Open)] or [None]
    where = size and f"size {size.axis} of a tensor of {size.tensor.shape}"
    return ValueError(
        "The sizes that a model computes with must be fixed, apart from the "
        f"batch. Received: {where or 'a size that depends on others'}. Save "
        "the model with inputs of a fixed size, or build it in code."
    )
