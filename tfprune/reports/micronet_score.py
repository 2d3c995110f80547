"""The scores of the MicroNet challenge, as a course on pruning counts them.

Both add what is stored to what is computed, each over a fixed amount; lower is
better. A weight counts its bits over 32, and nothing if it is zero; an
operation counts the larger bits of its two inputs over 32. Zeros save no
operations: only channels that are really gone do.

    2019    stored / 5,586,981 + 2 * macs / 834,362,880
    2025    stored / 5,600,000 + macs / 280,000,000

The divisors of 2019 are a ResNet-18 for CIFAR in half precision. The course of
2025 writes the second line with the fractions of a dense network that were
removed, structured and unstructured; measured on the small network itself, the
first of these is 0 and the second is the share of zeros.
"""

import dataclasses
import fnmatch
import math

import keras
import numpy as np

from tfprune.core import printed
from tfprune.costs import counting
from tfprune.graph import read
from tfprune.graph import values
from tfprune.sparsity import weights as weights_lib

FULL = 32  # bits


@dataclasses.dataclass(frozen=True)
class MicroNet(printed.Printed):
    """What counts for the scores.

    Attributes:
        stored: `float`, weights that are not zero, in units of 32 bits.
        macs: `float`, multiply-adds of one sample, in operations of 32 bits.
        weights: `int`, all weights, zeros too.
        zeros: `int`.
    """

    stored: float
    macs: float
    weights: int
    zeros: int

    @property
    def score_2019(self):
        """`float`; a multiply-add is two operations."""
        return self.stored / 5_586_981 + 2 * self.macs / 834_362_880

    @property
    def score_2025(self):
        """`float`."""
        return self.stored / 5.6e6 + self.macs / 2.8e8


def micronet(model, weight_bits=FULL, activation_bits=FULL, input_shape=None):
    """The MicroNet scores of a model.

    The moving statistics of batch normalisation are no weights: they become
    part of the weights beside them when a model is exported.

    Args:
        model: a built `keras.Model`, pruned and stripped as it is to be
            counted.
        weight_bits: bits of each weight, a number in (0, 32]; or a `dict`
            from name patterns of layers (`"conv1"`) or of their weights
            (`"conv1/kernel"`) to bits, where the first that fits counts and
            what none fits has 32. The largest weight of a layer is the one
            that its operations multiply with.
        activation_bits: likewise, for the inputs of each layer.
        input_shape: as for `tfprune.channel_graph`.

    Returns:
        A `MicroNet`.

    Raises:
        TypeError, ValueError: as `tfprune.cost`, and if bits are out of range
            or a pattern fits no layer.

    Example:

    >>> bits = dict(weight_bits=8, activation_bits=8)
    >>> tfprune.reports.micronet(resnet20, **bits).score_2025
    0.048...
    """
    graph = read.channel_graph(model, input_shape)
    counting.check_sizes(graph)
    return of_graph(graph, weight_bits, activation_bits)


def of_graph(graph, weight_bits=FULL, activation_bits=FULL):
    """As `micronet`, of the model of a `ChannelGraph` with known sizes."""
    layers = counting.Meter(graph).by_layer()
    tensors = _tensors(graph)
    paths = dict.fromkeys([*graph.layers, *(row.layer for row in layers)])
    names = [*paths, *(name for t in tensors for name in t.names)]
    stored_bits = _Bits("weight_bits", weight_bits, names)
    read_bits = _Bits("activation_bits", activation_bits, paths)
    multiplied = {}  # the largest tensor of each layer
    for tensor in sorted(tensors, key=lambda t: t.size):
        multiplied[tensor.layer] = tensor.names
    total = sum(t.size for t in tensors)
    return MicroNet(
        stored=sum(t.nonzero * stored_bits[t.names] / FULL for t in tensors),
        macs=sum(
            row.macs
            * max(
                stored_bits[multiplied.get(row.layer, (row.layer,))],
                read_bits[(row.layer,)],
            )
            / FULL
            for row in layers
        ),
        weights=total,
        zeros=total - sum(t.nonzero for t in tensors),
    )


class _Bits:
    """Bits by name: those of the first pattern that fits one of the names.

    Args:
        argument: `str`, what the user calls it.
        bits: a number, or a `dict` from patterns to numbers.
        names: all that a pattern can fit.
    """

    def __init__(self, argument, bits, names):
        self._wanted = bits if isinstance(bits, dict) else {"*": bits}
        for pattern, value in self._wanted.items():
            number = isinstance(value, (int, float, np.number))
            if isinstance(value, bool) or not number or not 0 < value <= FULL:
                raise ValueError(
                    f"Bits must be a number in (0, {FULL}]. Received: "
                    f"{argument}={value!r} for {pattern!r}."
                )
            if not fnmatch.filter(names, pattern):
                known = ", ".join(list(names)[:8])
                raise ValueError(
                    f"Each pattern of `{argument}` must fit the name of a "
                    f"layer. Received: {pattern!r}, which fits none of "
                    f"{known}{' ...' if len(names) > 8 else ''}."
                )

    def __getitem__(self, names):
        for pattern, bits in self._wanted.items():
            if any(fnmatch.fnmatchcase(name, pattern) for name in names):
                return bits
        return FULL


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A weight, and the layer that owns it."""

    layer: str
    name: str
    size: int
    nonzero: int

    @property
    def names(self):
        return self.layer, f"{self.layer}/{self.name}"


def _tensors(graph):
    """All weights of a model, without statistics: list of `_Tensor`."""
    owners, statistics = {}, set()
    for path, layer in graph.layers.items():
        named = {
            id(weights_lib.variable(layer, name)): name
            for name in weights_lib.names(layer)
        }
        for variable in getattr(layer, "weights", ()):
            name = named.get(id(variable), variable.name)
            owners.setdefault(id(variable), (path, name))
        if isinstance(layer, keras.layers.BatchNormalization):
            statistics |= {id(layer.moving_mean), id(layer.moving_variance)}
    return [
        _Tensor(
            *owners.get(id(variable), ("", variable.name)),
            math.prod(variable.shape),
            int(np.count_nonzero(values.numpy(variable))),
        )
        for variable in graph.model.weights
        if id(variable) not in statistics
    ]
