"""The interface of a rule: one call of a layer, and what to record of it."""

import dataclasses
import functools
import math
import operator

import keras
import numpy as np

from tfprune.graph import channel_graph
from tfprune.graph import tensor as tensor_lib
from tfprune.graph.lowering import in_file

READS = channel_graph.READS
WRITES = channel_graph.WRITES
CARRIES = channel_graph.CARRIES


class Call:
    """One call of a layer or op, handed to its rule.

    Attributes:
        config: `dict`, the layer's config.
        args, kwargs: the call's arguments, with a `Tensor` for each tensor
            and a `Constant` for each array in the config.
        tensors: list of the `Tensor`s among the arguments.
        x: the first of `tensors`.
        live: the layer itself.
        entry: `dict`, the layer's entry in the config of the model.
        class_name: `str`, that of its class.
        path: `str`, the layer's path.
        output_shapes: list of the shapes of the outputs.
        memory: `"new"`, `"inplace"` or `"view"`; a rule may change it.
        moves: `bool`, whether the layer only moves or pools the values of each
            channel, as it infers; a rule may set it.
        alike: `bool`, as in `Tensor`, of the output; a rule may set it.
        file: `InFile`, to which a rule may add what the layer becomes in a
            .tflite file of integers, but for the layer's `activation`.
        rows: `int`, rows of the batch for each sample, as in `Tensor`.
        batch: `int`, the axis of the batch of the outputs.
    """

    def __init__(self, site, args, kwargs, output_shapes, records):
        self.path = site.path
        self.config = site.entry["config"]
        self.live = site.live
        self.args = args
        self.kwargs = kwargs
        self.tensors = [
            t
            for t in keras.tree.flatten((args, kwargs))
            if isinstance(t, tensor_lib.Tensor)
        ]
        self.output_shapes = output_shapes
        self.memory = "new"
        self.moves = False
        self.alike = False
        self.work = []
        self.file = in_file.InFile(self)
        self.rows = max((t.rows for t in self.tensors), default=1)
        self.batch = self.tensors[0].batch if self.tensors else 0
        self.entry = site.entry
        self._site = site
        self._keys = site.keys
        self._node = site.node
        self._records = records
        self._prefix = ""
        self._lead = 0
        self._sees_input = True

    def inside(
        self,
        key="layer",
        attribute=None,
        prefix="",
        *,
        sees_input=True,
        **changes,
    ):
        """Returns the call of a layer inside this one.

        Args:
            key: `str`, the config key that holds the inner layer, or a tuple
                of keys if it is in a list.
            attribute: `str`, the attribute that holds it, if different; a dot
                descends as in `bind`.
            prefix: `str`, prefix of its variables' names: `"layer."`.
            sees_input: `bool`, whether the inner layer's input is this one's;
                if not, what it reads has no `input_axis`.
            **changes: `args`, `kwargs` and `output_shapes`, if the inner
                layer's differ: tensors without the outer leading axes.

        Returns:
            `(entry, call)`: the inner layer's entry and a `Call` of it.
        """
        keys = key if isinstance(key, tuple) else (key,)
        entry = functools.reduce(operator.getitem, keys, self.config)
        names = (attribute or key).split(".")
        site = dataclasses.replace(
            self._site,
            keys=self._keys + ("config", *keys),
            entry=entry,
            live=functools.reduce(_part, names, self.live),
        )
        given = {"args": self.args, "kwargs": self.kwargs}
        given["output_shapes"] = self.output_shapes
        call = Call(site, records=self._records, **(given | changes))
        call.work = self.work
        call._prefix = self._prefix + prefix
        call._lead = self._lead + self.x.rank - call.x.rank
        call._sees_input = self._sees_input and sees_input
        return entry, call

    @property
    def is_masked(self):
        """Whether Keras gives the layer a mask that is none of `tensors`."""
        return self._site.is_masked

    @property
    def class_name(self):
        return self.entry["class_name"]

    @property
    def x(self):
        return self.tensors[0]

    def follow(self, rule):
        """Applies a rule, and completes what it tells of a file.

        Args:
            rule: function, as `rulebook.of` returns it.

        Returns:
            List of the label arrays of the outputs.
        """
        found = rule(self)
        labels = found if isinstance(found, list) else [found]
        self.file.complete(labels[0])
        return labels

    def made(self, labels):
        """The `Tensor` of the first output."""
        where = {"rows": self.rows, "batch": self.batch}
        return tensor_lib.Tensor(self.output_shapes[0], labels, **where)

    def argument(self, position, name, default=None):
        """Returns an op's argument, from its config, position or name."""
        if name in self.config:
            return self.config[name]
        if name in self.kwargs:
            return self.kwargs[name]
        return self.args[position] if position < len(self.args) else default

    def argument_keys(self, position, name):
        """Returns the position of that argument in the layer's entry."""
        if name in self.config:
            return ("config", name)
        if name in self.kwargs:
            return ("inbound_nodes", self._node, "kwargs", name)
        return ("inbound_nodes", self._node, "args", position)

    def channel_axis(self, x=None):
        """Returns the channel axis, by the layer's `data_format`."""
        first = self.config.get("data_format") == "channels_first"
        return 1 if first else (x or self.x).rank - 1

    def channels(self, axis, x=None):
        """Returns the labels along one axis, shape `(size,)`.

        Labels that also differ along another axis are tied there.
        """
        x = x or self.x
        axis %= x.rank
        labels = x.labels
        for other in x.varying:
            if other != axis:
                labels = self._records.store.tie(labels, other)
        labels = labels.reshape(-1)
        if labels.size == 1 and x.shape[axis] is not None:
            labels = np.repeat(labels, x.shape[axis])
        return labels

    def spread(self, labels, axis=None, k=0):
        """Spreads 1-D labels along `axis` of output `k`."""
        rank = len(self.output_shapes[k])
        axis = self.channel_axis() if axis is None else axis
        return tensor_lib.on_axis(labels, rank, axis % rank)

    def fresh(self, size, name="out"):
        """Returns `size` new channels, the same for each call of the layer."""
        owner = self.path if self.live is None else id(self.live)
        return self._records.fresh(size, (owner, name))

    def bind(self, attribute, axis, labels, role=CARRIES, **reading):
        """Records that channels pass through an axis of a variable.

        If the layer lacks the variable (`use_bias=False`), nothing happens.

        Args:
            attribute: `str`, the layer's attribute that holds the variable. A
                dot descends into an inner layer, `"cell.kernel"`, or a list,
                `"states.0"`; a name with a slash is the end of the variable's
                path.
            axis: `int`, the axis of the variable.
            labels: int array, one label per index of that axis.
            role: `"reads"`, `"writes"` or `"carries"`, as in `Binding`.
            **reading: `padded`, `input_axis`, `input` and `patches` of the
                `Binding`.
        """
        variable = self.variable(attribute)
        if variable is None:
            return
        axis %= len(variable.shape)
        self._bind_adapters(attribute, variable, axis, labels, role)
        if not self._sees_input and role == READS:
            reading = {"padded": True}
        if reading.get("input_axis") is not None:
            inner = self.x.rank
            reading["input_axis"] = self._lead + reading["input_axis"] % inner
        if variable.shape[axis] != labels.size:
            raise ValueError(
                "A rule must bind as many channels as the variable's axis "
                f"has. Received: layer={self.path!r}, variable="
                f"{attribute!r} of shape {tuple(variable.shape)}, axis={axis}, "
                f"{labels.size} channels. Fix the rule of "
                f"{type(self.live).__name__}."
            )
        self._records.bind(
            channel_graph.Binding(
                self.path,
                self._prefix + attribute,
                variable,
                axis,
                labels,
                role,
                **reading,
            )
        )

    def _bind_adapters(self, attribute, variable, axis, labels, role):
        """Binds LoRA's two matrices, whose product is added to a weight."""
        owner, _, name = attribute.rpartition(".")
        if not name or not self._has_lora(owner):
            return
        last = len(variable.shape) - 1
        adapter, at = ("b", 1) if axis == last else ("a", axis)
        path = f"{owner}.lora_{name}_{adapter}".lstrip(".")
        if self.variable(path) is not None:
            self.bind(path, at, labels, role)

    def _has_lora(self, owner=""):
        live = functools.reduce(
            _part, owner.split(".") if owner else (), self.live
        )
        return bool(getattr(live, "lora_enabled", False))

    def variable(self, attribute):
        """Returns the variable of that name, or `None`.

        With LoRA the attribute is a sum; the variable is only the weight. A
        name with slashes is the end of the variable's path.
        """
        if "/" in attribute:
            paths = {v.path: v for v in self.live.variables}
            found = (p for p in paths if p.endswith("/" + attribute))
            return paths.get(next(found, None))
        value = functools.reduce(_part, attribute.split("."), self.live)
        if value is None or isinstance(value, keras.Variable):
            return value
        owner, _, name = attribute.rpartition(".")
        live = functools.reduce(
            _part, owner.split(".") if owner else (), self.live
        )
        own = [v for v in live.variables if v.name == name]
        return own[0] if own else None

    def bound(self, attribute, axis):
        """Returns the labels that a rule has bound to an axis, or `None`."""
        variable = self.variable(attribute)
        return self._records.bound(variable, axis)

    def scale(self, attribute, labels, power):
        """Records that the layer divides by a power of the count of `labels`.

        Args:
            attribute: `str`, the variable that compensates for it.
            labels: int array.
            power: `float`, see `Factor`.
        """
        variable = self.variable(attribute)
        owner, _, name = attribute.rpartition(".")
        if name == "kernel" and self._has_lora(owner):
            self.scale(f"{owner}.lora_kernel_b", labels, power)
        if variable is not None:
            factor = channel_graph.Factor(variable, labels, power)
            self._records.factor(factor)

    def count(self, key, labels):
        """Records that `config[key]` is the number of these channels."""
        self.edit(("config", key), labels)

    def edit(self, keys, labels, axis=None, among=None):
        """Records that a value in the layer's entry follows these channels.

        Args:
            keys: tuple, where it stands in the entry.
            labels, axis, among: as an `Edit` has them.
        """
        self._records.edit(
            channel_graph.Edit(
                self._keys + keys, np.asarray(labels), axis, among
            ),
            self.path,
        )

    def gain(self, attribute):
        """Records that the whole output is multiplied by a variable.

        A bias and an activation may follow: if the variable is zero, the
        output is the same for every input.
        """
        variable = self.variable(attribute)
        if self._has_lora():
            return  # The product of the adapters adds to it.
        if variable is not None and not self._prefix:
            self._records.gains[self.path] = variable

    def multiply_adds(self, coefficient, *labels):
        """Adds `coefficient` times the product of the counts of `labels`."""
        self.work.append((int(coefficient), labels))

    def rearrange(self, target):
        """Records that the output has all elements of the input in a shape.

        Args:
            target: tuple, the shape with the batch axis, which is `batch`.
        """
        ends = (self.x.shape, self.x.batch), (target, self.batch)
        if any(shape.count(None) > 1 for shape, _ in ends):
            return
        before, after = (
            math.prod(n or 1 for axis, n in enumerate(shape) if axis != batch)
            for shape, batch in ends
        )
        if after and self.rows * before % after == 0:
            self.rows = self.rows * before // after

    def join(self, a, b):
        self._records.store.join(a, b)

    def tie(self, labels, axis):
        return self._records.store.tie(labels, axis)

    def freeze(self, labels, reason):
        """Freezes the channels of `labels`, so that they always stay."""
        self._records.store.freeze(labels, self.path, reason)

    def is_frozen(self, labels):
        """Returns whether all channels of `labels` are frozen by now."""
        known = [found for found, _, _ in self._records.store.frozen]
        return bool(np.isin(labels, np.concatenate([*known, [-1]])).all())

    def freeze_product(self, labels):
        """Freezes channels that are contracted with others in a product."""
        self.freeze_here(labels, "channels meet in a product")

    def freeze_here(self, labels, reason):
        """Freezes channels, unless an op before goes another of its ways."""
        self._records.met.append(labels)
        self.freeze(labels, reason)

    def way(self, count):
        """Which of `count` ways the op goes: by each, other channels can go."""
        return self._records.ways.get(self.path, 0) % count

    def choose(self, labels, count, unless="met"):
        """Records the channels that can go by that way.

        Args:
            labels: int array.
            count: `int`, as in `way`.
            unless: `str`, what makes the op go the second way: `"met"` if one
                of the channels is given to `freeze_here`, `"astray"` if it
                reaches an op that needs the batch on the first axis.
        """
        self._records.chosen.append((self.path, labels, count, unless))

    def avoid(self, *counts):
        """Records numbers of channels that must not all be left at once.

        Args:
            *counts: pairs of an int array of labels and how many of them.
        """
        self._records.clashes.append(counts)

    def mix(self, labels, reason):
        """Records that outputs depend on all channels along an axis.

        Returns:
            `bool`, whether removing them is allowed nevertheless; otherwise
            they are frozen.
        """
        if self._records.allow_inexact:
            self._records.inexact.append(self.path)
            self.drive(labels)
            return True
        self.freeze(labels, reason)
        return False

    def drive(self, labels):
        """Records that these channels depend on more than their writers."""
        self._records.driven.append(labels)

    def freeze_all(self, reason):
        """Freezes all channels of the inputs and outputs.

        Returns:
            The outputs' label arrays, with one channel each: frozen channels
            need not be told apart.
        """
        for tensor in self.tensors:
            self.freeze(tensor.labels, reason)
            if tensor.batch:
                self._records.astray.append(tensor.labels)
        outputs, self.batch = [], 0
        for k, shape in enumerate(self.output_shapes):
            labels = self.fresh(1, f"frozen{k}").reshape((1,) * len(shape))
            self.freeze(labels, reason)
            outputs.append(labels)
        return outputs

    def unknown(self, name):
        """Like `freeze_all`; also reports that `name` has no rule."""
        self._records.unknown[self.path] = name
        why = self._records.whole.get(id(self.live))
        return self.freeze_all(
            f"no rule for {name}" + (f", and {why}" if why else "")
        )


def _part(owner, name):
    """An attribute of an object, or an entry of a list, or `None`."""
    if name.isdigit():
        known = isinstance(owner, (list, tuple)) and int(name) < len(owner)
        return owner[int(name)] if known else None
    return getattr(owner, name, None)
