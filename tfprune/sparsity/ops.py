"""Operations whose gradient is chosen, on any Keras backend.

All rest on one identity: `stop_gradient(value) + (proxy -
stop_gradient(proxy))` has the value of `value`, exactly, and the gradient of
`proxy`.
"""

import keras


def straight_through(value, proxy):
    """The value of one tensor with the gradient of another.

    Args:
        value: tensor, what comes out.
        proxy: finite tensor of the same shape, what is differentiated.

    Returns:
        Tensor equal to `value`.
    """
    return keras.ops.stop_gradient(value) + (
        proxy - keras.ops.stop_gradient(proxy)
    )


def round(x):
    """Rounds to the nearest integer; the gradient is 1."""
    return straight_through(keras.ops.round(x), x)


def _leaky(x, slope):
    return keras.ops.where(x > 0, x, slope * x)


SURROGATES = {
    "linear": lambda x, slope: x,
    "leaky": _leaky,
    "softplus": lambda x, slope: keras.ops.softplus(x),
}


def step(x, surrogate="linear", slope=0.1):
    """1 where `x > 0`, else 0, with the gradient of a surrogate.

    Args:
        x: float tensor.
        surrogate: what is differentiated: `"linear"` (gradient 1), `"leaky"`
            (1 where `x > 0`, else `slope`) or `"softplus"` (sigmoid of `x`).
        slope: `float`, the gradient of `"leaky"` where `x <= 0`.

    Returns:
        Tensor of zeros and ones, shape and dtype of `x`.
    """
    if surrogate not in SURROGATES:
        raise ValueError(
            f"`surrogate` must be one of {', '.join(SURROGATES)}. "
            f"Received: surrogate={surrogate!r}"
        )
    ones = keras.ops.cast(x > 0, x.dtype)
    return straight_through(ones, SURROGATES[surrogate](x, slope))


def soft_threshold(x, threshold):
    """`sign(x) * relu(|x| - threshold)`, with its true gradient.

    Args:
        x: float tensor.
        threshold: non-negative tensor that broadcasts against `x`.

    Returns:
        Tensor of the shape of `x`; the gradient is 0 where it is zero.
    """
    return keras.ops.sign(x) * keras.ops.relu(keras.ops.abs(x) - threshold)


def masked(x, mask, gradient="masked"):
    """`x` where the mask is true, else 0.

    Args:
        x: float tensor.
        mask: `bool` tensor of the same shape.
        gradient: `"masked"`: that of the product, so that masked entries get
            none; `"straight_through"`: that of `x`, so that masked entries
            learn as if they were there.

    Returns:
        Tensor of the shape and dtype of `x`.
    """
    product = x * keras.ops.cast(mask, x.dtype)
    return straight_through(product, x) if gradient != "masked" else product
