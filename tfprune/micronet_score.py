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

import collections
import dataclasses
import fnmatch
import math

import keras
import numpy as np

from tfprune import costs
from tfprune.graph import read
from tfprune.graph import values

FULL = 32  # bits


@dataclasses.dataclass(frozen=True)
class MicroNet:
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
            from name patterns of layers to bits, where the first that fits
            counts and other layers have 32.
        activation_bits: likewise, for the inputs of each layer.
        input_shape: as for `tfprune.channel_graph`.

    Returns:
        A `MicroNet`.

    Raises:
        TypeError, ValueError: as `tfprune.cost`, and if bits are out of range
            or a pattern fits no layer.

    Example:

    >>> tfprune.micronet(resnet20, weight_bits=8, activation_bits=8).score_2025
    0.048...
    """
    graph = read.channel_graph(model, input_shape)
    costs.check_sizes(graph)
    layers = costs.Meter(graph).by_layer()
    paths = list(dict.fromkeys([*graph.layers, *(r.layer for r in layers)]))
    stored_bits = _by_layer("weight_bits", weight_bits, paths)
    read_bits = _by_layer("activation_bits", activation_bits, paths)
    sizes, nonzero = _weights(graph)
    total = sum(sizes.values())
    return MicroNet(
        stored=sum(n * stored_bits[p] / FULL for p, n in nonzero.items()),
        macs=sum(
            row.macs * max(stored_bits[row.layer], read_bits[row.layer]) / FULL
            for row in layers
        ),
        weights=total,
        zeros=total - sum(nonzero.values()),
    )


def _by_layer(name, bits, paths):
    """`dict` from each path to its bits."""
    wanted = bits if isinstance(bits, dict) else {"*": bits}
    for pattern, value in wanted.items():
        number = isinstance(value, (int, float, np.number))
        if isinstance(value, bool) or not number or not 0 < value <= FULL:
            raise ValueError(
                f"Bits must be a number in (0, {FULL}]. Received: "
                f"{name}={value!r} for {pattern!r}."
            )
        if not fnmatch.filter(paths, pattern):
            raise ValueError(
                f"Each pattern of `{name}` must fit the name of a layer. "
                f"Received: {pattern!r}, which fits none of "
                f"{', '.join(paths[:8])}{' ...' if len(paths) > 8 else ''}."
            )
    found = collections.defaultdict(lambda: FULL)
    for path in paths:
        fit = (p for p in wanted if fnmatch.fnmatchcase(path, p))
        found[path] = wanted.get(next(fit, None), FULL)
    return found


def _weights(graph):
    """How many weights each layer has, and how many are not zero."""
    owners, statistics = {}, set()
    for path, layer in graph.layers.items():
        for variable in getattr(layer, "weights", ()):
            owners.setdefault(id(variable), path)
        if isinstance(layer, keras.layers.BatchNormalization):
            statistics |= {id(layer.moving_mean), id(layer.moving_variance)}
    sizes, nonzero = collections.Counter(), collections.Counter()
    for variable in graph.model.weights:
        if id(variable) not in statistics:
            owner = owners.get(id(variable), "")
            sizes[owner] += math.prod(variable.shape)
            array = values.numpy(variable)
            nonzero[owner] += int(np.count_nonzero(array))
    return sizes, nonzero
