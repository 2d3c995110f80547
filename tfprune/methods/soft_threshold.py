"""STR: learns pruning thresholds together with the weights.

Kusupati, Ramanujan, Somani, Wortsman, Jain, Kakade and Farhadi, "Soft
threshold weight reparameterization for learnable sparsity", 2020,
https://arxiv.org/abs/2002.03231. A layer computes with

    w~ = sign(w) * relu(|w| - g(s)),        g = sigmoid (or exp),

and both w and s are trained:

    dL/dw = dL/dw~ * 1[|w| > g(s)]
    dL/ds = -g'(s) * sum dL/dw~ * sign(w) * 1[|w| > g(s)].

L2 regularization pulls s towards 0, which raises the threshold towards g(0),
while the loss pushes back. At the start g(s) and its gradient are 0 in
float32; until they are not, decay alone moves s, under SGD with momentum m by

    ln|s_t| = ln|s_0| - decay / (1 - m) * sum of the learning rates.

These formulas, with `sigmoid` and one threshold per layer, follow the authors'
code. `exp` and one threshold per filter or for the whole network are variants
that the paper names, reconstructed here. `SoftThresholdChannels`, which
applies the idea to norms of slices, is this library's own.
"""

import dataclasses

import keras

from tfprune.core import records
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import ops
from tfprune.sparsity import reading
from tfprune.sparsity import weights

FUNCTIONS = {"sigmoid": keras.ops.sigmoid, "exp": keras.ops.exp}
GRANULARITIES = ("layer", "filter", "global")


@method_lib.register("soft_threshold")
@dataclasses.dataclass(frozen=True)
class SoftThreshold(method_lib.Method):
    """Shrinks weights by a learned threshold; smaller ones become zero.

    The sparsity is learned; `decay` and `initial` control it. Pruning starts
    when s gets near -10: `switch_on_epoch` predicts when, and `start_value`
    gives the `initial` for a desired start. Without decay, s does not move.

    Args:
        initial: `float`, initial s. The paper uses -3200 to -100 with SGD;
            Adam, which moves s by about its learning rate per step, needs a
            value near -10.
        granularity: what shares a threshold: `"layer"`, `"filter"` (each
            output channel has its own) or `"global"` (all layers of one call
            of `wrap`).
        function: g, `"sigmoid"` or `"exp"`.
        decay: `None` or `float`. With `None`, the optimizer's `weight_decay`
            acts on s as on the weights; in Keras it is decoupled from the
            gradient and has no momentum. A `float` adds `decay / 2 * s^2` to
            the loss, as in the paper, where SGD has it in the gradient; then
            exclude s from the optimizer's own decay with
            `tfprune.training.exclude_from_weight_decay`, or it counts twice.

    Example:

    >>> initial = tfprune.training.start_value(
    ...     0.2, total_steps=39_100, decay=5e-4, learning_rate=0.1,
    ...     momentum=0.9)
    >>> method = tfprune.methods.SoftThreshold(initial, decay=5e-4)
    >>> wrapped = tfprune.wrap(model, method)
    """

    initial: float = -100.0
    granularity: str = "layer"
    function: str = "sigmoid"
    decay: float | None = None

    def __post_init__(self):
        for name, known in (
            ("granularity", self._granularities()),
            ("function", FUNCTIONS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"`{name}` must be one of {', '.join(known)}. Received: "
                    f"{name}={getattr(self, name)!r}"
                )
        records.check_number(self, "initial", "(-inf, inf)")
        if self.decay is not None:
            records.check_number(self, "decay", "[0, inf)")

    def _granularities(self):
        return GRANULARITIES

    def shared_shapes(self, model):
        return {"s": ()} if self.granularity == "global" else {}

    def build(self, slot):
        initializer = keras.initializers.Constant(self.initial)
        if self.granularity == "global":
            slot.add_shared("s", initializer=initializer)
            return
        shape = ()
        if self.granularity == "filter":
            filters = _filter_axes(slot)
            shape = tuple(
                n if axis in filters else 1 for axis, n in enumerate(slot.shape)
            )
        slot.add_weight("s", shape, initializer=initializer)

    def threshold(self, slot):
        """Returns g(s), at least `float32`: half precision would round to 0."""
        return FUNCTIONS[self.function](slot["s"].value)

    def effective_kernel(self, slot, kernel, training=False):
        exact = _at_least_float32(kernel)
        threshold = keras.ops.cast(self.threshold(slot), exact.dtype)
        shrunk = ops.soft_threshold(exact, threshold)
        return keras.ops.cast(shrunk, kernel.dtype)

    def penalty(self, slot):
        if not self.decay:
            return None
        return self.decay / 2 * keras.ops.sum(keras.ops.square(slot["s"]))


@method_lib.register("soft_threshold_channels")
@dataclasses.dataclass(frozen=True)
class SoftThresholdChannels(SoftThreshold):
    """Shrinks the slices that read a channel; small ones become zero.

    Each layer's slice `v` of a channel, all weights that read it, becomes

        v~ = v * relu(1 - g(s) / r),    r = root mean square of v,

    so a slice with r below the threshold is zero, and `strip` removes the
    channels that no layer reads any more. The mean, rather than the sum, makes
    a threshold mean the same for slices of all sizes. Each layer decides by
    its own slices, so a channel that several layers read is removed only when
    all of them have zeroed it. After `Flatten`, the rows that read one channel
    form one slice. Channels that cannot be removed, such as the model's
    inputs, are not shrunk.

    Args:
        initial, function, decay: as for `SoftThreshold`.
        granularity: `"layer"` (one threshold per reading layer) or
            `"global"`.

    Example:

    >>> method = tfprune.methods.SoftThresholdChannels(-5.0)
    >>> wrapped = tfprune.wrap(model, method)
    >>> wrapped.fit(...)
    >>> small = tfprune.strip(wrapped)
    """

    def _granularities(self):
        return ("layer", "global")

    def sites(self, layer):
        return reading.names(layer)

    def build(self, slot):
        super().build(slot)
        (axis,) = slot.axes.reads
        slot.add_weight(
            "slices",
            (slot.shape[axis],),
            initializer=keras.initializers.Constant(-1),
            trainable=False,
            dtype="int32",
        )

    def prepare(self, model, slots):
        numbers = reading.slices(model, slots)
        reading.warn_of_none(slots, [number >= 0 for number in numbers])
        for slot, number in zip(slots, numbers, strict=True):
            slot["slices"].assign(number)

    def effective_kernel(self, slot, kernel, training=False):
        exact = _at_least_float32(kernel)
        (axis,) = slot.axes.reads
        slices = slot["slices"].value
        threshold = keras.ops.cast(self.threshold(slot), exact.dtype)
        factor = shrinkage(_sizes(exact, axis, slices), threshold)
        factor = keras.ops.where(slices >= 0, factor, 1)
        shrunk = exact * reading.along(slot, factor)
        return keras.ops.cast(shrunk, kernel.dtype)


def shrinkage(size, threshold):
    """Computes `relu(1 - threshold / size)`, 0 with no gradient at size 0.

    Args:
        size: non-negative tensor.
        threshold: tensor that broadcasts against `size`.
    """
    positive = size > 0
    divisor = keras.ops.where(positive, size, 1)
    factor = keras.ops.relu(1 - threshold / divisor)
    return keras.ops.where(positive, factor, 0)


def _sizes(kernel, axis, slices):
    """The root mean square of each slice, with a gradient safe at 0."""
    count = kernel.shape[axis]
    others = [i for i in range(len(kernel.shape)) if i != axis]
    squares = keras.ops.mean(keras.ops.square(kernel), others)
    at = keras.ops.maximum(slices, 0)

    def of_slice(values):
        values = keras.ops.where(slices >= 0, values, 0)
        return keras.ops.take(keras.ops.segment_sum(values, at, count), at)

    rows = keras.ops.maximum(of_slice(keras.ops.ones_like(squares)), 1)
    mean = of_slice(squares) / rows
    positive = mean > 0
    root = keras.ops.sqrt(keras.ops.where(positive, mean, 1))
    return keras.ops.where(positive, root, 0)


def _at_least_float32(tensor):
    dtype = keras.backend.result_type(tensor.dtype, "float32")
    return keras.ops.cast(tensor, dtype)


def _filter_axes(slot):
    """The axes of a weight that number the filters."""
    depthwise = isinstance(
        weights.owner(slot.layer, slot.name),
        (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D),
    )
    if depthwise or slot.name.endswith("depthwise_kernel"):
        # A depthwise kernel: one filter per input channel and multiplier.
        return (*slot.axes.reads, *slot.axes.writes)
    return slot.axes.writes
