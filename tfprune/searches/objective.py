"""The objective of a search: from each group's share to a measured network."""

import dataclasses
import hashlib
import json
import time

import keras
import numpy as np

from tfprune.core import function_codes
from tfprune.core.files import atomic
from tfprune.core.files import damage
from tfprune.datasets import outputs
from tfprune.datasets import samples
from tfprune.graph import read
from tfprune.graph import values
from tfprune.scoring import score
from tfprune.searches import environment
from tfprune.searches import masked_evaluation
from tfprune.selection import budget as budget_lib
from tfprune.sparsity import wrapping

_PURPOSE = "the search"
# Where a class comes from has another name if its module is the program.
_NOT_TOLD = ("build_config", "module", "registered_name", "seed")
_NEAR = 1e-6  # How far rounding may take a metric above 1.


@dataclasses.dataclass(frozen=True)
class Trial:
    """One evaluated network.

    Attributes:
        accuracy: `float`, before fine-tuning, on the data of the search.
        reward: `float`, the reward given to the strategy.
        macs, params: `int`.
        seconds: `float`, wall time of this trial.
        kept: tuple of `float`, the kept fraction of each group's removable
            channels.
    """

    accuracy: float
    reward: float
    macs: int
    params: int
    seconds: float
    kept: tuple[float, ...]


class OtherCheckpoint(ValueError):
    """A checkpoint of another model, other data or another metric."""


class Objective:
    """The function that a search maximizes, for any optimizer.

    `tfprune.search` runs its own strategies on it. An external tuner calls it
    with shares, possibly in several processes, each of which constructs its
    own objective from the same arguments.

    Args:
        model, data, budget: as for `tfprune.search`; so are the others.

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
        metric=None,
        input_shape=None,
        **options,
    ):
        if budget is None and reward == "error":
            raise ValueError(
                "A budget is required if the reward is the error alone. "
                "Received: budget=None, reward='error'. Give a "
                "tfprune.Budget, or reward='flops' or 'params'."
            )
        budget_lib.check(budget)
        model = wrapping.plain(model)
        self._graph = graph = read.channel_graph(model, input_shape)
        criterion = score.as_criterion(criterion)
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
        self._memory = _Memory(self._measured, checkpoint, graph, basis, metric)
        self.env = environment.PruningEnvironment(
            graph,
            scores,
            self._memory.value,
            budget,
            reward,
            refine=criterion.refine,
            **options,
        )
        self.groups = tuple(group.name for group in self.env.groups)
        self.dense = self._memory.value(np.ones(graph.size, bool))
        if reward != "error" and self.dense > 1 + _NEAR:
            # Larger networks would have the larger reward.
            raise ValueError(
                f"The reward {reward!r} needs a metric of at most 1, whose "
                f"distance to 1 is an error. Received: {self.dense:g} for the "
                "whole network. Scale the metric, as 93.5 % to 0.935, or give "
                "a budget with reward='error'."
            )

    @property
    def traces(self):
        """`int`, number of times that the model was traced."""
        return self._measured.traces

    @property
    def evaluated(self):
        """`int`, number of different networks measured."""
        return self._measured.count

    def __call__(self, shares):
        """Measures one network.

        Args:
            shares: `float`s in [0, 1], one per group in order, or a `dict`
                from group names. With a budget, they are scaled in proportion
                until they just meet it, so only their proportions matter.

        Returns:
            A `Trial`.

        Raises:
            ValueError: If a share is missing or out of range.
        """
        start = time.perf_counter()
        outcome = self.env.play(self.env.scaled(self._ordered(shares)))
        return self.trial(*outcome, time.perf_counter() - start)

    def model(self, shares):
        """Returns the pruned model, as recalibrated and refitted in its trial.

        Args:
            shares: the fraction of each group to keep, as in `Trial.kept`;
                not scaled.
        """
        _, info = self.env.play(self._ordered(shares))
        return self._measured.shrunk(info["keep"])

    def trial(self, value, info, seconds):
        """Makes a `Trial` from the results of an episode's last step."""
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
                    f"{', '.join(shares)}. The groups are "
                    f"{', '.join(self.groups)}."
                )
            shares = [shares[name] for name in self.groups]
        shares = np.asarray(shares, float)
        inside = ((shares >= 0) & (shares <= 1)).all()
        if shares.shape != (len(self.groups),) or not inside:
            raise ValueError(
                f"`shares` must hold {len(self.groups)} numbers in [0, 1], "
                f"one per group. Received: shares={shares.tolist()}."
            )
        return shares.tolist()


class _Memory:
    """Caches accuracies by their channels, optionally in a file.

    Args:
        measured: a `MaskedEvaluation`.
        path: path of the file, or `None`.
        graph: the `ChannelGraph`.
        basis: pairs `(data, limit)` that accuracies also depend on.
        metric: function or `None`, on which they depend as well.
    """

    def __init__(self, measured, path, graph, basis, metric):
        self._measured = measured
        self._path = None if path is None else atomic.writable(path)
        self._found = {"basis": None, "accuracies": {}}
        if self._path is None:
            return
        before, key = _keys(graph, basis, metric)
        if self._path.exists():
            self._found = damage.read_json(self._path, _as_kept)
            if self._found["basis"] not in (before, key):
                raise OtherCheckpoint(
                    "A checkpoint must come from the same layers, weights, "
                    "data and metric, and from a loss of the same kind. "
                    f"Received: checkpoint={str(path)!r}, which comes from "
                    "others. Choose another path."
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


def _as_kept(found):
    """What a checkpoint holds, if it is one.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(found["basis"], str) or not all(
        isinstance(v, int | float) for v in found["accuracies"].values()
    ):
        raise TypeError("it has no accuracies of a search")
    return found


def _keys(graph, basis, metric):
    """Two hashes of everything that an accuracy depends on, `str`s.

    The first is that of checkpoints that were written before the settings of
    layers counted, which hold.
    """
    told = function_codes.told(metric)
    if metric is None:
        told = _said_of_outputs(graph.model)
    found = hashlib.sha256(told.encode())
    for variable in graph.model.weights:
        found.update(values.numpy(variable).tobytes())
    for part, most in basis:
        found.update(b"data")
        if part is None:
            continue
        for parts in samples.batches(part, _PURPOSE, limit=most, weights=True):
            given = [part for part in parts if part is not None]
            for array in keras.tree.flatten(given):
                found.update(samples.as_bytes(array))
    before = found.hexdigest()
    found.update(_said_of_layers(graph.config).encode())
    return before, found.hexdigest()


def _said_of_layers(config):
    """What layers compute, as text that is the same in the next process.

    Keras appends numbers to the names of layers, and draws seeds.
    """
    names = {}

    def collect(part):
        if isinstance(part, dict):
            inner, kind = part.get("config"), part.get("class_name") or ""
            known = isinstance(inner, dict) and not kind.endswith("Policy")
            if known and isinstance(inner.get("name"), str):
                names.setdefault(inner["name"], len(names))
            part = list(part.values())
        if isinstance(part, list | tuple):
            for each in part:
                collect(each)

    def told(part, key=None):
        if isinstance(part, dict):
            left = {k: v for k, v in part.items() if k not in _NOT_TOLD}
            return {str(k): told(v, k) for k, v in left.items()}
        if isinstance(part, list | tuple):
            # The layer, call and output that a tensor comes from. Other texts
            # may be a name, too: "softmax" is a layer and a function.
            is_tensor = [type(each) for each in part] == [str, int, int]
            return [told(each, "name" if is_tensor else None) for each in part]
        if isinstance(part, str | int | float | None):
            return names.get(part, part) if key == "name" else part
        is_function = callable(part) and not isinstance(part, type)
        code = function_codes.told(part) if is_function else ""
        return [type(part).__qualname__, code]

    collect(config)
    names.setdefault(config.get("name"), len(names))
    return json.dumps(told(config), sort_keys=True)


def _said_of_outputs(model):
    """What a model's losses say about right answers, as text.

    Nothing where they cannot change them: checkpoints that were written before
    losses counted hold.
    """
    kinds = [
        (each.kind, each.is_logits, each.has_own_loss)
        for each in outputs.of(model)
    ]
    plain = (("none", False), ("sparse", False), ("categorical", False))
    if all(kind[:2] in plain or kind[0] == "sparse" for kind in kinds):
        return ""
    return repr(kinds)
