"""Functions of TensorFlow that move, cut and join, as `keras.ops`."""

import keras
import numpy as np

from tfprune.legacy.operations import sizes

_OPS = keras.ops
# Of types that NumPy lacks, or gives none.
_OTHER_LIMITS = {
    "bool": (0, 1),
    "bfloat16": (-0xFF * 2.0**120, 0xFF * 2.0**120),
}


def symbolic(value):
    return isinstance(value, keras.KerasTensor)


def known(value):
    """What is not symbolic, as an array."""
    plain = keras.ops.is_tensor(value) and not symbolic(value)
    return _OPS.convert_to_numpy(value) if plain else value


def alike(*values):
    """Numbers and lists beside tensors, in the tensors' type."""
    types = [x.dtype for x in values if symbolic(x)]
    return tuple(
        np.asarray(x, types[0]) if types and isinstance(x, (list, tuple)) else x
        for x in values
    )


def add(x, y):
    """A sum; Keras may add a second operand of one axis along another one."""
    # Keras is right about numbers and about a bias of the last axis.
    plain = symbolic(y) or np.shape(y) in ((), np.shape(x)[-1:])
    return _OPS.add(x, y) if plain else _OPS.add(y, x)


def constant(value):
    """A list of numbers in the type that TensorFlow gives it."""
    if symbolic(value):
        return value
    value = np.asarray(value)
    kinds = {"f": "float32", "i": "int32"}
    return value.astype(kinds.get(value.dtype.kind, value.dtype))


def mean(x, axis=None, keepdims=False):
    """`tf.reduce_mean`, which gives whole numbers of whole numbers."""
    x = x if hasattr(x, "dtype") else _OPS.convert_to_tensor(x)
    kind = keras.backend.standardize_dtype(x.dtype)
    if "int" not in kind:
        return _OPS.mean(x, axis=axis, keepdims=keepdims)
    wide = kind in ("int64", "uint32", "uint64")
    x = _OPS.cast(x, "int64" if wide else "int32")
    total = _OPS.sum(x, axis=axis, keepdims=keepdims)
    count = _OPS.sum(_OPS.ones_like(x), axis=axis, keepdims=keepdims)
    # Towards zero.
    size = _OPS.floor_divide(_OPS.abs(total), count)
    return _OPS.cast(_OPS.sign(total) * size, kind)


def axes(axis):
    return tuple(axis) if isinstance(axis, list) else axis


def getitem(x, slice_spec):
    specs = slice_spec if isinstance(slice_spec, list) else [slice_spec]
    found = x[tuple(_index(part) for part in specs)]
    plain = isinstance(found, np.ndarray) and found.dtype == object
    return sizes.array(found.tolist()) if plain else found


def _index(part):
    if part is ...:
        return part
    if isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
        return ...
    if isinstance(part, dict):
        return slice(*(_whole(part[key]) for key in ("start", "stop", "step")))
    return _whole(part)


def _whole(bound):
    if isinstance(bound, sizes.Open):
        raise sizes.unclear([bound])
    if bound is None or symbolic(bound):
        return bound
    return int(np.asarray(bound))


def _joined(join):
    def call(values, axis=0):
        if sizes.are_open(values):
            values = [np.array(value, dtype=object) for value in values]
            return getattr(np, join)(values, axis=axis)
        return getattr(_OPS, join)(list(alike(*values)), axis)

    return call


def split(value, num_or_size_splits, axis=0):
    if isinstance(num_or_size_splits, int):
        return _OPS.split(value, num_or_size_splits, axis)
    total = value.shape[axis]
    counts = [int(np.asarray(n)) for n in num_or_size_splits]
    if -1 in counts:
        counts[counts.index(-1)] = total - sum(counts) - 1
    return _OPS.split(value, np.cumsum(counts)[:-1].tolist(), axis)


def _unstack(value, num=None, axis=0):
    if sizes.are_open([value]):
        return value.tolist()
    return [_OPS.take(value, i, axis=axis) for i in range(value.shape[axis])]


def _transpose(a, perm=None, conjugate=False):
    return _OPS.transpose(a, perm)


def _squeeze(input, axis=None, squeeze_dims=None):
    axis = squeeze_dims if axis is None else axis
    found = axis if isinstance(axis, list) else [axis]
    if found in ([None], []):
        return _OPS.squeeze(input)
    for i in sorted((i % len(input.shape) for i in found), reverse=True):
        input = _OPS.squeeze(input, i)
    return input


def pad(tensor, paddings, mode="CONSTANT", constant_values=0):
    mode = mode.lower()
    more = {"constant_values": constant_values} if mode == "constant" else {}
    return _OPS.pad(tensor, np.asarray(paddings).tolist(), mode=mode, **more)


def cut(input, begin, size):
    bounds = zip(sizes.listed(begin), sizes.listed(size), strict=True)
    parts = []
    for i, (start, length) in enumerate(bounds):
        whole = isinstance(length, sizes.Open) and start == 0
        same = whole and length.axis == i and length.times == 1
        if isinstance(length, sizes.Open) and not (
            same and length.tensor is input
        ):
            raise sizes.unclear([length])
        ends = same or length == -1
        parts.append(slice(start, None if ends else start + length))
    return input[tuple(parts)]


def gather(params, indices, axis=None, batch_dims=0, validate_indices=None):
    """`tf.gather`."""
    indices = indices if symbolic(indices) else np.asarray(indices)
    if not batch_dims:
        return _OPS.take(constant(params), indices, axis=axis or 0)
    rank = len(indices.shape)
    along = batch_dims if axis is None else axis
    if {batch_dims % rank, along % len(params.shape)} != {rank - 1}:
        raise ValueError(
            "A gather with batch dimensions must be along the next axis. "
            f"Received: batch_dims={batch_dims}, axis={axis}, indices of "
            f"shape {tuple(indices.shape)}. Build the model in code."
        )
    for _ in params.shape[rank:]:
        indices = _OPS.expand_dims(indices, -1)
    return _OPS.take_along_axis(constant(params), indices, axis=rank - 1)


def gather_nd(params, indices, batch_dims=0, bad_indices_policy=""):
    """`tf.gather_nd`: the last axis of the indices has one for each axis."""
    params, indices = constant(params), constant(indices)
    depth, each = indices.shape[-1], indices.shape[1:-1]
    sizes_used = [depth, *params.shape[1:], *(each if batch_dims else ())]
    if batch_dims > 1 or None in sizes_used:
        raise ValueError(
            "Indices must be gathered from a fixed size, for all samples or "
            f"for each of them. Received: batch_dims={batch_dims}, indices of "
            f"shape {tuple(indices.shape)}, from {tuple(params.shape)}. Build "
            "the model in code."
        )
    ends = batch_dims + depth
    inner, rest = params.shape[batch_dims:ends], params.shape[ends:]
    place = indices[..., 0]
    for i, size in enumerate(inner[1:], start=1):
        place = place * size + indices[..., i]
    if not batch_dims:
        return _OPS.take(_OPS.reshape(params, (-1, *rest)), place, axis=0)
    flat = _OPS.reshape(params, (-1, int(np.prod(inner)), *rest))
    place = _OPS.reshape(place, (-1, int(np.prod(each)), *[1] * len(rest)))
    found = _OPS.take_along_axis(flat, place, axis=1)
    return _OPS.reshape(found, (-1, *each, *rest))


def _lookup(params, ids, partition_strategy="mod", max_norm=None):
    if max_norm is not None:
        raise ValueError(
            "An embedding must be looked up as it is. Received: "
            f"max_norm={max_norm}. Build the model in code."
        )
    return gather(params, ids)


def _filled(shape, dtype="float32", value=0):
    return sizes.filled(shape, np.asarray(value, dtype))


def _repeat(input, repeats, axis=None):
    return _OPS.repeat(input, repeats, axis=axis)


def _sort(values, axis=-1, direction="ASCENDING"):
    found = _OPS.sort(values, axis)
    return found if direction == "ASCENDING" else _OPS.flip(found, axis)


def _argsort(values, axis=-1, direction="ASCENDING", stable=False):
    turned = values if direction == "ASCENDING" else _OPS.negative(values)
    return _OPS.argsort(turned, axis)


def _top_k(input, k=1, sorted=True):
    return _OPS.top_k(input, k, sorted=sorted)


def _matmul(
    a,
    b,
    transpose_a=False,
    transpose_b=False,
    adjoint_a=False,
    adjoint_b=False,
    a_is_sparse=False,
    b_is_sparse=False,
):
    a, b = alike(a, b)
    # Of real numbers both turns are the same.
    if transpose_a or adjoint_a:
        a = _OPS.swapaxes(a, -1, -2)
    turned = transpose_b or adjoint_b
    return _OPS.matmul(a, _OPS.swapaxes(b, -1, -2) if turned else b)


def _cumulative(op, first):
    def call(x, axis=0, exclusive=False, reverse=False):
        x = _OPS.flip(x, axis) if reverse else x
        y = op(x, axis)
        if exclusive:
            one = _OPS.full_like(_OPS.take(y, [0], axis=axis), first)
            before = (slice(None),) * (axis % len(y.shape))
            y = _OPS.concatenate([one, y[(*before, slice(0, -1))]], axis)
        return _OPS.flip(y, axis) if reverse else y

    return call


def _masked(tensor, mask, axis=None):
    mask = mask if symbolic(mask) else np.asarray(mask)
    if symbolic(mask) or mask.ndim != 1:
        raise ValueError(
            "A boolean mask must be a list of numbers. Received: a mask of "
            f"shape {tuple(mask.shape)}. Build the model in code."
        )
    return _OPS.take(tensor, np.flatnonzero(mask), axis=axis or 0)


def _saturated(value, dtype):
    value = value if hasattr(value, "dtype") else constant(value)
    kind = keras.backend.standardize_dtype(value.dtype)
    if kind in ("float16", "bfloat16") and "int" in dtype:
        # They lack the limits of many integers.
        value, kind = _OPS.cast(value, "float32"), "float32"
    have, wanted = map(_limits, (kind, dtype))
    low, high = max(have[0], wanted[0]), min(have[1], wanted[1])
    if "float" in kind and "int" in dtype:
        # The largest number below may not be one of the type.
        low, high = np.array([low, high], kind)
        if int(high) > wanted[1]:
            high = np.nextafter(high, low)
    if (low, high) != have:
        number = float if "float" in kind else int
        value = _OPS.clip(value, number(low), number(high))
    return _OPS.cast(value, dtype)


def _limits(dtype):
    """The smallest and the largest number of a type."""
    if dtype in _OTHER_LIMITS:
        return _OTHER_LIMITS[dtype]
    if "int" in dtype:
        return np.iinfo(dtype).min, np.iinfo(dtype).max
    return float(np.finfo(dtype).min), float(np.finfo(dtype).max)


def _on_diagonal(diagonal):
    size = diagonal.shape[-1]
    if size is None:
        raise sizes.unclear([])
    column = _OPS.expand_dims(diagonal, -1)
    return _OPS.where(np.eye(size, dtype=bool), column, _OPS.zeros_like(column))


def _tensordot(a, b, axes):
    return _OPS.tensordot(*alike(a, b), axes=axes)


def _band(input, num_lower, num_upper):
    kept = input if num_upper < 0 else _OPS.tril(input, num_upper)
    return kept if num_lower < 0 else _OPS.triu(kept, -num_lower)


def _diagonal(input, k=0):
    return _OPS.diagonal(input, k, axis1=-2, axis2=-1)


def _sequence_mask(lengths, maxlen, dtype="bool"):
    places = np.arange(maxlen, dtype="int32")
    mask = _OPS.less(places, _OPS.expand_dims(lengths, -1))
    return _OPS.cast(mask, dtype)


def _flatten(x):
    return keras.layers.Flatten()(x)


def _cast(x, dtype):
    if sizes.are_open([x]):
        return x
    return _OPS.cast(x, dtype)


def _chosen(condition, x, y):
    return _OPS.where(condition, *alike(x, y))


def _one_hot(
    indices, depth, on_value=None, off_value=None, axis=None, dtype=None
):
    hot = _OPS.one_hot(
        indices,
        depth,
        axis=-1 if axis is None else axis,
        dtype=dtype or "float32",
    )
    on, off = on_value, off_value
    if on is None and off is None:
        return hot
    off = 0.0 if off is None else off
    return hot * ((1.0 if on is None else on) - off) + off


# Functions of sizes that the model may leave open.
SIZED = {
    "__operators__.getitem": getitem,
    "broadcast_to": lambda input, shape: sizes.broadcast(
        constant(input), shape
    ),
    "cast": _cast,
    "concat": _joined("concatenate"),
    "fill": lambda dims, value: sizes.filled(dims, constant(value)),
    "math.floordiv": lambda x, y: _OPS.floor_divide(*alike(x, y)),
    "ones": lambda shape, dtype="float32": _filled(shape, dtype, 1),
    "range": sizes.counted,
    "rank": lambda input: np.int32(len(input.shape)),
    "reshape": lambda tensor, shape: sizes.reshape(tensor, shape),
    "shape": lambda input, out_type="int32": sizes.shape(input),
    "size": lambda input, out_type="int32": np.prod(sizes.shape(input)),
    "slice": cut,
    "stack": _joined("stack"),
    "tile": lambda input, multiples: sizes.tile(constant(input), multiples),
    "unstack": _unstack,
    "zeros": _filled,
}
ARRAYS = SIZED | {
    "argsort": _argsort,
    "boolean_mask": _masked,
    "dtypes.saturate_cast": _saturated,
    "ensure_shape": lambda x, shape: x,
    "expand_dims": lambda input, axis: _OPS.expand_dims(input, axis),
    "gather": gather,
    "gather_nd": gather_nd,
    "keras.backend.batch_flatten": _flatten,
    "keras.backend.print_tensor": lambda x, message="", summarize=3: _OPS.copy(
        x
    ),
    "linalg.band_part": _band,
    "linalg.adjoint": lambda matrix: _OPS.swapaxes(matrix, -1, -2),
    "linalg.cross": lambda a, b: _OPS.cross(*alike(a, b)),
    "linalg.det": lambda input: _OPS.det(input),
    "linalg.diag": _on_diagonal,
    "linalg.diag_part": _diagonal,
    "linalg.inv": lambda input, adjoint=False: _OPS.inv(
        _OPS.swapaxes(input, -1, -2) if adjoint else input
    ),
    "linalg.matmul": _matmul,
    "linalg.matrix_transpose": lambda a, conjugate=False: _OPS.swapaxes(
        a, -1, -2
    ),
    "linalg.trace": lambda x: _OPS.sum(_diagonal(x), -1),
    "math.cumprod": _cumulative(_OPS.cumprod, 1),
    "math.cumsum": _cumulative(_OPS.cumsum, 0),
    "math.top_k": _top_k,
    "nn.embedding_lookup": _lookup,
    "nn.top_k": _top_k,
    "one_hot": _one_hot,
    "pad": pad,
    "repeat": _repeat,
    "reverse": lambda tensor, axis: _OPS.flip(tensor, axes(axis)),
    "roll": lambda input, shift, axis: _OPS.roll(
        input, axes(shift), axes(axis)
    ),
    "sequence_mask": _sequence_mask,
    "sort": _sort,
    "split": split,
    "squeeze": _squeeze,
    "tensordot": _tensordot,
    "transpose": _transpose,
    "where": _chosen,
}
