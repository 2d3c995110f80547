"""BitPruning: learns bit lengths together with the weights.

Nikolic, Hacene, Bannon, Delmas, Courbariaux, Bengio, Gripon and Moshovos,
"BitPruning: Learning Bitlengths for Aggressive and Accurate Quantization",
2020, https://arxiv.org/abs/2002.03090. Each weight or activation tensor i has
a real-valued bit length n_i = b + a with b = floor(n_i), and is quantized as

    Q(v, n) = (1 - a) Q(v, b) + a Q(v, b + 1),

where Q(v, b) is the nearest of 2^b levels between the smallest and the largest
value (`tfprune.sparsity.quantizers`). The gradients are dQ/dv = 1 and
dQ/dn = Q(v, b + 1) - Q(v, b). The loss is

    L + gamma * sum_i lambda_i n_i,    n_i >= 1,

and at the end n_i <- ceil(n_i) is fixed and the weights are fine-tuned.

The paper's abstract states that the bit lengths of weights and activations are
learned, at any granularity, with a penalty that can also be weighted by memory
or by operations. The formulas are a reconstruction, made without the authors'
code. These choices are ours and may differ from theirs: the weights of the
penalty add up to 1; bit lengths stay in [1, 8], or in [1, 16] if they start
above 8; activations are the inputs of a layer, with the batch's range in
training and a running average of it otherwise; weights that are exactly zero
stay zero even if the grid lacks that level, so that pruned weights stay
pruned; a bit length close to an integer is rounded to it before the ceiling.
"""

import dataclasses
import math
import warnings

import keras
import numpy as np

from tfprune.core import records
from tfprune.costs import counting
from tfprune.graph import compile_state
from tfprune.graph import read
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import quantizers
from tfprune.sparsity import weights as weights_lib

# Layers whose weights of these names read the layer's inputs themselves.
_READERS = (
    "kernel",
    "depthwise_kernel",
    "cell.kernel",
    "layer.kernel",
    "layer.depthwise_kernel",
    "forward_layer.cell.kernel",
)


@method_lib.register("bit_pruning")
@dataclasses.dataclass(frozen=True)
class BitPruning(method_lib.Method):
    """Quantizes weights and layer inputs with learned bit lengths.

    Biases, normalization, residual additions and the internals of recurrent,
    separable and attention layers stay in floating point. Evaluate the model
    after `finalize` has rounded the bit lengths; before that, its values lie
    on no grid.

    A bit length moves by about `learning_rate * gamma * lambda` per step. With
    equal weighting, `lambda` is one over the number of bit lengths, so raise
    `gamma` with the depth of the model. Exclude the bit lengths from the
    optimizer's weight decay, as in the example.

    Args:
        gamma: `float`, not negative, penalty coefficient.
        weights: `float` in [1, 16], initial bit length of the weights;
            `None` does not quantize them.
        activations: `float`, the same for the inputs of the layers.
        weighting: how the penalty weights bit lengths: `"equal"`; `"size"`,
            by the number of weights, or of activations per sample; `"macs"`,
            by the multiply-adds of the layer.
        momentum: `float` in [0, 1), for the running average of activation
            ranges.
        frozen: `bool`, whether bit lengths are fixed integers; set by
            `finalize`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> wrapped = tfprune.wrap(model, tfprune.methods.BitPruning(gamma=1.0))
    >>> optimizer = keras.optimizers.AdamW(1e-3, weight_decay=1e-4)
    >>> tfprune.training.exclude_from_weight_decay(optimizer, wrapped)
    >>> wrapped.compile(optimizer, loss)
    >>> wrapped.fit(data, epochs=100)
    >>> final = tfprune.training.finalize(wrapped)
    >>> final.fit(data, epochs=10)
    >>> plain = tfprune.strip(final)
    """

    gamma: float = 1.0
    weights: float | None = 8.0
    activations: float | None = 8.0
    weighting: str = "equal"
    momentum: float = 0.99
    frozen: bool = False

    def __post_init__(self):
        for name in ("weights", "activations"):
            if getattr(self, name) is not None:
                records.check_number(self, name, "[1, 16]")
        if self.weights is None and self.activations is None:
            raise ValueError(
                "`weights` or `activations` must be quantized. Received: "
                "weights=None, activations=None. Set a bit length for one of "
                "them."
            )
        if self.weighting not in _LAMBDAS:
            raise ValueError(
                f"`weighting` must be one of {', '.join(_LAMBDAS)}. "
                f"Received: weighting={self.weighting!r}"
            )
        records.check_number(self, "gamma", "[0, inf)")
        if not 0 <= self.momentum < 1:
            raise ValueError(
                "`momentum` must be at least 0 and below 1. Received: "
                f"momentum={self.momentum!r}"
            )

    def sites(self, layer):
        names = weights_lib.names(layer)
        found = names if self.weights is not None else ()
        reads = any(name in _READERS for name in names)
        if self.activations is not None and reads:
            found += (method_lib.INPUTS,)
        return found

    def build(self, slot):
        is_input = slot.name == method_lib.INPUTS
        start = float(self.activations if is_input else self.weights)
        slot.add_weight(
            "bit_length",
            initializer=keras.initializers.Constant(start),
            trainable=not self.frozen,
            constraint=_Clamp(16.0 if start > 8 else 8.0),
        )
        slot.add_weight("share", initializer="ones", trainable=False)
        if self.frozen:
            slot.add_weight(
                "learned",
                initializer=keras.initializers.Constant(start),
                trainable=False,
            )
        if is_input:
            # Sums of (1 - momentum) * momentum^age: low, high, and of ones.
            slot.add_weight(
                "range",
                (3,),
                initializer="zeros",
                trainable=False,
                aggregation="mean",
            )

    def prepare(self, model, slots):
        """Sets `lambda_i`, which add up to 1 over the slots."""
        found = _LAMBDAS[self.weighting](model, slots)
        if not sum(found):
            raise ValueError(
                "weighting='macs' needs layers whose multiply-adds are known. "
                f"Received: {', '.join(slot.path for slot in slots)}, whose "
                "multiply-adds are unknown. Use weighting='size'."
            )
        for slot, value in zip(slots, found, strict=True):
            slot["share"].assign(value / sum(found))
        if model.compiled and any(
            compile_state.decays(model.optimizer, slot["bit_length"])
            for slot in slots
        ):
            warnings.warn(
                "Weight decay would pull the bit lengths to zero, and "
                f"model={model.name!r} is compiled with it. Compile the model "
                "again with an optimizer on which you called "
                "exclude_from_weight_decay(var_names=['bit_length']).",
                stacklevel=3,
            )

    def effective_kernel(self, slot, kernel, training=False):
        quantized = quantizers.interpolated(
            kernel, slot["bit_length"].value, keep_zeros=True
        )
        return keras.ops.cast(quantized, kernel.dtype)

    def read(self, slot, inputs, training=False):
        if not keras.backend.is_float_dtype(
            keras.backend.standardize_dtype(inputs.dtype)
        ):
            return inputs
        low, high = self._range(slot, inputs, training)
        quantized = quantizers.interpolated(
            inputs, slot["bit_length"].value, low, high, inside=training
        )
        return keras.ops.cast(quantized, inputs.dtype)

    def _range(self, slot, inputs, training):
        low, high = quantizers.span(inputs)
        before = slot["range"].value
        if training:
            now = keras.ops.stack([low, high, keras.ops.ones_like(low)])
            slot["range"].assign(before + (1 - self.momentum) * (now - before))
            return low, high
        # As in Adam, dividing by the sum of weights corrects the zero start.
        seen = before[2] > 0
        total = keras.ops.where(seen, before[2], 1.0)
        return (
            keras.ops.where(seen, before[0] / total, low),
            keras.ops.where(seen, before[1] / total, high),
        )

    def penalty(self, slot):
        if self.frozen or not self.gamma:
            return None
        return self.gamma * slot["share"].value * slot["bit_length"].value

    def figures(self, model, slots):
        kinds = {True: "activation_bits", False: "weight_bits"}
        found = {}
        for slot in slots:
            kind = kinds[slot.name == method_lib.INPUTS]
            found.setdefault(kind, []).append(_number(slot["bit_length"]))
        return {kind: float(np.mean(n)) for kind, n in found.items()}


class _Clamp:
    """Keeps a bit length between 1 and a maximum."""

    def __init__(self, highest):
        self.highest = highest

    def __call__(self, bits):
        return keras.ops.clip(bits, 1.0, self.highest)


def _number(variable):
    return float(keras.ops.convert_to_numpy(variable))


def _sizes(model, slots):
    return [_size(slot) for slot in slots]


def _size(slot):
    """Number of weights of a tensor, or of activations per sample."""
    is_input = slot.name == method_lib.INPUTS
    shape = slot.shape[1:] if is_input else slot.shape
    if None in shape:
        raise ValueError(
            "Inputs of known size are required with weighting='size'. "
            f"Received: {slot.path} of shape {slot.shape}. Build the model "
            "with all sizes known, or use weighting='equal'."
        )
    return math.prod(shape)


def _macs(model, slots):
    graph = read.channel_graph(model)
    counting.check_sizes(graph)
    by_path = {c.layer: c.macs for c in counting.Meter(graph).by_layer()}
    by_layer = {
        id(getattr(layer, "layer", layer)): by_path.get(path, 0)
        for path, layer in graph.layers.items()
    }
    return [_share_of(slot, by_layer.get(id(slot.layer), 0)) for slot in slots]


def _share_of(slot, macs):
    """A tensor's part of its layer's multiply-adds, by number of weights."""
    if slot.name == method_lib.INPUTS:
        return macs
    sizes = [
        math.prod(weights_lib.variable(slot.layer, name).shape)
        for name in weights_lib.names(slot.layer)
    ]
    return macs * math.prod(slot.shape) / sum(sizes)


_LAMBDAS = {
    "equal": lambda model, slots: [1.0] * len(slots),
    "size": _sizes,
    "macs": _macs,
}
