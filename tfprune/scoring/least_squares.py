"""The normal equations of one layer that reads channels, and their solution.

For inputs `A` of the full model, `P` of the pruned one, and weights `W`,

    min over D of ||A W - P (W_S + D)||^2 + ridge ||D||^2

where `W_S` are the weights that read kept channels; see `reconstruction`.
"""

import dataclasses

import numpy as np

from tfprune.graph import values


@dataclasses.dataclass(frozen=True)
class Fit:
    """How closely a refitted layer reproduces its original outputs.

    Attributes:
        layer: `str`, path of the layer.
        rows: `int`, number of patches in the fit.
        unknowns: `int`, number of fitted weights per output.
        before, after: `float`, mean squared error of its outputs before the
            activation, relative to their mean square in the full model.
    """

    layer: str
    rows: int
    unknowns: int
    before: float
    after: float


class PrunedSums:
    """Sums over patches of the full and of the pruned model, `A` and `P`.

    Args:
        reader: a `patches.Reader`.
        keep: bool array, one entry for each channel of the graph.
    """

    def __init__(self, reader, keep):
        self.reader = reader
        self._kept = keep[reader.labels]
        self._weights = reader.matrix()
        groups, _, outputs = self._weights.shape
        size = int(self._kept.sum()) + (_bias(reader) is not None)
        self._gram = np.zeros((groups, size, size))
        self._cross = np.zeros((groups, size, outputs))
        self._target = self._error = 0.0
        self._rows = 0

    def add(self, dense, pruned):
        """Adds patches of both models, `(rows, groups, columns)`."""
        dense, pruned = _by_group(dense), _by_group(pruned)
        inputs = pruned[:, :, self._kept]
        weights = self._weights.astype(np.float32)
        target = dense @ weights
        error = target - inputs @ weights[:, self._kept]
        inputs = _with_ones(self.reader, inputs)
        turned = inputs.swapaxes(1, 2)
        self._gram += turned @ inputs
        self._cross += turned @ error
        self._rows += len(inputs[0])
        self._target += float(np.square(target).sum())
        self._error += float(np.square(error).sum())

    def solve(self, ridge):
        """`(changes, fit)`: new values by `id` of variable, and a `Fit`."""
        return _solution(
            self.reader,
            self._kept,
            (self._gram, self._cross, self._target, self._error),
            self._rows,
            ridge,
        )


class DenseSums:
    """Sums over patches of the full model, for any channels: `P = A_S`.

    Then the target is `A_R W_R`, with `R` the removed channels, and a fit
    needs only parts of `A^T A`.

    Args:
        reader: a `patches.Reader`.
    """

    def __init__(self, reader):
        self.reader = reader
        self._weights = reader.matrix()
        groups, columns, _ = self._weights.shape
        size = columns + (_bias(reader) is not None)
        self._gram = np.zeros((groups, size, size))
        self._rows = 0

    def add(self, dense):
        """Adds patches of the full model, `(rows, groups, columns)`."""
        inputs = _with_ones(self.reader, _by_group(dense))
        self._gram += inputs.swapaxes(1, 2) @ inputs
        self._rows += len(inputs[0])

    def solve(self, keep, ridge):
        """As `PrunedSums.solve`, with the channels in `keep`."""
        kept = keep[self.reader.labels]
        weights, gram = self._weights, self._gram
        gone = np.flatnonzero(~kept)
        stay = np.flatnonzero(kept)
        if gram.shape[1] > kept.size:
            stay = np.append(stay, kept.size)  # the bias
        removed = weights[:, gone]
        cross = gram[:, stay[:, None], gone] @ removed
        error = np.sum(removed * (gram[:, gone[:, None], gone] @ removed))
        columns = gram[:, : kept.size, : kept.size]
        target = np.sum(weights * (columns @ weights))
        return _solution(
            self.reader,
            kept,
            (gram[:, stay[:, None], stay], cross, target, error),
            self._rows,
            ridge,
        )


def _solution(reader, kept, sums, rows, ridge):
    gram, cross, target, error = sums
    change = _solved(gram, cross, ridge)
    gain = np.sum(change * (2 * cross - gram @ change))
    scale = max(float(target), 1e-300)
    fit = Fit(
        reader.path,
        rows,
        gram.shape[1],
        float(error) / scale,
        max(float(error - gain), 0.0) / scale,
    )
    weights = np.where(kept[:, None], reader.matrix(), 0)
    count = int(kept.sum())
    weights[:, kept] += change[:, :count]
    changes = {id(reader.binding.variable): reader.kernel(weights, kept)}
    bias = _bias(reader)
    if bias is not None:
        value = values.numpy(bias) + change[:, count].reshape(-1)
        changes[id(bias)] = value.astype(np.float32)
    return changes, fit


def _solved(gram, cross, ridge):
    pull = ridge * np.trace(gram, axis1=1, axis2=2) / max(gram.shape[1], 1)
    if ridge > 0:
        # A group whose inputs are all zero has nothing to pull; any will do.
        pull = np.where(pull > 0, pull, 1.0)
        eye = np.eye(gram.shape[1])
        return np.linalg.solve(gram + pull[:, None, None] * eye, cross)
    return np.linalg.pinv(gram, hermitian=True) @ cross


def _bias(reader):
    return getattr(reader.layer, "bias", None)


def _by_group(rows):
    return np.moveaxis(rows, 1, 0).astype(np.float32)


def _with_ones(reader, inputs):
    """The inputs, with a column of ones where there is a bias to fit."""
    if _bias(reader) is None:
        return inputs
    ones = np.ones((*inputs.shape[:2], 1), np.float32)
    return np.concatenate([inputs, ones], -1)
