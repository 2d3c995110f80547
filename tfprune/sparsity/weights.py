"""The weights of a layer that a method may act on, and their axes.

Weights are found by attribute, not by the layer's type, so a custom layer only
needs to call its weight `kernel`.
"""

import functools
import math

import keras
import numpy as np

from tfprune.graph import values
from tfprune.patterns import weight_patterns

# In the order in which a layer's weights are listed. A dot leads into the
# layers that recurrent layers, attention and Keras's wrappers are made of.
ATTRIBUTES = (
    "kernel",
    "depthwise_kernel",
    "pointwise_kernel",
    "embeddings",
    "cell.kernel",
    "cell.recurrent_kernel",
    "query_dense.kernel",
    "key_dense.kernel",
    "value_dense.kernel",
    "output_dense.kernel",
    "layer.kernel",
    "layer.depthwise_kernel",
    "layer.pointwise_kernel",
    "forward_layer.cell.kernel",
    "forward_layer.cell.recurrent_kernel",
    "backward_layer.cell.kernel",
    "backward_layer.cell.recurrent_kernel",
)


def names(layer):
    """The weights of a built layer, as paths of attributes.

    Returns:
        Tuple of `str`s such as `("kernel",)`; empty if there is none, or if
        they are quantized.
    """
    if values.quantization(layer):
        return ()
    found = {}
    for name in ATTRIBUTES:
        weight = variable(layer, name)
        if weight is not None:
            found.setdefault(id(weight), name)
    return tuple(found.values())


def scales(layer):
    """`("gamma",)` for a built batch normalization with scales, else `()`."""
    normalizes = isinstance(layer, keras.layers.BatchNormalization)
    return ("gamma",) if normalizes and layer.scale else ()


def variable(layer, name):
    """The `keras.Variable` at a path of attributes, or `None`."""
    value = functools.reduce(
        lambda owner, part: getattr(owner, part, None), name.split("."), layer
    )
    return value if isinstance(value, keras.Variable) else None


def owner(layer, name):
    """The layer that computes with the weight at a path of attributes.

    `SpectralNormalization` has the weight of the layer within as its own.
    """
    *path, last = name.split(".")
    found = functools.reduce(getattr, path, layer)
    weight = variable(layer, name)
    while isinstance(found, keras.layers.Wrapper) and (
        getattr(found.layer, last, None) is weight
    ):
        found = found.layer
    return found


def axes(layer, name):
    """The `patterns.Axes` of a weight: which axes read, which write."""
    rank = len(variable(layer, name).shape)
    if name.endswith("embeddings"):
        return weight_patterns.Axes((0,), (1,))
    found = owner(layer, name)
    for kind, rule in _AXES:
        if isinstance(found, kind):
            return rule(found, rank)
    return weight_patterns.default_axes(rank)


def _transposed(layer, rank):
    return weight_patterns.Axes((rank - 1,), (rank - 2,))


def _einsum(layer, rank):
    """Axes of an einsum: summed letters read, output-only letters write."""
    inputs, outputs = layer.equation.replace(" ", "").split("->")
    inputs, kernel = inputs.split(",")
    letters = list(enumerate(kernel.replace("...", "")))
    return weight_patterns.Axes(
        tuple(i for i, c in letters if c in inputs and c not in outputs),
        tuple(i for i, c in letters if c in outputs and c not in inputs),
    )


_AXES = (
    (keras.layers.Conv1DTranspose, _transposed),
    (keras.layers.Conv2DTranspose, _transposed),
    (keras.layers.Conv3DTranspose, _transposed),
    (keras.layers.EinsumDense, _einsum),
)


def scale_outputs(layer, factors):
    """Multiplies the outputs of a layer by scaling its weights.

    Args:
        layer: a built layer: batch normalization with scales, or one with a
            kernel and without an activation function.
        factors: float array that broadcasts against the outputs, with numbers
            along one axis only. If none is negative, the activation may be ReLU
            or leaky ReLU.

    Raises:
        ValueError: If the layer has no weights that can be scaled, or none
            along that axis.
    """
    factors = np.asarray(factors)
    writers = [n for n in names(layer) if n in _WRITERS]
    inner = owner(layer, writers[-1]) if writers else layer
    activation = getattr(inner, "activation", keras.activations.linear)
    weights = _output_weights(inner, writers, factors)
    fits = activation is keras.activations.linear or (
        keeps_factors(activation) and np.min(factors, initial=0) >= 0
    )
    if not fits or not weights:
        raise ValueError(
            "Scaling output channels needs a layer that has a kernel or "
            "scales, without activation, or with ReLU if no factor is "
            f"negative. Received: layer {layer.name!r} of type "
            f"{type(layer).__name__}. Move the activation to a separate layer."
        )
    for weight, channel_axes in weights:
        sizes = [weight.shape[axis] for axis in channel_axes]
        if math.prod(sizes) != factors.size:
            raise ValueError(
                "Scaling output channels needs a factor for each number that "
                "a weight has along their axis. Received: factors of shape "
                f"{factors.shape} for layer {layer.name!r}, whose "
                f"{weight.name} has {sizes or 'none'} there. Wrap another "
                "layer, or unwrap with `fold=False`."
            )
    for weight, channel_axes in weights:
        shape = [
            n if axis in channel_axes else 1
            for axis, n in enumerate(weight.shape)
        ]
        weight.assign(weight * keras.ops.reshape(factors, shape))


def keeps_factors(activation):
    """Whether `f(a x) = a f(x)` for each `a >= 0`.

    Args:
        activation: a function of `keras.activations`, or a layer.
    """
    if isinstance(activation, keras.layers.ReLU):
        return activation.max_value is None and not activation.threshold
    leaky = isinstance(activation, keras.layers.LeakyReLU)
    return leaky or activation in _HOMOGENEOUS


_HOMOGENEOUS = (
    keras.activations.linear,
    keras.activations.relu,
    keras.activations.leaky_relu,
)


def _output_weights(layer, writers, factors):
    """`(variable, its axes along that of the factors)` of what writes outputs.

    A kernel may have several axes that make one of the outputs.
    """
    # From the end: factors may have fewer axes than the outputs.
    axis = int(np.argmax(factors.shape)) - factors.ndim
    if isinstance(layer, keras.layers.BatchNormalization):
        own = layer.axis - (layer.input_spec.ndim if layer.axis >= 0 else 0)
        found = [layer.gamma] * layer.scale
        found += [layer.beta] * (layer.scale and layer.center)
        return [(weight, (0,) * (own == axis)) for weight in found]
    if not writers:
        return []
    kernel, bias = variable(layer, writers[-1]), getattr(layer, "bias", None)
    if isinstance(layer, keras.layers.EinsumDense):
        found = [(kernel, _einsum_axes(layer, axis, factors.ndim))]
        if bias is not None:
            place = axis + len(bias.shape)
            fits = place >= 0 and bias.shape[place] == factors.size
            found.append((bias, (place,) * fits))
        return found
    rank = len(kernel.shape)
    first = getattr(layer, "data_format", None) == "channels_first"
    writes = axes(layer, writers[-1]).writes
    if isinstance(layer, _DEPTHWISE):
        writes = (rank - 2, rank - 1)
    is_own = axis == (1 - rank if first else -1)
    found = [(kernel, writes if is_own else ())]
    if bias is not None:
        found.append((bias, tuple(range(len(bias.shape))) if is_own else ()))
    return found


def _einsum_axes(layer, axis, rank):
    """The axis of an einsum's kernel along one of its outputs, in a tuple."""
    inputs, outputs = layer.equation.replace(" ", "").split("->")
    kernel = inputs.split(",")[1].replace("...", "")
    head, dots, tail = outputs.rpartition("...")
    places = {i - len(tail): c for i, c in enumerate(tail)}
    if dots:
        places |= {i - rank: c for i, c in enumerate(head)}
    return tuple(i for i, c in enumerate(kernel) if c == places.get(axis))


_WRITERS = ("kernel", "pointwise_kernel")
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
