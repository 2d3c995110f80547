"""What a search asks about: shares of each group in, a measured network out."""

import dataclasses
import hashlib
import json
import time

import keras
import numpy as np

from tfprune.core import atomic
from tfprune.datasets import samples
from tfprune.graph import read
from tfprune.graph import values
from tfprune.scoring import score
from tfprune.searches import environment
from tfprune.searches import masked_evaluation

_PURPOSE = "the search"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One network that was tried.

    Attributes:
        accuracy: `float`, before fine-tuning, on the data of the search.
        reward: `float`, what the strategy was told.
        macs, params: `int`.
        seconds: `float`, of wall time for this trial.
        kept: tuple of `float`, the share of each group that stayed, of what
            may be removed.
    """

    accuracy: float
    reward: float
    macs: int
    params: int
    seconds: float
    kept: tuple[float, ...]


class Objective:
    """The function that a search makes large, for any optimizer.

    `tfprune.search` plays it with the strategies of its own; a tuner from
    elsewhere calls it with shares, in as many processes as it likes, each of
    which makes its own from the same arguments.

    Args:
        model, data, budget: as for `tfprune.search`, and so are the others.

    Attributes:
        groups: tuple of `str`, the groups in the order of their shares.
        dense: `float`, the accuracy with all channels.
        env: the `PruningEnvironment`.

    Example:

    >>> half = tfprune.Budget(macs=0.5)
    >>> objective = tfprune.searches.Objective(model, data, half)
    >>> trial = objective({name: 0.7 for name in objective.groups})
    >>> trial.accuracy, trial.macs
    >>> small = objective.model(trial.kept)
    """

    def __init__(
        self,
        model,
        data,
        budget=None,
        reward="error",
        criterion="l1",
        criterion_data=None,
        recalibrate=None,
        reconstruct=None,
        limit=None,
        checkpoint=None,
        metric=masked_evaluation.accuracy,
        **options,
    ):
        if budget is None and reward == "error":
            raise ValueError(
                "A budget is needed where the reward counts the error alone. "
                "Received: budget=None, reward='error'. Give a "
                "tfprune.Budget, or reward='flops' or 'params'."
            )
        self._graph = graph = read.channel_graph(model)
        scores = score.channel_scores(graph, criterion, criterion_data)
        self._measured = masked_evaluation.MaskedEvaluation(
            graph,
            data,
            metric,
            limit=limit,
            purpose=_PURPOSE,
            recalibrate=recalibrate,
            reconstruct=reconstruct,
        )
        basis = ((data, limit), (recalibrate, None), (reconstruct, None))
        self._memory = _Memory(self._measured, checkpoint, graph, basis)
        self.env = environment.PruningEnvironment(
            graph, scores, self._memory.value, budget, reward, **options
        )
        self.groups = tuple(group.name for group in self.env.groups)
        self.dense = self._memory.value(np.ones(graph.size, bool))

    @property
    def traces(self):
        """`int`, how often the model was traced for all trials."""
        return self._measured.traces

    @property
    def evaluated(self):
        """`int`, how many different networks were measured."""
        return self._measured.count

    def __call__(self, shares):
        """Measures one network.

        Args:
            shares: `float`s in [0, 1], one for each group in order, or a
                `dict` from the names of the groups. With a budget they are
                scaled alike until it is just kept to: only their proportions
                matter.

        Returns:
            A `Trial`.

        Raises:
            ValueError: If a share is missing or out of range.
        """
        start = time.perf_counter()
        outcome = self.env.play(self.env.scaled(self._ordered(shares)))
        return self.trial(*outcome, time.perf_counter() - start)

    def model(self, shares):
        """The pruned model, normalised and reconstructed as in its trial.

        Args:
            shares: what stays of each group, as `Trial.kept` tells; they are
                taken as they are.
        """
        _, info = self.env.play(self._ordered(shares))
        return self._measured.shrunk(info["keep"])

    def trial(self, value, info, seconds):
        """A `Trial`, from what the last step of an episode told."""
        keep, cost = info["keep"], info["cost"]
        return Trial(
            info["accuracy"],
            value,
            cost.macs,
            cost.params,
            seconds,
            self.env.shares(keep),
        )

    def _ordered(self, shares):
        if isinstance(shares, dict):
            if set(shares) != set(self.groups):
                raise ValueError(
                    "`shares` must name each group once. Received: "
                    f"{', '.join(shares)}. The groups: "
                    f"{', '.join(self.groups)}."
                )
            shares = [shares[name] for name in self.groups]
        shares = np.asarray(shares, float)
        inside = ((shares >= 0) & (shares <= 1)).all()
        if shares.shape != (len(self.groups),) or not inside:
            raise ValueError(
                f"`shares` must hold {len(self.groups)} numbers in [0, 1], "
                f"one for each group. Received: shares={shares.tolist()}."
            )
        return shares.tolist()


class _Memory:
    """Accuracies by channels, in a file if there is one.

    Args:
        measured: a `MaskedEvaluation`.
        path: of the file, or `None`.
        graph: the `ChannelGraph`.
        basis: pairs `(data, limit)`, what accuracies depend on besides.
    """

    def __init__(self, measured, path, graph, basis):
        self._measured = measured
        self._path = None if path is None else atomic.writable(path)
        self._found = {"basis": None, "accuracies": {}}
        if self._path is None:
            return
        key = _key(graph, basis)
        if self._path.exists():
            self._found = json.loads(self._path.read_text())
            if self._found["basis"] != key:
                raise ValueError(
                    "A checkpoint must be of the same weights and data. "
                    f"Received: checkpoint={str(path)!r}, which is of others. "
                    "Choose another path."
                )
        self._found["basis"] = key

    def value(self, keep):
        known = self._found["accuracies"]
        key = np.packbits(keep).tobytes().hex()
        if key not in known:
            known[key] = self._measured.value(keep)
            if self._path is not None:
                atomic.write({self._path: json.dumps(self._found).encode()})
        return known[key]


def _key(graph, basis):
    """A hash of all numbers that an accuracy depends on, `str`."""
    found = hashlib.sha256()
    for variable in graph.model.weights:
        found.update(values.numpy(variable).tobytes())
    for part, most in basis:
        found.update(b"data")
        if part is None:
            continue
        for x, y in samples.batches(part, _PURPOSE, limit=most):
            for array in keras.tree.flatten((x, () if y is None else y)):
                found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
