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

from tfprune.graph import channel_graph
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.graph import values
from tfprune.selection import select
from tfprune.sparsity import wrapper
from tfprune.sparsity import wrapping
from tfprune.surgery import constants
from tfprune.surgery import depth


def strip(model, verify=True):
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
    model, zero = graph.model, depth.zero_blocks(graph)
    if zero:
        graph = read.channel_graph(depth.without(model, zero))
    keep, changes = removable(graph)
    small = rebuild.shrink(graph, keep, changes)
    if verify:
        check_equal(model, small)
    return small


def removable(graph):
    """Finds the channels that can go without a change of the output.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        `(keep, changes)`: a bool array of shape `(graph.size,)`, and a `dict`
        from `id(variable)` to the new values of biases into which constant
        channels were moved.
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
        allowed = select.at_least_one(graph, wanted)
        pinned |= allowed & ~wanted
        folded = (folded | fold) & ~allowed
        if np.array_equal(allowed, keep):
            return keep, constant.new_biases(folded)
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


def check_equal(model, small, tolerance=1e-4, seed=0):
    """Compares the outputs of two models on random inputs.

    Args:
        model, small: models with the same inputs and outputs.
        tolerance: float, the largest difference allowed, relative to the
            largest absolute output; 100 times that for half precision.
        seed: `int` of the random inputs.

    Returns:
        The largest relative difference, float.

    Raises:
        ArithmeticError: If it is above the tolerance.
    """
    worst = 0.0
    for a, b in _output_pairs(model, small, seed):
        half = keras.backend.standardize_dtype(a.dtype) in _HALF
        limit = tolerance * 100 if half else tolerance
        error = _relative_difference(values.numpy(a), values.numpy(b))
        if not error <= limit:
            raise ArithmeticError(
                "The smaller model must give the same outputs. Received: a "
                f"relative difference of {error:.3g}, more than {limit:.3g}, "
                f"for model={model.name!r}. Please report the model: a rule "
                "for one of its layers is wrong."
            )
        worst = max(worst, error)
    return worst


def output_difference(model, small, seed=0):
    """The largest difference of outputs on random inputs, relative."""
    return max(
        _relative_difference(values.numpy(a), values.numpy(b))
        for a, b in _output_pairs(model, small, seed)
    )


_HALF = ("float16", "bfloat16")


def _output_pairs(model, small, seed):
    inputs = random_inputs(model, seed)
    before, after = _outputs(model, inputs), _outputs(small, inputs)
    return zip(before, after, strict=True)


def _outputs(model, inputs):
    """The flat outputs; the model's state, seeds included, stays as it is."""
    with keras.StatelessScope():
        return keras.tree.flatten(model(inputs, training=False))


def _relative_difference(a, b):
    """The largest difference of two arrays, relative to the largest value.

    What is not finite must be so in both arrays.
    """
    finite = np.isfinite(a)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return float("inf")
    a, b = (x[finite].astype(np.float64) for x in (a, b))
    scale = max(np.abs(a).max(initial=0), 1e-12)
    return float(np.abs(a - b).max(initial=0) / scale)


def random_inputs(model, seed=0, batch=2):
    """Random inputs of a model, in the structure that it takes.

    Unknown sizes become 64 for images and 16 otherwise; integers are 0 or 1.
    """
    rng = np.random.default_rng(seed)
    structure = (
        model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    )
    return keras.tree.map_structure(
        lambda x: values.random(rng, x, batch=batch), structure
    )


def zero_reads(graph, keep, variable):
    """The value of a variable, zero where it reads removed channels.

    Args:
        graph: a `ChannelGraph`.
        keep: bool array, shape `(graph.size,)`.
        variable: a variable of the graph's model.

    Returns:
        The variable's value, or a changed numpy copy.
    """
    value = variable.value
    for b in graph.bound(variable):
        if b.role == channel_graph.READS and not keep[b.labels].all():
            value = np.array(values.numpy(value, exact=True))
            np.moveaxis(value, b.axis, 0)[~keep[b.labels]] = 0
    return value
