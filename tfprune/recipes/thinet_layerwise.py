"""ThiNet: removes the channels that change the next layer's output least.

Luo, Wu, Lin, "ThiNet: A Filter Level Pruning Method for Deep Neural Network
Compression", ICCV 2017, https://arxiv.org/abs/1707.06342, and the variant in
the authors' code for their TPAMI article. An output `y` of the layer that
reads the channels, at a random position of a random filter and without its
bias, is the sum of the channels' contributions, `y = sum_c x_c`. Over many
samples, with `X` of shape (samples, channels):

    ICCV    grow the removed set T by the j that keeps
            sum_i (sum_{c in T} X_ic)^2 smallest
    TPAMI   grow the kept set S by the j that leaves least of the residual e,
            ||e - (x_j.e / x_j.x_j) x_j||; refit w on S, e = y - X_S w

    scales  w = argmin ||y - X_S w||^2, and the weights that read channel c in
            S are multiplied by w_c

All of it is computed from the Gram matrix `G = X^T X`, which grows batch by
batch: `||acc + x_j||^2 = acc.acc + 2 acc.x_j + G_jj` and `X^T y = G 1`.

Where the paper is silent, this is a reconstruction: a ridge term pulls `w`
towards 1, and if several layers read a channel, each adds its Gram matrix
divided by its mean `y^2` and has its own scales.
"""

import dataclasses

import keras
import numpy as np

from tfprune.core import kinds
from tfprune.core import registry
from tfprune.datasets import samples
from tfprune.graph import read
from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import image_patches
from tfprune.scoring import probe
from tfprune.selection import budget as budget_lib
from tfprune.selection import cut as cut_lib
from tfprune.selection import select
from tfprune.sparsity import wrapping
from tfprune.surgery import shrinking

ALGORITHMS = registry.Registry("ThiNet algorithm")


@ALGORITHMS.register("iccv")
def iccv(gram):
    """Returns the channels in the order of greedy removal.

    Args:
        gram: float array, shape `(channels, channels)`.

    Returns:
        Int array, shape `(channels,)`.
    """
    size = len(gram)
    cross = np.zeros(size)  # acc.x_j
    left = np.ones(size, bool)
    order = []
    for _ in range(size):
        growth = 2 * cross + np.diag(gram)
        j = int(np.argmin(np.where(left, growth, np.inf)))
        order.append(j)
        left[j] = False
        cross += gram[j]
    return np.array(order, int)


@ALGORITHMS.register("tpami")
def tpami(gram):
    """Like `iccv`, but in the reverse order of forward selection.

    The refit is a Gram-Schmidt step: `basis[s, j]` is the product of the s-th
    direction with `x_j`.
    """
    size = len(gram)
    squares = np.diag(gram)
    basis = np.zeros((size, size))
    residual = gram.sum(1)  # x_j.e
    left = np.ones(size, bool)
    order = []
    for s in range(size):
        explained = np.zeros(size)
        np.divide(residual**2, squares, out=explained, where=squares > 0)
        j = int(np.argmax(np.where(left, explained, -1.0)))
        order.append(j)
        left[j] = False
        direction = gram[j] - basis[:s, j] @ basis[:s]
        # A column that the chosen ones already span adds no direction.
        if direction[j] > 1e-10 * max(squares[j], 1e-300):
            step = residual[j] / direction[j]
            residual = residual - step * direction
            basis[s] = direction / np.sqrt(direction[j])
    return np.array(order[::-1], int)


def scales(gram, kept, ridge=1e-6):
    """Computes factors for the kept channels that best restore the full sum.

    Args:
        gram: float array, shape `(channels, channels)`.
        kept: bool array, shape `(channels,)`.
        ridge: `float`, relative to the mean of the diagonal; how strongly the
            factors are pulled towards 1.

    Returns:
        Float array, shape `(kept channels,)`.
    """
    inner = gram[np.ix_(kept, kept)]
    lost = gram[np.ix_(kept, ~kept)].sum(1)  # X_S^T (y - X_S 1)
    pull = ridge * np.trace(inner) / len(inner)
    if pull == 0:
        return 1 + np.linalg.lstsq(inner, lost, rcond=None)[0]
    return 1 + np.linalg.solve(inner + pull * np.eye(len(inner)), lost)


@dataclasses.dataclass(frozen=True)
class ThiNet(criterion_lib.Criterion):
    """Scores channels by the order in which ThiNet removes them.

    The scores are ranks within a group, so use a ratio, or a `Budget` with
    `ranking="group"`. All groups are ranked in the full model; `thinet` goes
    layer by layer and rescales.

    Args:
        algorithm: `"iccv"` or `"tpami"`.
        positions: `int`, output positions drawn per sample.
        limit: `int`, maximum number of samples to use; `None` uses all.
        seed: `int`, seed for positions and filters.
        batch_size: `int`, used if the data are arrays.
    """

    algorithm: str = "iccv"
    positions: int = 10
    limit: int | None = None
    seed: int = 0
    batch_size: int = 64

    def scores(self, graph, data):
        """Returns ranks from 1, shape `(graph.size,)`."""
        grams = self.grams(graph, data, graph.removable)
        scores = np.full(graph.size, np.inf)
        for group in graph.groups:
            gram = _joint(grams, group.labels)
            if gram is not None and not group.frozen:
                order = ALGORITHMS.get(self.algorithm)(gram)
                scores[group.labels[order]] = np.arange(1, len(order) + 1)
        return scores

    def grams(self, graph, data, wanted):
        """Returns the Gram matrix of each layer that reads wanted channels.

        Args:
            graph: a `ChannelGraph`.
            data: as for `samples.batches`.
            wanted: bool array, shape `(graph.size,)`.

        Returns:
            List of `Gram`.
        """
        found, _ = image_patches.readers(graph)
        grams = [Gram(r) for r in found if wanted[r.labels].any()]
        rng = np.random.default_rng(self.seed)

        def visit(event):
            for gram in grams:
                if gram.reader.live is event.live:
                    gram.add(event.tensors[0], self.positions, rng)

        for x, _ in samples.batches(
            data,
            "the criterion 'thinet'",
            self.batch_size,
            self.limit,
            model=graph.model,
        ):
            probe.play(graph, x, visit)
        return grams


for _name, _algorithm in (("thinet", "iccv"), ("thinet_tpami", "tpami")):
    criterion_lib.register(
        _name,
        paper="Luo et al., ThiNet: A Filter Level Pruning Method",
        year=2017,
        url="https://arxiv.org/abs/1707.06342",
        data=criterion_lib.INPUTS,
        cost=criterion_lib.FORWARD,
    )(ThiNet(_algorithm))


class Gram:
    """`X^T X` of one reading layer.

    Attributes:
        reader: the `patches.Reader`.
        channels: int array, the channels that it reads, ascending.
        matrix: float array, shape `(channels.size, channels.size)`.
    """

    def __init__(self, reader):
        self.reader = reader
        self.channels = np.unique(reader.labels)
        self.matrix = np.zeros((self.channels.size,) * 2)
        self._weights = reader.matrix().astype(np.float32)
        self._order = np.argsort(reader.labels, kind="stable")
        ordered = reader.labels[self._order]
        self._starts = np.searchsorted(ordered, self.channels)

    def add(self, x, positions, rng):
        """Adds rows drawn from one batch of the layer's input."""
        rows = self.reader.patches(x, positions, rng)
        groups, _, outputs = self._weights.shape
        filters = rng.integers(0, groups * outputs, len(rows))
        group, output = np.divmod(filters, outputs)
        products = rows[np.arange(len(rows)), group]
        products = products * self._weights[group, :, output]
        added = np.add.reduceat(products[:, self._order], self._starts, axis=1)
        added = added.astype(np.float64)  # X
        self.matrix += added.T @ added

    def of(self, labels):
        """Returns the matrix of some channels, `None` if they are not read."""
        at = np.searchsorted(self.channels, labels)
        at = np.minimum(at, self.channels.size - 1)
        if not np.array_equal(self.channels[at], labels):
            return None
        return self.matrix[np.ix_(at, at)]


def _joint(grams, labels):
    """The sum over all layers that read the channels, or `None`."""
    parts = [gram.of(labels) for gram in grams]
    parts = [part for part in parts if part is not None]
    # y^2 summed over the samples; a layer whose outputs are zero adds nothing.
    parts = [part / (part.sum() or 1.0) for part in parts]
    return sum(parts) if parts else None


def thinet(
    model,
    budget,
    data,
    algorithm="iccv",
    fine_tune=None,
    ridge=1e-6,
    options=None,
    **selection,
):
    """Prunes layer by layer, from first to last, and rescales each.

    Args:
        model: a built `keras.Model`, or a model from `tfprune.wrap`, which is
            unwrapped first, as by `strip`. It is not changed.
        budget: a ratio as for `tfprune.prune`, or a `Budget`, which is turned
            into one ratio for all groups.
        data: inputs, as for `tfprune.datasets.batches`; they are read once
            per group. Labels are not used.
        algorithm: `"iccv"` or `"tpami"`.
        fine_tune: function called with the model after each layer; returns
            the trained model. `None` does not train.
        ridge: `float`, as for `scales`.
        options: `dict`, the other fields of `ThiNet`.
        **selection: `min_channels`, `channel_multiple` and `skip`.

    Returns:
        A plain Keras model.

    Raises:
        ValueError: As `tfprune.prune`, and if the data can be read only once.

    Example:

    >>> small = tfprune.recipes.thinet(model, 0.5, x_train[:5000])
    """
    if fine_tune is not None and not callable(fine_tune):
        raise ValueError(
            "`fine_tune` must be a function that is called with a model and "
            f"returns the trained one. Received: {fine_tune=}."
        )
    samples.check_repeatable(data, "ThiNet, which reads them layer by layer")
    criterion = ThiNet(algorithm, **(options or {}))
    graph = read.channel_graph(wrapping.plain(model))
    counts = _counts(graph, budget, selection)
    model = graph.model
    for i, count in enumerate(counts):
        graph = read.channel_graph(model)
        if count < len(graph.groups[i]):
            model = _prune_group(
                graph, graph.groups[i], count, criterion, data, ridge
            )
            model = _trained(model, fine_tune)
    return model


def _trained(model, fine_tune):
    if fine_tune is None:
        return model
    trained = fine_tune(model)
    cure = "Let it return the model that it has trained."
    kinds.check("fine_tune's result", trained, keras.Model, cure)
    return trained


def _counts(graph, budget, selection):
    """How many channels each group keeps."""
    equal = np.where(_ranked(graph), 1.0, np.inf)
    if isinstance(budget, budget_lib.Budget):
        keep = select.by_budget(graph, equal, budget, "group", **selection)
    else:
        keep = select.by_ratio(graph, equal, budget, **selection)
    return [int(keep[group.labels].sum()) for group in graph.groups]


def _ranked(graph):
    """The channels of groups that a layer reads in patches, and as a whole."""
    found, _ = image_patches.readers(graph)
    ranked = np.zeros(graph.size, bool)
    for group in graph.groups:
        ranked[group.labels] = any(
            np.isin(group.labels, reader.labels).all() for reader in found
        )
    return ranked


def _prune_group(graph, group, count, criterion, data, ridge):
    wanted = np.zeros(graph.size, bool)
    wanted[group.labels] = True
    grams = criterion.grams(graph, data, wanted)
    joint = _joint(grams, group.labels)
    if joint is None:
        return graph.model
    order = ALGORITHMS.get(criterion.algorithm)(joint)
    kept = np.ones(len(group), bool)
    kept[order[: len(group) - count]] = False
    keep = np.ones(graph.size, bool)
    keep[group.labels[~kept]] = False
    changes = {}
    for gram in grams:
        part = gram.of(group.labels)
        if part is None:
            continue
        factor = np.ones(graph.size)
        factor[group.labels[kept]] = scales(part, kept, ridge)
        reader = gram.reader
        matrix = reader.matrix() * factor[reader.labels][:, None]
        changes[id(reader.binding.variable)] = reader.kernel(matrix)
    return shrinking.apply(cut_lib.Cut(graph, keep, changes))
