"""Masks random channels of a model, strips it and compares the outputs.

The comparison is made here once more, independently of the one in
`tfprune.surgery.stripping`.
"""

import dataclasses

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.costs import counting
from tfprune.graph import channel_graph
from tfprune.graph import read
from tfprune.graph import values
from tfprune.selection import candidates as candidates_lib
from tfprune.selection import cut as cut_lib
from tfprune.surgery import depth
from tfprune.surgery import shrinking
from tfprune.surgery import stripping
from tfprune.surgery import verification
from tfprune.surgery import whole_blocks

TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True, eq=False)
class Stripped:
    """A model, masked and stripped.

    Attributes:
        graph: the `ChannelGraph` of the model.
        masked: the model with zeros where removed channels are read, without
            the residual blocks that are zero.
        keep: bool array, the channels that were not masked.
        kept: bool array, the channels that `strip` kept.
        params: `int`, weights after the strip as the meter counts them.
        small: the stripped model.
        error: float, largest difference of the outputs, relative to the
            largest output.
    """

    graph: channel_graph.ChannelGraph
    masked: keras.Model
    keep: np.ndarray
    kept: np.ndarray
    params: int
    small: keras.Model
    error: float

    @property
    def removed(self):
        """Number of channels that are gone."""
        return int((~self.kept).sum())


def strip_masked(model, rate=0.5, seed=0, silence=0.0):
    """Masks channels of a model at random and strips it.

    Args:
        model: a built `keras.Model`; its weights are made random.
        rate: float, the share of the removable channels to mask.
        seed: `int`.
        silence: float, the share of channels that nothing writes any more.
    """
    rng = np.random.default_rng(seed)
    randomize(model, rng)
    graph = read.channel_graph(model)
    keep = graph.frozen | (rng.random(graph.size) >= rate)
    keep = candidates_lib.restored(graph, keep)
    silent = rng.random(graph.size) < silence
    masked = shrinking.masked(cut_lib.Cut(graph, keep))
    silence_writers(read.channel_graph(masked), silent)
    return strip_sparse(graph, masked, keep, seed)


def half(model):
    """A `Cut` that removes half of each group, rounded down."""
    graph = read.channel_graph(model)
    keep = np.ones(graph.size, bool)
    for group in graph.groups:
        if not group.frozen:
            keep[group.labels[: len(group) // 2]] = False
    return cut_lib.Cut(graph, keep)


def strip_sparse(graph, masked, keep, seed=0):
    """Strips a model that has zeros already; `Stripped`."""
    small = stripping.strip(masked, verify=False)
    inputs = verification.random_inputs(masked, seed)
    error = difference(masked, small, inputs)
    read_again = read.channel_graph(masked)
    zero = depth.zero_blocks(read_again)
    if zero:
        masked = whole_blocks.without(read_again, zero)
        read_again = read.channel_graph(masked)
    masked = read_again.model
    cut = stripping.removable(read_again)
    kept = cut.keep
    while True:  # Until nothing is left that can go.
        params = counting.Meter(cut.graph).params(cut.keep)
        rest = read.channel_graph(shrinking.apply(cut))
        zero = depth.zero_blocks(rest)
        if zero:
            rest = read.channel_graph(whole_blocks.without(rest, zero))
        cut = stripping.removable(rest)
        if cut.keep.all() and not zero:
            break
    return Stripped(graph, masked, keep, kept, params, small, error)


def faults(found):
    """What is wrong with a strip, in words.

    Args:
        found: `Stripped`.

    Returns:
        List of `str`, empty if nothing is.
    """
    wrong = []
    if not found.error <= TOLERANCE:
        wrong.append(f"the outputs differ by {found.error:.3g}")
    real = found.small.count_params()
    if found.params != real:
        wrong.append(f"{real} parameters, {found.params} were expected")
    if found.graph.unknown:
        wrong.append(f"no rule for {found.graph.unknown}")
    again = stripping.strip(found.small, verify=False).count_params()
    if again != real:
        wrong.append(f"a second strip leaves {again} of {real} parameters")
    return wrong


def difference(model, small, inputs):
    """Largest difference of the outputs, relative to the largest output."""
    before = keras.tree.flatten(model(inputs, training=False))
    after = keras.tree.flatten(small(inputs, training=False))
    worst = 0.0
    for a, b in zip(before, after, strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert a.shape == b.shape, (a.shape, b.shape)
        scale = max(np.abs(a).max(), 1e-9)
        worst = max(worst, float(np.abs(a - b).max() / scale))
    return worst


def randomize(model, rng):
    """Random statistics and biases, so that no error hides behind a zero."""
    for layer in values.layers_of(model):
        for variable in layer.weights:
            name = variable.path.split("/")[-1]
            draw = _DRAWS.get(name)
            if draw is not None:
                variable.assign(draw(rng, variable.shape))


def silence_writers(graph, silent):
    """Zeros all that writes the channels `silent`, in place.

    Kernels lose the slices that write them; biases and the shift of batch
    normalization stay, so that many of these channels are not zero.
    """
    for binding in graph.bindings:
        gone = silent[binding.labels]
        if binding.role == channel_graph.WRITES and gone.any():
            value = np.array(keras.ops.convert_to_numpy(binding.variable))
            np.moveaxis(value, binding.axis, 0)[gone] = 0
            binding.variable.assign(value)


def snapshot(model):
    """Everything that a call must not change: config and weights."""
    weights = [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]
    return model.get_config(), weights


def _around_one(rng, shape):
    return rng.uniform(0.5, 1.5, shape)


def _small(rng, shape):
    return rng.normal(0, 0.3, shape)


_DRAWS = {
    "moving_mean": _small,
    "moving_variance": _around_one,
    "gamma": _around_one,
    "beta": _small,
    "bias": _small,
    "alpha": _around_one,
}


class ExactnessTestCase(parameterized.TestCase):
    """A test case with `assert_exact`."""

    def assert_exact(self, model, removes=True, unknown=(), **kwargs):
        """Checks everything that a strip promises.

        Args:
            model: a built `keras.Model`.
            removes: `bool`, whether any channel must have gone; `None` if it
                may be either.
            unknown: names of classes that may have no rule.
            **kwargs: as for `strip_masked`.

        Returns:
            `Stripped`.
        """
        found = strip_masked(model, **kwargs)
        self.assertEqual(set(found.graph.unknown.values()), set(unknown))
        self.assertLess(found.error, TOLERANCE)
        self.assertEqual(found.params, found.small.count_params())
        if removes is None:
            return found
        if removes:
            self.assertGreater(found.removed, 0)
            self.assertLess(found.small.count_params(), model.count_params())
        else:
            self.assertEqual(found.small.count_params(), model.count_params())
        return found
