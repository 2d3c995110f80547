"""The channel graph: a model's channels and everything that each touches."""

import collections
import dataclasses
import functools
import typing

import numpy as np

from tfprune.core import kinds
from tfprune.core import printed
from tfprune.core import tables

READS, WRITES, CARRIES = "reads", "writes", "carries"


@dataclasses.dataclass(frozen=True, eq=False)
class Binding:
    """A variable's axis that channels pass through.

    Attributes:
        layer: `str`, path of the layer.
        attribute: `str`, the layer's attribute that holds the variable; a dot
            descends into an inner layer.
        variable: the variable.
        axis: `int`, the axis of the variable, not negative.
        labels: int array, shape `(variable.shape[axis],)`.
        role: `"reads"` (the axis mixes its channels into others), `"writes"`
            (the axis makes the channels) or `"carries"` (channel by channel).
        padded: `bool`, whether the layer also reads zero padding.
        input_axis: `None`, or the axis of the layer's input along which a
            reading axis finds its channels, each in one slice; -1 if the calls
            of a shared layer read the last axis of tensors of several ranks.
        input: `int`, index of that input; `None` if the calls of a shared
            layer read it from different ones.
        patches: `None`, or the kind of matrix product on patches of that input:
            `"pointwise"`, `"convolution"`, `"transposed"`, or `"separable"` for
            the pointwise half of a separable convolution.
    """

    layer: str
    attribute: str
    variable: typing.Any
    axis: int
    labels: np.ndarray
    role: str
    padded: bool = False
    input_axis: int | None = None
    input: int | None = 0
    patches: str | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Edit:
    """A value in the model's config that follows the kept channels.

    Attributes:
        keys: tuple, position of the value in the config.
        labels: int array, shape `(n,)`.
        axis: `None` for a number that counts the kept `labels`, else the axis
            of an array from which the kept entries are taken.
        among: `None`, or an int array, the channels that the entries of the
            array are places of; those that are kept have other places.
    """

    keys: tuple
    labels: np.ndarray
    axis: int | None = None
    among: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Factor:
    """A correction of a variable whose layer scales by a channel count.

    Attributes:
        variable: the variable.
        labels: int array, the channels that the layer counts.
        power: `float`: the factor is the kept fraction of them, raised to
            this power.
    """

    variable: typing.Any
    labels: np.ndarray
    power: float


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One call of a layer or op, in the order of execution.

    Attributes:
        layer: `str`, path of the layer.
        op: `str`, its class name.
        inputs, outputs: tuples of `Tensor`.
        work: tuple of `(coefficient, label arrays)`: the multiply-adds are
            the coefficient times the kept channels of each array.
        memory: `"new"` if the output needs its own buffer, `"inplace"` if it
            may reuse the input's, `"view"` if it is the input's.
        file_ops: tuple of `FileOp`, what it becomes in a .tflite file of
            integers.
        moves: `bool`, whether it only moves or pools the values of channels.
    """

    layer: str
    op: str
    inputs: tuple
    outputs: tuple
    work: tuple = ()
    memory: str = "new"
    file_ops: tuple = ()
    moves: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Channels that pass through exactly the same axes.

    Attributes:
        name: `str`, the layer that writes them first; if that writes several
            groups that can be removed, the next ones are "layer#2", ...
        labels: int array, the channels.
        writers, readers: tuples of layer paths.
        frozen: `None`, or `(layer, reason)` that keeps the channels.
    """

    name: str
    labels: np.ndarray
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    frozen: tuple[str, str] | None = None

    def __len__(self):
        return len(self.labels)


def check(graph):
    """Raises a `TypeError` for what is no `ChannelGraph`."""
    cure = "Read one with tfprune.channel_graph(model)."
    kinds.check("graph", graph, ChannelGraph, cure)


class ChannelGraph(printed.Printed):
    """All channels of a model, as returned by `tfprune.channel_graph`.

    Channels are numbered from 0; every label array in the graph's records
    holds these numbers, and a `keep` vector has one boolean for each.

    Attributes:
        model: the Keras model that was read.
        config: `dict`, the model's config; `edits` point into it.
        size: `int`, the number of independent channels.
        inputs, outputs: tuples of `Tensor`, the model's own.
        steps: tuple of `Step`.
        layers: `dict` from paths to the layers and ops themselves.
        bindings: tuple of `Binding`.
        edits: tuple of `Edit`.
        factors: tuple of `Factor`.
        unknown: `dict` from the path of each layer or op without a rule to
            the name of its class; the channels it touches are frozen.
        inexact: tuple of the paths of layers that average over channels that
            may be removed nevertheless.
        frozen: bool array, shape `(size,)`, channels that must stay.
        driven: bool array, shape `(size,)`, channels that depend on others
            besides those that their writers read.
        gains: `dict` from the paths of layers to the variable that multiplies
            their whole output.
        reasons: list of `(labels, layer, reason)`, why channels must stay.
        clashes: tuple of tuples of `(labels, count)`; it must not be that so
            many of each of these are left.
    """

    def __init__(self, model, config, inputs, outputs, steps, layers, records):
        roots = records.store.roots()
        _, number = np.unique(roots, return_inverse=True)
        tensors = {}

        def renumber_tensor(tensor):
            key = id(tensor)
            if key not in tensors:
                tensors[key] = tensor.renumbered(number)
            return tensors[key]

        def renumber_step(step):
            return dataclasses.replace(
                step,
                inputs=tuple(map(renumber_tensor, step.inputs)),
                outputs=tuple(map(renumber_tensor, step.outputs)),
                file_ops=tuple(
                    op.renumbered(renumber_tensor, number.__getitem__)
                    for op in step.file_ops
                ),
                work=tuple(
                    (n, tuple(number[a] for a in axes)) for n, axes in step.work
                ),
            )

        def renumber(record):
            return dataclasses.replace(record, labels=number[record.labels])

        def renumber_edit(edit):
            among = edit.among
            among = among if among is None else number[among]
            return dataclasses.replace(renumber(edit), among=among)

        self.model = model
        self.config = config
        self.layers = dict(layers)
        self.size = int(number.max(initial=-1)) + 1
        self.inputs = tuple(map(renumber_tensor, inputs))
        self.outputs = tuple(map(renumber_tensor, outputs))
        self.steps = tuple(map(renumber_step, steps))
        self.bindings = tuple(map(renumber, records.bindings))
        self.edits = tuple(map(renumber_edit, records.edits))
        self.factors = tuple(map(renumber, records.factors))
        self.gains = dict(records.gains)
        self.unknown = dict(records.unknown)
        self.inexact = tuple(dict.fromkeys(records.inexact))
        self.reasons = [
            (number[channels], layer, reason)
            for channels, layer, reason in records.store.frozen
        ]
        self.clashes = tuple(
            tuple((number[labels], count) for labels, count in counts)
            for counts in records.clashes
        )
        self.driven = np.zeros(self.size, bool)
        for channels in records.driven:
            self.driven[number[channels]] = True
        self.frozen = np.zeros(self.size, bool)
        for channels, _, _ in self.reasons:
            self.frozen[channels] = True

    @functools.cached_property
    def groups(self):
        """Tuple of `Group`, in the order that the model writes them."""
        signature = self._signatures()
        reason_of = np.full(self.size, len(self.reasons))
        for i in reversed(range(len(self.reasons))):
            reason_of[self.reasons[i][0]] = i
        order = np.lexsort((np.arange(self.size), reason_of, signature))
        change = (np.diff(signature[order]) != 0) | (
            np.diff(reason_of[order]) != 0
        )
        parts = np.split(order, np.flatnonzero(change) + 1)
        writers, readers = self._layers_by_channel(parts)
        groups = []
        for i, channels in enumerate(parts):
            if not len(channels):
                continue
            reason = reason_of[channels[0]]
            frozen = (
                self.reasons[reason][1:] if reason < len(self.reasons) else None
            )
            w, r = tuple(writers[i]), tuple(readers[i])
            name = w[0] if w else (r[0] if r else "input")
            groups.append(Group(name, channels, w, r, frozen))
        return _named(sorted(groups, key=lambda g: int(g.labels[0])))

    @functools.cached_property
    def axes(self):
        """The distinct label arrays that must keep at least one channel."""
        arrays = [b.labels for b in self.bindings]
        for step in self.steps:
            for tensor in step.outputs:
                arrays += tensor.axes or (tensor.labels.reshape(-1),)
        return tuple({a.tobytes(): a for a in arrays}.values())

    @property
    def removable(self):
        """Bool array, shape `(size,)`: the channels that may be removed."""
        return ~self.frozen

    def bound(self, variable):
        """The bindings of a variable, by identity."""
        return self._by_variable.get(id(variable), ())

    @functools.cached_property
    def _by_variable(self):
        table = collections.defaultdict(list)
        for binding in self.bindings:
            table[id(binding.variable)].append(binding)
        return table

    def _signatures(self):
        """A number per channel: equal when the same axes hold it."""
        # A sum of random 64-bit numbers, one per axis, tells sets of axes
        # apart; two different sets collide with probability 2**-64.
        numbers = np.random.default_rng(0).integers(
            1, 2**63, len(self.bindings), dtype=np.uint64
        )
        signature = np.zeros(self.size, np.uint64)
        for number, binding in zip(numbers, self.bindings, strict=True):
            # Adds only once to a channel that occurs several times.
            signature[binding.labels] += number
        return np.unique(signature, return_inverse=True)[1]

    def _layers_by_channel(self, parts):
        part_of = np.zeros(self.size, int)
        for i, channels in enumerate(parts):
            part_of[channels] = i
        writers = collections.defaultdict(dict)
        readers = collections.defaultdict(dict)
        sides = {WRITES: writers, READS: readers}
        for b in self.bindings:
            if b.role in sides:
                for i in np.unique(part_of[b.labels]):
                    sides[b.role][i].setdefault(b.layer)
        return writers, readers

    def tables(self):
        """A list of `tables.Table`: the groups, and layers without a rule."""
        rows = []
        for group in self.groups:
            layer, reason = group.frozen or ("", "")
            readers = ", ".join(group.readers) or "nobody"
            why = f"{reason}, by {layer}" if group.frozen else ""
            rows.append((group.name, readers, why, tables.number(len(group))))
        free = int(self.removable.sum())
        found = [
            tables.Table(
                ("group", "read by", "frozen", "channels"),
                tuple(rows),
                title=f"{free} of {self.size} channels are removable.",
                left=3,
            )
        ]
        if self.unknown:
            found.append(
                tables.Table(
                    ("layer without a rule", "class"),
                    tuple(self.unknown.items()),
                    left=2,
                )
            )
        return found


def unique(names):
    """Tells names apart: `["a", "a"]` becomes `["a", "a#2"]`."""
    seen, found = collections.Counter(), []
    for name in names:
        seen[name] += 1
        found.append(name + f"#{seen[name]}" * (seen[name] > 1))
    return found


def _named(groups):
    """The groups; those that can be removed have unique names."""
    free = [g for g in groups if g.frozen is None]
    names = dict(zip(free, unique(g.name for g in free), strict=True))
    return tuple(
        dataclasses.replace(g, name=names.get(g, g.name)) for g in groups
    )
