"""Operations with surrogate gradients, on any Keras backend.

All use one identity: `stop_gradient(value) + (proxy - stop_gradient(proxy))`
has exactly the value of `value` and the gradient of `proxy`.
"""

import keras


def straight_through(value, proxy):
    """The value of one tensor with the gradient of another.

    Args:
        value: tensor, the result of the forward pass.
        proxy: finite tensor of the same shape, which is differentiated.

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
    """Computes 1 where `x > 0`, else 0, with the gradient of a surrogate.

    Args:
        x: float tensor.
        surrogate: the gradient: `"linear"` (1), `"leaky"` (1 where `x > 0`,
            else `slope`) or `"softplus"` (sigmoid of `x`).
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
    """Computes `sign(x) * relu(|x| - threshold)`, with its true gradient.

    Args:
        x: float tensor.
        threshold: non-negative tensor that broadcasts against `x`.

    Returns:
        Tensor of the shape of `x`; the gradient is 0 where it is zero.
    """
    return keras.ops.sign(x) * keras.ops.relu(keras.ops.abs(x) - threshold)


def masked(x, mask, gradient="masked"):
    """Keeps `x` where the mask is true; 0 elsewhere.

    Args:
        x: float tensor.
        mask: `bool` tensor of the same shape.
        gradient: `"masked"`: masked entries get no gradient;
            `"straight_through"`: they learn as if they were not masked.

    Returns:
        Tensor of the shape and dtype of `x`.
    """
    product = x * keras.ops.cast(mask, x.dtype)
    return straight_through(product, x) if gradient != "masked" else product
