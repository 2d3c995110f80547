"""Uniform quantization grids for any real-valued bit length.

With n bits a grid has the 2^n levels

    Q(v, n) = l + k (h - l) / (2^n - 1),  k = round((v - l)(2^n - 1)/(h - l))

between l and h. For b <= n < b + 1, two grids are interpolated:

    Q(v, n) = (1 - a) Q(v, b) + a Q(v, b + 1),  a = n - b,

so that the bit length has a gradient. Everything is computed in float32.
"""

import keras

from tfprune.sparsity import ops

# Below it, the steps of a grid divided by its width overflow in float32.
_NARROWEST = 1e-30


def span(values):
    """Returns the lowest and highest value of a tensor, without gradients.

    Args:
        values: float tensor.

    Returns:
        Two scalars, float32.
    """
    values = keras.ops.stop_gradient(keras.ops.cast(values, "float32"))
    return keras.ops.min(values), keras.ops.max(values)


def uniform(values, bits, low=None, high=None):
    """Rounds to the nearest level of a grid; the gradient of `values` is 0.

    Args:
        values: float tensor.
        bits: integer or scalar tensor with an integral value of at least 1.
        low, high: scalars, the ends of the grid; by default the range of
            `values`. Values beyond are clipped; if both are equal, or closer
            than 1e-30, they are the only levels.

    Returns:
        float32 tensor of the shape of `values`.
    """
    values = keras.ops.cast(values, "float32")
    inside = low is None or high is None
    if inside:
        low, high = span(values)
    return low + _above(values - low, bits, high - low, inside)


def _above(distances, bits, width, inside):
    """Rounds distances from the lowest level to those of levels.

    Args:
        distances: float32 tensor.
        bits, width: scalars, the width of the whole grid.
        inside: `bool`, whether none lies beyond the grid.
    """
    steps = 2.0 ** keras.ops.cast(bits, "float32") - 1.0
    divisor = keras.ops.where(width > _NARROWEST, width, 1.0)
    index = keras.ops.round(distances * (steps / divisor))
    if not inside:
        index = keras.ops.clip(index, 0.0, steps)
    return index * (width / steps)


def interpolated(
    values, bits, low=None, high=None, keep_zeros=False, inside=False
):
    """Quantizes with a real-valued number of bits that has a gradient.

    The gradient of `values` is 1 (straight-through); that of `bits` is the
    true one, `Q(v, b + 1) - Q(v, b)` per value.

    Args:
        values: finite float tensor.
        bits: scalar tensor, at least 1.
        low, high: as for `uniform`.
        keep_zeros: `bool`, whether values that are zero stay zero, even
            where the grid has no such level.
        inside: `bool`, whether no value lies beyond `low` and `high`, which
            then costs less.

    Returns:
        float32 tensor of the shape of `values`. With an integral `bits` its
        values are levels of `uniform`, exactly.

    Example:

    >>> interpolated(np.array([0.0, 0.3, 1.0]), 2.25)
    [0.0, 0.321429, 1.0]
    """
    values = keras.ops.cast(values, "float32")
    bits = keras.ops.cast(bits, "float32")
    if low is None or high is None:
        (low, high), inside = span(values), True
    whole = keras.ops.stop_gradient(keras.ops.floor(bits))
    # Each line is a pass over memory, which is what this costs.
    width, distances = high - low, keras.ops.stop_gradient(values - low)
    coarse = _above(distances, whole, width, inside)
    change = _above(distances, whole + 1.0, width, inside) - coarse
    coarse = low + coarse
    if keep_zeros:
        zero = keras.ops.equal(values, 0.0)
        coarse = keras.ops.where(zero, 0.0, coarse)
        change = keras.ops.where(zero, 0.0, change)
    coarse = keras.ops.stop_gradient(coarse)
    change = keras.ops.stop_gradient(change)
    return ops.straight_through(coarse, values) + (bits - whole) * change
