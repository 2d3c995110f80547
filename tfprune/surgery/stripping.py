"""The exact removal of channels that do not matter.

A channel that nobody reads, because every slice of weights that would read it
is zero, cannot change the output, whatever stands in between: it is taken
out. A channel whose writers are all zero does not depend on the input, so one
forward pass on any input shows its value for every input: if that value is
zero it is dropped, and where it is the same everywhere and no padding mixes
in, it is moved into the biases of its readers.
"""

import dataclasses

import keras
import numpy as np
from absl import logging

from tfprune.graph import channel_graph
from tfprune.graph import read
from tfprune.graph import values
from tfprune.selection import candidates as candidates_lib
from tfprune.selection import cut as cut_lib
from tfprune.sparsity import wrapper
from tfprune.sparsity import wrapping
from tfprune.surgery import constants
from tfprune.surgery import depth
from tfprune.surgery import shrinking
from tfprune.surgery import verification


def strip(model: keras.Model, verify: bool = True) -> keras.Model:
    """Removes the channels that do not matter; changes nothing else.

    Args:
        model: a built `keras.Model`, with zeros in its weights from any
            source, or a model from `tfprune.wrap`. It is not changed.
        verify: `bool`, whether to compare the outputs of both models on
            random inputs.

    Returns:
        A plain Keras model of the same class: same layers, same names, fewer
        channels.

    Raises:
        TypeError, ValueError: as `tfprune.channel_graph`; `ValueError` also
            if weights are not finite.
        ArithmeticError: If `verify` finds that the outputs differ.

    Example:

    >>> small = tfprune.strip(model)
    >>> small.count_params() <= model.count_params()
    True
    """
    if isinstance(model, keras.Model) and wrapper.find(model):
        model = wrapping.unwrap(model)
    graph = read.channel_graph(model)
    small = _stripped(graph)
    if verify:
        verification.check_equal(graph.model, small)
    if small.count_params() == graph.model.count_params():
        logging.warning(
            "Nothing was removed from %r: no channel that may go is zero "
            "wherever it is read, or wherever it is written. Zero them first "
            "(tfprune.prune, or PruneOnSchedule during fit of a wrapped "
            "model); print(tfprune.channel_graph(model)) lists those that "
            "may go.",
            graph.model.name,
        )
    return small


def _stripped(graph):
    """The model of a graph without what does not matter, taken out in passes.

    Channels that go together because of others (rows and columns of a reshape
    that shuffles them) may go alone once these are gone.
    """
    small = None
    while True:
        zero = depth.zero_blocks(graph)
        if zero:
            graph = read.channel_graph(depth.without(graph, zero))
        cut = removable(graph)
        done = not zero and cut.keep.all()
        if small is None or not done:
            small = shrinking.apply(cut)
        if done:
            return small
        graph = read.channel_graph(small)


def removable(graph):
    """Finds the channels that can go without a change of the output.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        A `Cut`; its changes are biases into which constant channels moved.
    """
    links = _links(graph)
    constant = constants.Constants(graph)
    pinned = graph.frozen.copy()
    keep = np.ones(graph.size, bool)
    folded = np.zeros(graph.size, bool)
    while True:
        # From which a kept channel is computed, and which are from one.
        needed = pinned | _reached(graph, links, channel_graph.READS, keep)
        written = _reached(graph, links, channel_graph.WRITES, keep)
        fold = constant.foldable(keep & needed & ~written & ~pinned)
        wanted = keep & needed & ~fold
        allowed = candidates_lib.at_least_one(graph, wanted)
        pinned |= allowed & ~wanted
        folded = (folded | fold) & ~allowed
        if np.array_equal(allowed, keep):
            return cut_lib.Cut(graph, keep, constant.new_biases(folded))
        keep = allowed


@dataclasses.dataclass(frozen=True, eq=False)
class _Link:
    """Which channels a weight tensor takes into which others.

    Attributes:
        bindings: the bindings of the tensor, one for each axis of `nonzero`.
        nonzero: bool array, whether any weight is not zero.
    """

    bindings: tuple
    nonzero: np.ndarray

    def reached(self, role, keep):
        """Channels of one role with a weight to kept ones on all other axes.

        Yields:
            Int arrays of labels.
        """
        kept = [keep[b.labels] for b in self.bindings]
        for axis, binding in enumerate(self.bindings):
            if binding.role == role:
                found = self.nonzero
                for other in reversed(range(found.ndim)):
                    if other != axis:
                        found = found.compress(kept[other], other).any(other)
                yield binding.labels[found]


def _links(graph):
    """The links of all tensors that channels are read or written by."""
    variables = {
        id(b.variable): b
        for b in graph.bindings
        if b.role != channel_graph.CARRIES
    }
    return [_link(graph, binding) for binding in variables.values()]


def _link(graph, binding):
    array = values.numpy(binding.variable)
    if not np.isfinite(array).all():
        raise ValueError(
            "Weights must be finite numbers. Received: NaN or infinity in "
            f"{binding.attribute!r} of layer {binding.layer!r}. Look at the "
            "training that made them."
        )
    bindings = sorted(graph.bound(binding.variable), key=lambda b: b.axis)
    others = set(range(array.ndim)) - {b.axis for b in bindings}
    return _Link(tuple(bindings), (array != 0).any(tuple(others)))


def _reached(graph, links, role, keep):
    found = np.zeros(graph.size, bool)
    for link in links:
        for labels in link.reached(role, keep):
            found[labels] = True
    return found
