"""Masks over whole channels, updated on a schedule while the model trains.

A channel is masked where it is read: the slice of every weight that reads it is
zero. So `strip` removes exactly the masked channels, and the model in training
already computes what the small one will. Every update chooses the masked
channels anew from the trained weights, with any channel criterion, so a channel
can come back until the schedule ends.

References:

- Li et al., "Pruning filters for efficient ConvNets", 2016,
  https://arxiv.org/abs/1608.08710, for the criterion `"l1"`
- Zhu and Gupta, "To prune, or not to prune", 2017,
  https://arxiv.org/abs/1710.01878, for the schedule
"""

import dataclasses
import typing

import keras
import numpy as np
from absl import logging

from tfprune.core import typed
from tfprune.costs import counting
from tfprune.graph import channel_graph
from tfprune.graph import read
from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import probe
from tfprune.scoring import score
from tfprune.selection import budget as budget_lib
from tfprune.selection import rounding
from tfprune.selection import select
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import ops
from tfprune.sparsity import wrapper as wrapper_lib

# All limits but the latency, which needs measured layers.
_FRACTIONS_OF = tuple(x for x in budget_lib.LIMITS if x != "latency")


@method_lib.register("masked_channels")
@dataclasses.dataclass(frozen=True)
class MaskedChannels(method_lib.Method):
    """Masks the lowest-scoring channels in the weights that read them.

    Channels that an unwrapped layer reads stay, so wrap all layers with
    kernels, as `wrap` does by default.

    Args:
        criterion: as for `tfprune.prune`: a name, a function or an object.
            It must be registered to be saved.
        of: what the schedule's sparsity is a fraction of: `"channels"`,
            `"macs"`, `"params"` or `"peak_bytes"`, as in `tfprune.Budget`.
        ranking, normalize: how to compare channels of different layers, as
            for `tfprune.prune`.
        min_channels: `int`, minimum number of channels that each group keeps.
        channel_multiple: `int`; each group keeps a multiple of it, or all.
        skip: tuple of name patterns of layers whose channels all stay.
        target: a key of `tfprune.selection.TARGETS` ("cortex-m") that sets
            the channel multiple.

    Example:

    >>> wrapped = tfprune.wrap(model, tfprune.methods.MaskedChannels(of="macs"))
    >>> ramp = tfprune.schedules.Polynomial(0.0, 0.5, begin=0, end="10 epochs")
    >>> wrapped.fit(data, callbacks=[tfprune.PruneOnSchedule(ramp)], ...)
    >>> small = tfprune.strip(wrapped)
    """

    criterion: typing.Any = "l1"
    of: str = "channels"
    ranking: str = "global"
    normalize: str | None = None
    min_channels: int = 1
    channel_multiple: int = 1
    skip: typed.Names = ()
    target: str | None = None

    def __post_init__(self):
        skip = (self.skip,) if isinstance(self.skip, str) else self.skip
        object.__setattr__(self, "skip", tuple(skip))
        if not isinstance(self.criterion, str):
            object.__setattr__(
                self, "criterion", criterion_lib.find(self.criterion)
            )
        criterion_lib.find(self.criterion)
        if self.of not in _FRACTIONS_OF:
            raise ValueError(
                f"`of` must be one of {', '.join(_FRACTIONS_OF)}. Received: "
                f"of={self.of!r}."
            )
        rounding.Rounding(self.min_channels, self.channel_multiple, self.target)
        if isinstance(self.criterion, str) or _name(self.criterion):
            return
        cls = _class(self.criterion)
        if not _is_registered(cls):
            logging.warning(
                "A saved model with this method cannot be loaded, because its "
                "criterion is not registered: %s. %s",
                cls.__name__,
                _REGISTER,
            )

    def build(self, slot):
        slot.add_mask()

    def prepare(self, model, slots):
        """Marks weights that are zero, which stay zero."""
        for slot in slots:
            slot.mask_zeros()

    def effective_kernel(self, slot, kernel, training=False):
        return ops.masked(kernel, slot["mask"].value)

    def update(self, model, slots, sparsity, budget=None, data=None):
        graph = read.channel_graph(model)
        keep = np.ones(graph.size, bool)
        if sparsity > 0:
            criterion = score.as_criterion(self.criterion)
            scores = score.channel_scores(graph, criterion, data)
            keep = self._choose(graph, slots, scores, sparsity, budget)
            keep = _refined(graph, criterion, keep, _alive(graph, slots))
            keep[_read_elsewhere(graph, slots)] = True
        for slot in slots:
            slot["mask"].assign(_mask(graph, slot, keep) & slot.nonzero)

    def _choose(self, graph, slots, scores, sparsity, budget):
        if budget is None:
            budget = budget_lib.Budget(**{self.of: 1.0 - sparsity})
            sparsity = 1.0
        target = self.target
        if self.channel_multiple == 1:
            target = target or budget.target
        criterion = score.as_criterion(self.criterion)
        # Channels whose weights are zero already go first: they stay masked.
        alive = _alive(graph, slots)
        scores = np.where(_read_elsewhere(graph, slots), np.inf, scores)
        return select.by_budget(
            graph,
            np.where(alive, scores, 0.0),
            _on_the_way(budget, sparsity, graph),
            self.ranking,
            self.normalize or criterion.normalize,
            min_channels=self.min_channels,
            channel_multiple=self.channel_multiple,
            skip=self.skip,
            target=target,
        )

    def figures(self, model, slots):
        graph = read.channel_graph(model)
        meter = counting.Meter(graph)
        masks = [keras.ops.convert_to_numpy(slot["mask"]) for slot in slots]
        kept = _kept(graph, slots, masks)
        return {"macs_ratio": meter.macs(kept) / meter.macs()}

    def check(self, sparsity, budget=None):
        if sparsity >= 1 and budget is None:
            raise ValueError(
                f"Some {self.of} must remain. Received: sparsity={sparsity}. "
                "Give a sparsity below 1."
            )

    def check_training(self, model, slots, sparsity, budget=None, data=None):
        self._check_data(model, data)
        if sparsity > 0:
            graph = read.channel_graph(model)
            scores = self._rehearsed(graph, data)
            self._choose(graph, slots, scores, sparsity, budget)

    def _rehearsed(self, graph, data):
        """Scores that are infinite where those of the criterion are.

        Otherwise, how far pruning can go does not depend on the scores.
        """
        criterion = score.as_criterion(self.criterion)
        if not _is_cheap(_entry(self.criterion), data):
            return np.where(criterion.scorable(graph), 1.0, np.inf)
        if dataclasses.is_dataclass(criterion) and hasattr(criterion, "limit"):
            # One sample tells which channels have a score.
            criterion = dataclasses.replace(criterion, limit=1)
        return score.channel_scores(graph, criterion, data)

    def _check_data(self, model, data):
        entry = _entry(self.criterion)
        if entry is None or entry.data == criterion_lib.NOTHING:
            return
        if data is None:
            raise ValueError(
                f"The criterion {entry.name!r} needs {entry.data}. Received: "
                "data=None. Pass them to PruneOnSchedule(data=...)."
            )
        if entry.cost == criterion_lib.BACKWARD:
            probe.loss_settings(
                read.channel_graph(model).model,
                f"the criterion {entry.name!r}",
                getattr(criterion_lib.find(self.criterion), "loss", None),
            )

    def get_config(self):
        return {**super().get_config(), "criterion": _spec(self.criterion)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "criterion": _criterion(config["criterion"])})


def _spec(criterion):
    """Serializes a criterion: to its name if it has one."""
    if isinstance(criterion, str):
        return criterion
    name = _name(criterion)
    if name is not None:
        return name
    cls = _class(criterion)
    if _is_registered(cls):
        return keras.saving.serialize_keras_object(criterion)
    return {_UNKNOWN: cls.__name__}


def _name(criterion):
    """The name that a criterion is registered by, or `None`."""
    for name in criterion_lib.criteria.names():
        if criterion_lib.find(name) == criterion:
            return name
    return None


def _class(criterion):
    """The class of a criterion, or the function that it is."""
    return criterion if hasattr(criterion, "__name__") else type(criterion)


def _is_registered(cls):
    """Whether Keras can load objects of a class, or a function."""
    return keras.saving.get_registered_name(cls) != cls.__name__


def _entry(criterion):
    """What is registered of a criterion, or `None`."""
    if isinstance(criterion, str):
        return criterion_lib.criteria.get(criterion)
    for name in criterion_lib.criteria.names():
        entry = criterion_lib.criteria.get(name)
        if entry.criterion in (criterion, type(criterion)):
            return entry
    return None


def _is_cheap(entry, data):
    """Whether a criterion can score once more, without using up its data."""
    if entry is not None and entry.data == criterion_lib.INPUTS:
        return not hasattr(data, "__next__")
    # Weights that are not trained yet may pass nothing on, as SynFlow needs.
    return entry is not None and entry.cost == criterion_lib.WEIGHTS


def _criterion(spec):
    if not isinstance(spec, dict):
        return spec
    if _UNKNOWN in spec:
        raise ValueError(
            "A criterion must be registered before a model that uses it is "
            f"saved. Received: {spec[_UNKNOWN]}. {_REGISTER}"
        )
    return keras.saving.deserialize_keras_object(spec)


_UNKNOWN = "unregistered"
_REGISTER = (
    "Decorate it with `tfprune.scoring.register(name, ...)` or "
    "`keras.saving.register_keras_serializable(package)`."
)


def _readers(graph, variable):
    return [b for b in graph.bound(variable) if b.role == channel_graph.READS]


def _mask(graph, slot, keep):
    """Expands `keep` to a weight's shape, along the axis that reads."""
    mask = np.ones(slot.shape, bool)
    for binding in _readers(graph, slot.kernel):
        np.moveaxis(mask, binding.axis, -1)[...] &= keep[binding.labels]
    return mask


def _refined(graph, criterion, keep, alive):
    """What a criterion chooses anew, with those that are read first."""
    refined = criterion.refine(graph, keep).copy()
    for group in graph.groups:
        dead = group.labels[(refined & ~alive)[group.labels]]
        instead = group.labels[(keep & alive & ~refined)[group.labels]]
        count = min(len(dead), len(instead))
        refined[dead[:count]] = False
        refined[instead[:count]] = True
    return refined


def _alive(graph, slots):
    """The channels that are read by weights that are not all zero."""
    return _kept(graph, slots, [slot.nonzero for slot in slots])


def _kept(graph, slots, masks):
    """The channels that somebody reads in spite of the masks, or nobody."""
    keep, masked = _read_elsewhere(graph, slots), np.zeros(graph.size, bool)
    joined, kernels = {}, {id(slot.kernel): slot.kernel for slot in slots}
    for slot, mask in zip(slots, masks, strict=True):
        joined[id(slot.kernel)] = mask & joined.get(id(slot.kernel), True)
    for key, mask in joined.items():
        for binding in _readers(graph, kernels[key]):
            others = tuple(i for i in range(mask.ndim) if i != binding.axis)
            alive = mask.any(others)
            keep[binding.labels[alive]] = True
            masked[binding.labels[~alive]] = True
    return keep | ~masked


def _read_elsewhere(graph, slots):
    """The channels that anything other than these slots reads."""
    ours = {id(slot.kernel) for slot in slots}
    found = np.zeros(graph.size, bool)
    for binding in graph.bindings:
        others = id(binding.variable) not in ours
        if others and binding.role == channel_graph.READS:
            found[binding.labels] = True
    return found


def _on_the_way(budget, progress, graph):
    """Interpolates between the dense model's cost and `budget`."""
    meter = budget.meter(graph)
    # The meter of a wrapped model counts what methods have added.
    added = {"params": _added_by_wrappers(graph.model)}
    limits = {}
    for name, limit in budget.limits().items():
        dense = getattr(meter, name)() - added.get(name, 0)
        ceiling = dense * limit if isinstance(limit, float) else limit
        allowed = dense - progress * max(dense - ceiling, 0)
        limits[name] = budget_lib.limit(
            name, allowed + added.get(name, 0), meter
        )
    return dataclasses.replace(budget, **limits)


def _added_by_wrappers(model):
    wrappers = wrapper_lib.find(model)
    return sum(w.count_params() - w.layer.count_params() for w in wrappers)
