"""What the rules have said about a model, before it is a `ChannelGraph`."""

import dataclasses

import numpy as np

from tfprune.graph import labels as labels_lib


class Records:
    """Everything that the rules have said about a model.

    Args:
        whole: `dict` from the `id` of a layer to why it was not opened.
        ways: `dict` from the path of an op that can let one set of channels
            go or another, to the number of the one that it lets go.
        allow_inexact: `bool`, see `channel_graph`.
    """

    def __init__(self, whole=(), ways=(), allow_inexact=False):
        self.whole = dict(whole)
        self.ways = dict(ways)
        self.allow_inexact = allow_inexact
        self.inexact = []
        self.chosen = []
        self.met = []
        self.astray = []
        self.store = labels_lib.LabelStore()
        self.bindings = []
        self.edits = []
        self.factors = []
        self.unknown = {}
        self.driven = []
        self.clashes = []
        self.gains = {}
        self._edited = {}
        self._bound = {}
        self._binders = set()
        self._fresh = {}

    def bind(self, binding):
        key = id(binding.variable), binding.axis
        self._binders.add((id(binding.variable), binding.layer))
        if key not in self._bound:
            self._bound[key] = len(self.bindings)
            self.bindings.append(binding)
            return
        at = self._bound[key]
        first = self.bindings[at]
        self.store.join(first.labels, binding.labels)
        if first.input != binding.input:
            first = dataclasses.replace(first, input=None)
        if first.input_axis != binding.input_axis:
            # A dense layer reads the last axis of tensors of any rank.
            axis = -1 if binding.patches == "pointwise" else None
            first = dataclasses.replace(first, input_axis=axis)
        if first.layer != binding.layer:
            # Two layers that hold one weight: constants are read by one.
            self.driven.append(binding.labels)
        self.bindings[at] = first

    def freeze_held(self, layer, variables):
        """Keeps what other layers bind of variables that a layer has too.

        Args:
            layer: `str`, the path of the layer.
            variables: list of its variables.
        """
        for variable in variables:
            if (id(variable), layer) in self._binders:
                continue
            for axis in range(len(variable.shape)):
                labels = self.bound(variable, axis)
                if labels is not None:
                    reason = "a weight of another layer that it uses"
                    self.store.freeze(labels, layer, reason)

    def bound(self, variable, axis):
        if variable is None:
            return None
        at = self._bound.get((id(variable), axis % len(variable.shape)))
        return None if at is None else self.bindings[at].labels

    def factor(self, factor):
        """Notes a factor; a second call of a shared layer adds none."""
        if all(f.variable is not factor.variable for f in self.factors):
            self.factors.append(factor)

    def edit(self, edit, layer):
        """Notes an edit; a second call of a shared model edits once."""
        # An array may lose channels along several axes.
        first = self._edited.setdefault((edit.keys, edit.axis), edit)
        if first is edit:
            self.edits.append(edit)
            return
        pairs = [(first.labels, edit.labels)]
        if edit.among is not None:
            pairs.append((first.among, edit.among))
        for pair in pairs:
            if pair[0].size == pair[1].size:
                self.store.join(*pair)
                continue
            for labels in pair:
                self.store.freeze(labels, layer, "calls of different sizes")

    def better_ways(self):
        """The ways for another reading, in which more channels can go.

        The first way gives place to the next one if its channels cannot go by
        it, that one if all of its channels stay. If they stay in the last way,
        too, the first one is taken for good.
        """
        roots = self.store.roots()
        frozen = _marked(roots, [labels for labels, *_ in self.store.frozen])
        marks = {
            "met": _marked(roots, self.met),
            "astray": _marked(roots, self.astray),
        }
        nexts, ends = {}, {}
        for path, labels, count, unless in self.chosen:
            way, labels = self.ways.get(path, 0), roots[labels]
            if frozen[labels].all() if way else marks[unless][labels].any():
                if way + 1 < count:
                    nexts[path] = way + 1
                elif way < count:
                    ends[path] = count
        return self.ways | (nexts or ends)

    def fresh(self, size, key):
        """New labels, the same ones for every call of a shared layer."""
        if key not in self._fresh:
            self._fresh[key] = self.store.fresh(size)
        return self._fresh[key]


def _marked(roots, arrays):
    """Bool array, whether a label is joined with one of those in `arrays`."""
    marked = np.zeros(roots.size, bool)
    for labels in arrays:
        marked[roots[labels]] = True
    return marked
