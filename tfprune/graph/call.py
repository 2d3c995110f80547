"""What a rule sees of one call of a layer, and what it may say about it."""

import dataclasses
import functools

import keras
import numpy as np

from tfprune.graph import channel_graph
from tfprune.graph import tensor as tensor_lib

READS = channel_graph.READS
WRITES = channel_graph.WRITES
CARRIES = channel_graph.CARRIES


class Call:
    """One call of a layer or op, handed to its rule.

    Attributes:
        config: `dict`, the layer's config.
        args, kwargs: the call's arguments, with a `Tensor` for each tensor
            and a `Constant` for each array that the config holds.
        tensors: list of the `Tensor`s among them.
        x: the first of them.
        live: the layer itself.
        path: `str`, the layer's path.
        output_shapes: list of the shapes of the outputs.
        memory: `"new"`, `"inplace"` or `"view"`; a rule may change it.
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
        self.work = []
        self._site = site
        self._keys = site.keys
        self._node = site.node
        self._records = records
        self._prefix = ""
        self._lead = 0

    def inside(self, key="layer", attribute=None, prefix="", **changes):
        """The call as a layer inside this one sees it.

        Args:
            key: `str`, the config key that holds the inner layer.
            attribute: `str`, the attribute that does, if it is another one.
            prefix: `str`, what its variables are called by, before their own
                names: `"layer."`.
            **changes: `args`, `kwargs` and `output_shapes`, where the inner
                layer has others: tensors without axes that come first here.

        Returns:
            `(entry, call)`: the inner layer's entry and a `Call` of it.
        """
        entry = self.config[key]
        site = dataclasses.replace(
            self._site,
            keys=self._keys + ("config", key),
            entry=entry,
            live=getattr(self.live, attribute or key),
        )
        given = {"args": self.args, "kwargs": self.kwargs}
        given["output_shapes"] = self.output_shapes
        call = Call(site, records=self._records, **(given | changes))
        call.work = self.work
        call._prefix = self._prefix + prefix
        call._lead = self._lead + self.x.rank - call.x.rank
        return entry, call

    @property
    def x(self):
        return self.tensors[0]

    def argument(self, position, name, default=None):
        """An argument of an op: in its config, by position, or by name."""
        if name in self.config:
            return self.config[name]
        if name in self.kwargs:
            return self.kwargs[name]
        return self.args[position] if position < len(self.args) else default

    def argument_keys(self, position, name):
        """Where that argument stands in the layer's entry."""
        if name in self.config:
            return ("config", name)
        if name in self.kwargs:
            return ("inbound_nodes", self._node, "kwargs", name)
        return ("inbound_nodes", self._node, "args", position)

    def channel_axis(self, x=None):
        """The channel axis by the layer's `data_format`."""
        first = self.config.get("data_format") == "channels_first"
        return 1 if first else (x or self.x).rank - 1

    def channels(self, axis, x=None):
        """The labels along one axis, shape `(size,)`.

        Channels that differ along another axis too are tied there.
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
        """1-D labels as those of output `k`, along `axis`."""
        rank = len(self.output_shapes[k])
        axis = self.channel_axis() if axis is None else axis
        return tensor_lib.on_axis(labels, rank, axis % rank)

    def fresh(self, size, name="out"):
        """`size` new channels; a second call of the layer gets them again."""
        owner = self.path if self.live is None else id(self.live)
        return self._records.fresh(size, (owner, name))

    def bind(self, attribute, axis, labels, role=CARRIES, **reading):
        """Says that channels pass through an axis of a variable.

        A layer without that variable (`use_bias=False`) is passed over.

        Args:
            attribute: `str`, the layer's attribute that holds the variable; a
                dot leads into a layer that it is made of: `"cell.kernel"`, or
                into a list: `"states.0"`;
                with a slash, the end of the variable's path.
            axis: `int`, the axis of the variable.
            labels: int array, one label for each index of that axis.
            role: `"reads"`, `"writes"` or `"carries"`, as in `Binding`.
            **reading: `padded`, `input_axis`, `input` and `patches` of the
                `Binding`.
        """
        variable = self.variable(attribute)
        if variable is None:
            return
        axis %= len(variable.shape)
        self._bind_adapters(attribute, variable, axis, labels, role)
        if reading.get("input_axis") is not None:
            inner = self.x.rank
            reading["input_axis"] = self._lead + reading["input_axis"] % inner
        if variable.shape[axis] != labels.size:
            raise ValueError(
                "A rule must bind as many channels as the variable's axis "
                f"has. Received: layer={self.path!r}, variable="
                f"{attribute!r} of shape {tuple(variable.shape)}, axis={axis}, "
                f"{labels.size} channels. Mend the rule of "
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
        """The two matrices of LoRA, whose product is added to a weight."""
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
        """The variable of that name, or `None`.

        With LoRA the attribute is a sum; the variable is the weight alone.

        A name with slashes is the end of the variable's path.
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
        """The labels that a rule has bound to an axis, or `None`."""
        variable = self.variable(attribute)
        return self._records.bound(variable, axis)

    def scale(self, attribute, labels, power):
        """Says that the layer divides by a power of the count of `labels`.

        Args:
            attribute: `str`, the variable that makes up for it.
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
        """Says that `config[key]` is the number of these channels."""
        self.edit(("config", key), labels)

    def edit(self, keys, labels, axis=None):
        """Says that a place in the layer's entry follows these channels."""
        self._records.edit(
            channel_graph.Edit(self._keys + keys, np.asarray(labels), axis),
            self.path,
        )

    def gain(self, attribute):
        """Says that all of the output is multiplied with a variable.

        A bias and an activation may come after: where the variable is zero,
        the output is the same for every input.
        """
        variable = self.variable(attribute)
        if self._has_lora():
            return  # The product of the adapters adds to it.
        if variable is not None and not self._prefix:
            self._records.gains[self.path] = variable

    def multiply_adds(self, coefficient, *labels):
        """Adds `coefficient` times the product of the counts of `labels`."""
        self.work.append((int(coefficient), labels))

    def join(self, a, b):
        self._records.store.join(a, b)

    def tie(self, labels, axis):
        return self._records.store.tie(labels, axis)

    def freeze(self, labels, reason):
        """Keeps the channels of `labels`."""
        self._records.store.freeze(labels, self.path, reason)

    def freeze_product(self, labels):
        """Keeps channels that meet their twins in a product."""
        self._records.met.append(labels)
        self.freeze(labels, "channels meet in a product")

    @property
    def loses_rows(self):
        """Whether a reshape's rows are removable, else its columns are."""
        return self.path in self._records.rows

    def split(self, labels):
        """Notes that a reshape makes rows and columns of channels."""
        self._records.splits.append((labels, self.path))

    def mix(self, labels, reason):
        """Says that outputs depend on all channels along an axis together.

        Returns:
            Whether their removal is allowed all the same; else they are kept.
        """
        if self._records.allow_inexact:
            self._records.inexact.append(self.path)
            self.drive(labels)
            return True
        self.freeze(labels, reason)
        return False

    def drive(self, labels):
        """Says that these channels depend on more than what writes them."""
        self._records.driven.append(labels)

    def freeze_all(self, reason):
        """Keeps all channels of the inputs; the outputs get frozen ones.

        Returns:
            The outputs' label arrays: one channel each, for none of them
            differs from its neighbour.
        """
        for tensor in self.tensors:
            self.freeze(tensor.labels, reason)
        outputs = []
        for k, shape in enumerate(self.output_shapes):
            labels = self.fresh(1, f"frozen{k}").reshape((1,) * len(shape))
            self.freeze(labels, reason)
            outputs.append(labels)
        return outputs

    def unknown(self, name):
        """As `freeze_all`, and reports that `name` has no rule."""
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
