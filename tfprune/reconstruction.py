"""Least squares: the weights that read kept channels make up for removed ones.

For a layer that reads, with patches `A` of its input in the full model and `P`
in the pruned one, both at the same positions, and weights `W`,

    min over D of ||A W - P (W_S + D)||^2 + ridge ||D||^2

so that its outputs before the activation come near to what they were; `W_S`
are the weights that read kept channels, and a bias is fitted along with them.
The ridge pulls towards the weights as they are: where nothing was removed, `D`
is zero.

References:

- He, Zhang, Sun, "Channel Pruning for Accelerating Very Deep Neural Networks",
  ICCV 2017, https://arxiv.org/abs/1707.06168, which takes `P` from the pruned
  model for the same reason
"""

import contextlib
import dataclasses
import warnings

import numpy as np

from tfprune import patches
from tfprune import probe
from tfprune import samples
from tfprune import stripping
from tfprune.graph import channel_graph
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.graph import values

_PURPOSE = "the reconstruction"
INPUTS = ("pruned", "dense")


def reconstruct(model, keep, data, **settings):
    """Removes channels and fits the weights that read the other ones.

    Args:
        model: a built `keras.Model`; it is not changed.
        keep: bool array, one entry for each channel of
            `tfprune.channel_graph(model)`, as `tfprune.pruning.choose` gives.
        data: inputs, as for `tfprune.samples.batches`. Labels are not used.
        **settings: the fields of `Reconstruction`.

    Returns:
        A plain Keras model of the same class.

    Raises:
        ValueError: If data are missing, have the wrong shape or can be read
            only once.

    Example:

    >>> keep = choose(tfprune.channel_graph(model), 0.5, "l1")
    >>> small = tfprune.reconstruct(model, keep, x_train[:2000])
    """
    graph = read.channel_graph(model)
    changes, _ = Reconstruction(**settings).solve(graph, keep, data)
    return rebuild.shrink(graph, keep, changes)


@dataclasses.dataclass(frozen=True)
class Fit:
    """How near a layer came to its former outputs.

    Attributes:
        layer: `str`, its path.
        rows: `int`, patches that it was fitted on.
        unknowns: `int`, weights of each output that were fitted.
        before, after: `float`, the mean squared difference of its outputs
            before the activation, over their mean square in the full model.
    """

    layer: str
    rows: int
    unknowns: int
    before: float
    after: float


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """The settings of a reconstruction.

    Args:
        inputs: `"pruned"` fits layer after layer, each on inputs from the
            model as pruned and fitted so far, and reads the data once for
            each; `"dense"` fits all at once on inputs from the full model.
        positions: `int`, output positions that are drawn for each sample.
        limit: `int`, samples that are looked at; `None` for all.
        ridge: `float`, times the mean square of the inputs.
        seed: `int` of the positions.
        batch_size: `int`, for arrays.
    """

    inputs: str = "pruned"
    positions: int = 10
    limit: object = None
    ridge: float = 1e-3
    seed: int = 0
    batch_size: int = 256

    def __post_init__(self):
        if self.inputs not in INPUTS:
            raise ValueError(
                f"`inputs` must be one of {', '.join(INPUTS)}. "
                f"Received: inputs={self.inputs!r}."
            )

    def solve(self, graph, keep, data):
        """Fits every layer that reads removed channels.

        Args:
            graph: a `ChannelGraph`.
            keep: bool array, shape `(graph.size,)`.
            data: as for `reconstruct`.

        Returns:
            `(changes, fits)`: a `dict` from `id(variable)` to the new value
            of the variable, numpy, in its old shape, with zeros where removed
            channels are read; and a list of `Fit`.
        """
        problems = [_LeastSquares(r, keep) for r in _readers(graph, keep)]
        changes = {}
        if not problems:
            return changes, []
        if self.inputs == "dense":
            self._collect(graph, problems, data)
            for problem in problems:
                changes |= problem.solve(self.ridge)
            return changes, _fits(problems)
        samples.check_repeatable(data, _PURPOSE)
        zeroed = _zeroed(graph, keep)
        for problem in problems:
            self._collect(graph, [problem], data, zeroed | changes)
            changes |= problem.solve(self.ridge)
        return changes, _fits(problems)

    def _collect(self, graph, problems, data, changes=None):
        """Reads the data once; `changes` make the pruned model, if given."""
        for number, (x, _) in enumerate(
            samples.batches(
                data, _PURPOSE, self.batch_size, self.limit, model=graph.model
            )
        ):
            dense = pruned = self._rows(graph, problems, x, number)
            if changes is not None:
                pruned = self._rows(graph, problems, x, number, changes)
            for problem, a, p in zip(problems, dense, pruned, strict=True):
                for rows in zip(a, p, strict=True):
                    problem.add(*rows)

    def _rows(self, graph, problems, x, number, changes=None):
        """Patches for each problem, one array for each call of its layer."""
        rows = [[] for _ in problems]
        lives = {id(problem.reader.live) for problem in problems}
        last = max(
            i
            for i, step in enumerate(graph.steps)
            if id(graph.layers[step.layer]) in lives
        )

        def visit(event):
            for problem, found in zip(problems, rows, strict=True):
                if problem.reader.live is event.live:
                    # Both models are looked at in the same positions.
                    rng = np.random.default_rng((self.seed, number, len(found)))
                    found.append(
                        problem.reader.patches(
                            event.tensors[0], self.positions, rng
                        )
                    )
            if event.number == last:
                raise _Reached

        variables = [
            (v, changes[id(v)])
            for v in graph.model.weights
            if changes and id(v) in changes
        ]
        with contextlib.suppress(_Reached):
            probe.play(graph, x, visit, variables)
        return rows


class _Reached(Exception):
    """Ends a run where nothing behind is of interest."""


class _LeastSquares:
    """The problem of one layer, whose sums grow batch by batch."""

    def __init__(self, reader, keep):
        self.reader = reader
        self.fit = None
        self._kept = keep[reader.labels]
        self._weights = reader.matrix()
        self._bias = getattr(reader.layer, "bias", None)
        groups, _, outputs = self._weights.shape
        size = int(self._kept.sum()) + (self._bias is not None)
        self._gram = np.zeros((groups, size, size))
        self._cross = np.zeros((groups, size, outputs))
        self._target = self._error = 0.0
        self._rows = 0

    def add(self, dense, pruned):
        """Adds patches of both models, `(rows, groups, columns)`."""
        dense, pruned = (
            np.moveaxis(rows, 1, 0).astype(np.float32)
            for rows in (dense, pruned)
        )
        inputs = pruned[:, :, self._kept]  # P
        weights = self._weights.astype(np.float32)
        target = dense @ weights  # A W
        error = target - inputs @ weights[:, self._kept]
        if self._bias is not None:
            ones = np.ones((*inputs.shape[:2], 1), np.float32)
            inputs = np.concatenate([inputs, ones], -1)
        turned = inputs.swapaxes(1, 2)
        self._gram += turned @ inputs
        self._cross += turned @ error
        self._rows += len(inputs[0])
        self._target += float(np.square(target).sum())
        self._error += float(np.square(error).sum())

    def solve(self, ridge):
        """The changes of the layer's weights."""
        change = _solved(self._gram, self._cross, ridge)  # D
        gain = np.sum(change * (2 * self._cross - self._gram @ change))
        scale = max(self._target, 1e-300)
        self.fit = Fit(
            self.reader.path,
            self._rows,
            self._gram.shape[1],
            self._error / scale,
            max(self._error - float(gain), 0.0) / scale,
        )
        weights = np.where(self._kept[:, None], self._weights, 0)
        count = int(self._kept.sum())
        weights[:, self._kept] += change[:, :count]
        kernel = self.reader.binding.variable
        changes = {id(kernel): self.reader.kernel(weights)}
        if self._bias is not None:
            bias = values.numpy(self._bias) + change[:, count].reshape(-1)
            changes[id(self._bias)] = bias.astype(np.float32)
        return changes


def _fits(problems):
    """The fits of all problems; warns of those that have too few data."""
    fits = [problem.fit for problem in problems]
    short = [f.layer for f in fits if f.rows < f.unknowns]
    if short:
        warnings.warn(
            "The reconstruction needs more patches than weights to fit, or it "
            f"fits noise. Received: too few for {', '.join(short[:5])}"
            f"{' ...' if len(short) > 5 else ''}. Give more samples, or more "
            "positions for each.",
            stacklevel=4,
        )
    return fits


def _solved(gram, cross, ridge):
    pull = ridge * np.trace(gram, axis1=1, axis2=2) / max(gram.shape[1], 1)
    if (pull > 0).all():
        eye = np.eye(gram.shape[1])
        return np.linalg.solve(gram + pull[:, None, None] * eye, cross)
    return np.linalg.pinv(gram, hermitian=True) @ cross


def _readers(graph, keep):
    """The readers of removed channels, in the order of execution."""
    found, others = patches.readers(graph)
    left = sorted({b.layer for b in others if not keep[b.labels].all()})
    if left:
        warnings.warn(
            "The weights of these layers stay as they are, as they do not "
            f"read by patches: {', '.join(left)}.",
            stacklevel=4,
        )
    return [r for r in found if not keep[r.labels].all()]


def _zeroed(graph, keep):
    """The weights of the pruned model, before they are fitted."""
    return {
        id(b.variable): values.numpy(
            stripping.zero_reads(graph, keep, b.variable)
        )
        for b in graph.bindings
        if b.role == channel_graph.READS and not keep[b.labels].all()
    }
