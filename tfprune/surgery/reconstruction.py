"""Least-squares refit of the weights that read pruned channels.

For a layer with weights `W` and with patches `A` of its input in the full model
and `P` in the pruned one, at the same positions, solve

    min over D of ||A W - P (W_S + D)||^2 + ridge ||D||^2

so that the outputs before the activation approximate the original ones. `W_S`
are the weights that read kept channels; a bias is fitted along with them. The
ridge penalizes changes of the weights: if nothing was removed, `D` is zero.

References:

- He, Zhang, Sun, "Channel Pruning for Accelerating Very Deep Neural Networks",
  ICCV 2017, https://arxiv.org/abs/1707.06168, which also takes `P` from the
  pruned model, so that a layer corrects the errors of earlier ones
"""

import contextlib
import dataclasses
import typing
import warnings

import keras
import numpy as np

from tfprune.core import typed
from tfprune.datasets import samples
from tfprune.graph import channel_graph
from tfprune.graph import values
from tfprune.scoring import image_patches
from tfprune.scoring import least_squares
from tfprune.scoring import probe
from tfprune.selection import cut as cut_lib
from tfprune.surgery import shrinking

_PURPOSE = "the reconstruction"
INPUTS = ("pruned", "dense")


def reconstruct(
    cut: cut_lib.Cut, data: typed.Data, **settings: typing.Any
) -> keras.Model:
    """Removes channels and refits the weights that read the kept ones.

    Args:
        cut: a `Cut`, as from `tfprune.selection.choose`; its graph's model is
            not changed.
        data: inputs, as for `tfprune.datasets.batches`. Labels are not used.
        **settings: the fields of `Reconstruction`.

    Returns:
        A plain Keras model of the same class.

    Raises:
        TypeError: If `cut` is no `Cut`.
        ValueError: If data are missing, have the wrong shape or can be read
            only once.

    Example:

    >>> cut = tfprune.selection.choose(tfprune.channel_graph(model), 0.5)
    >>> small = tfprune.reconstruct(cut, x_train[:2000])
    """
    cut_lib.check(cut)
    return shrinking.apply(Reconstruction(**settings).refit(cut, data))


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """The settings of a reconstruction.

    Args:
        inputs: `"pruned"` fits layer by layer, each on inputs from the model
            as pruned and fitted so far, and reads the data once per layer;
            `"dense"` fits all at once on inputs from the full model.
        positions: `int`, output positions drawn per sample.
        limit: `int`, maximum number of samples to use; `None` uses all.
        ridge: `float`, relative to the mean square of the inputs.
        seed: `int`, seed for the positions.
        batch_size: `int`, used if the data are arrays.
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

    def refit(self, cut, data):
        """Returns the cut with refitted weights.

        Args:
            cut: a `Cut`.
            data: as for `reconstruct`.

        Returns:
            A `Cut` of the same channels.
        """
        changes, _ = self.solve(cut, data)
        return cut.changed(changes)

    def solve(self, cut, data):
        """Fits every layer that reads removed channels.

        Args:
            cut: a `Cut`.
            data: as for `reconstruct`.

        Returns:
            `(changes, fits)`: a `dict` from `id(variable)` to the variable's
            new value, a numpy array of its original shape with zeros where it
            reads removed channels; and a list of `least_squares.Fit`.
        """
        if self.inputs == "dense":
            found = self.prepare(cut.graph, data, cut.keep).solve(cut.keep)
        else:
            found = self._one_by_one(cut, data)
        _warn_of_noise(found[1])
        return found

    def prepare(self, graph, data, keep=None):
        """Reads the data once, on the full model, for fits of any channels.

        Args:
            graph: a `ChannelGraph`.
            data: as for `reconstruct`.
            keep: bool array; layers that read none of the removed channels
                are left out. `None` includes all layers that may lose some.

        Returns:
            A `Prepared`.
        """
        if keep is None:
            keep = ~graph.removable
        sums = [least_squares.DenseSums(r) for r in _readers(graph, keep)]
        if sums:
            for x, number in self._batches(graph, data):
                rows = self._rows(graph, sums, x, number)
                for problem, calls in zip(sums, rows, strict=True):
                    for dense in calls:
                        problem.add(dense)
        return Prepared(sums, self.ridge)

    def _one_by_one(self, cut, data):
        """Fits layer by layer, on inputs of the model as fitted so far."""
        samples.check_repeatable(data, _PURPOSE)
        graph, keep = cut.graph, cut.keep
        changes, fits = {}, []
        zeroed = _zeroed(cut)
        for reader in _readers(graph, keep):
            problem = least_squares.PrunedSums(reader, keep)
            now = zeroed | changes
            for x, number in self._batches(graph, data):
                (dense,) = self._rows(graph, [problem], x, number)
                (pruned,) = self._rows(graph, [problem], x, number, now)
                for pair in zip(dense, pruned, strict=True):
                    problem.add(*pair)
            found, fit = problem.solve(self.ridge)
            changes |= found
            fits.append(fit)
        return changes, fits

    def _batches(self, graph, data):
        for number, (x, _) in enumerate(
            samples.batches(
                data, _PURPOSE, self.batch_size, self.limit, model=graph.model
            )
        ):
            yield x, number

    def _rows(self, graph, problems, x, number, changes=None):
        """Patches for each problem, one array per call of its layer."""
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
                    # Same seed: both models are sampled at the same positions.
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


class Prepared:
    """Fits on inputs from the full model, for one set of channels or many.

    Args:
        sums: list of `least_squares.DenseSums`.
        ridge: as for `Reconstruction`.
    """

    def __init__(self, sums=(), ridge=0.0):
        self._sums, self._ridge = sums, ridge

    def solve(self, keep):
        """Returns `(changes, fits)` as `Reconstruction.solve`, without data."""
        changes, fits = {}, []
        for problem in self._sums:
            if not keep[problem.reader.labels].all():
                found, fit = problem.solve(keep, self._ridge)
                changes |= found
                fits.append(fit)
        return changes, fits


class _Reached(Exception):
    """Ends a run once all needed inputs have been seen."""


def _warn_of_noise(fits):
    short = [f.layer for f in fits if f.rows < f.unknowns]
    if short:
        warnings.warn(
            "The reconstruction needs more patches than weights, or it fits "
            f"noise. Received: too few for {', '.join(short[:5])}"
            f"{' ...' if len(short) > 5 else ''}. Give more samples, or more "
            "positions per sample.",
            stacklevel=4,
        )


def _readers(graph, keep):
    """The readers of removed channels, in the order of execution."""
    found, others = image_patches.readers(graph)
    left = sorted({b.layer for b in others if not keep[b.labels].all()})
    if left:
        warnings.warn(
            "These layers do not read patches, so their weights are not "
            f"refitted: {', '.join(left)}.",
            stacklevel=4,
        )
    return [r for r in found if not keep[r.labels].all()]


def _zeroed(cut):
    """The weights of the pruned model before the fit."""
    return {
        id(b.variable): values.numpy(cut.zero_reads(b.variable))
        for b in cut.graph.bindings
        if b.role == channel_graph.READS and not cut.keep[b.labels].all()
    }
