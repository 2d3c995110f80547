"""What the rules have said about a model, before it is a `ChannelGraph`."""

import dataclasses

import numpy as np

from tfprune.graph import labels as labels_lib


class Records:
    """Everything that the rules have said about a model.

    Args:
        whole: `dict` from the `id` of a layer to why it was not opened.
        rows: set of the paths of reshapes that lose rows, not columns.
        allow_inexact: `bool`, see `channel_graph`.
    """

    def __init__(self, whole=(), rows=(), allow_inexact=False):
        self.whole = dict(whole)
        self.rows = set(rows)
        self.allow_inexact = allow_inexact
        self.inexact = []
        self.splits = []
        self.met = []
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
        first = self._edited.setdefault(edit.keys, edit)
        if first is edit:
            self.edits.append(edit)
        elif first.labels.size == edit.labels.size:
            self.store.join(first.labels, edit.labels)
        else:
            for labels in (first.labels, edit.labels):
                self.store.freeze(labels, layer, "calls of different sizes")

    def better_rows(self):
        """Paths of reshapes of which columns meet in a product."""
        roots = self.store.roots()
        met = np.zeros(roots.size, bool)
        for labels in self.met:
            met[roots[labels]] = True
        return self.rows | {
            path for labels, path in self.splits if met[roots[labels]].any()
        }

    def fresh(self, size, key):
        """New labels, the same ones for every call of a shared layer."""
        if key not in self._fresh:
            self._fresh[key] = self.store.fresh(size)
        return self._fresh[key]
