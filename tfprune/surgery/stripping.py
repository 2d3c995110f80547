"""Removes channels that do not affect the output, exactly.

If every slice of weights that reads a channel is zero, the channel cannot
change the output, whatever lies in between, and is removed. If all weights that
write a channel are zero, the channel does not depend on the input, and one
forward pass shows its value for every input: a zero channel is removed; one
with the same value everywhere and no padding mixed in moves into the biases of
its readers.
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
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import wrapper
from tfprune.sparsity import wrapping
from tfprune.surgery import constants
from tfprune.surgery import depth
from tfprune.surgery import shrinking
from tfprune.surgery import verification
from tfprune.surgery import whole_blocks


def strip(model: keras.Model, verify: bool = True) -> keras.Model:
    """Removes the channels that do not affect a model's outputs.

    Args:
        model: a built `keras.Model`, with zeros in its weights from any
            source, or a model from `tfprune.wrap`. It is not changed. If its
            methods quantize the inputs of layers, as `BitPruning` does, the
            outputs are those without that, and a warning says so.
        verify: `bool`, whether to compare the outputs of both models on
            random inputs.

    Returns:
        A plain Keras model of the same class, with the same layers and names
        and fewer channels.

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
        if verify:
            _warn_of_inputs(model)
        model = wrapping.unwrap(model)
    graph = read.channel_graph(model)
    small = stripped(graph)
    if verify:
        verification.check_equal(graph.model, small)
    if small.count_params() == graph.model.count_params():
        logging.warning(
            "Nothing was removed from %r: for no removable channel are all "
            "weights that read it, or all that write it, zero. Zero some first "
            "(tfprune.prune, or PruneOnSchedule during fit of a wrapped "
            "model); print(tfprune.channel_graph(model)) lists the removable "
            "channels.",
            graph.model.name,
        )
    return small


def _warn_of_inputs(model):
    """Says which layers compute with other inputs once they are plain."""
    names = [
        each.name
        for each in wrapper.find(model)
        if method_lib.INPUTS in each.slots
    ]
    if names:
        logging.warning(
            "Plain layers take their inputs as they are, while %r quantizes "
            "those of %s: the outputs differ. Evaluate the wrapped model too.",
            model.name,
            ", ".join(names),
        )


def stripped(graph):
    """As `strip`, of a graph's plain model, without checks and warnings.

    It goes in passes, until nothing more can be removed: removing some channels
    can untie others, such as the rows and columns of a reshape that shuffles
    them.
    """
    small = None
    while True:
        zero = depth.zero_blocks(graph)
        if zero:
            graph = read.channel_graph(whole_blocks.without(graph, zero))
        cut = removable(graph)
        done = not zero and cut.keep.all()
        if small is None or not done:
            small = shrinking.apply(cut)
        if done:
            return small
        graph = read.channel_graph(small)


def removable(graph):
    """Finds the channels that can be removed without changing the output.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        A `Cut`; its changes are the biases that absorb constant channels.
    """
    channel_graph.check(graph)
    links = _links(graph)
    constant = constants.Constants(graph)
    pinned = graph.frozen.copy()
    keep = np.ones(graph.size, bool)
    folded = np.zeros(graph.size, bool)
    while True:
        # Channels that a kept one is computed from; channels computed from one.
        needed = pinned | _reached(graph, links, channel_graph.READS, keep)
        written = _reached(graph, links, channel_graph.WRITES, keep)
        fold = constant.foldable(keep & needed & ~written & ~pinned)
        wanted = keep & needed & ~fold
        allowed = candidates_lib.restored(graph, wanted)
        pinned |= allowed & ~wanted
        folded = (folded | fold) & ~allowed
        if np.array_equal(allowed, keep):
            return cut_lib.Cut(graph, keep, constant.new_biases(folded))
        keep = allowed


@dataclasses.dataclass(frozen=True, eq=False)
class _Link:
    """Which channels a weight tensor connects to which others.

    Attributes:
        bindings: the bindings of the tensor, one per axis of `nonzero`.
        nonzero: bool array, whether any weight is not zero.
    """

    bindings: tuple
    nonzero: np.ndarray

    def reached(self, role, keep):
        """Channels of one role with a nonzero weight to kept ones.

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
    """The links of all tensors that read or write channels."""
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
            f"{binding.attribute!r} of layer {binding.layer!r}. Check the "
            "training that produced them."
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
