"""Costs of a model, with all or only some of its channels.

Costs are integer arithmetic on the number of channels that each axis keeps, so
they are exact and cheap enough for searches that need thousands of them. (Flash
and RAM of the int8 file are predictions; see `int8_file`.) One multiply-add is
one MAC; normalization, activation and pooling count as none (the convention of
Li et al. 2016 and of most papers on CIFAR).
"""

import dataclasses
import functools
import math

import keras
import numpy as np

from tfprune.core import printed
from tfprune.core import typed
from tfprune.costs import code_size
from tfprune.costs import file_ops
from tfprune.costs import int8_file
from tfprune.costs import memory
from tfprune.graph import channel_graph
from tfprune.graph import read
from tfprune.graph import values


@dataclasses.dataclass(frozen=True)
class Cost(printed.Printed):
    """The costs of a model for one sample.

    Attributes:
        params: number of weights, as in `model.count_params()`.
        macs: multiply-adds.
        channels: kept channels, among those that can be removed.
        weight_bytes: bytes of the weights in their dtypes.
        peak_bytes: peak activation memory in bytes.
        flash_bytes: the int8 model as an array in flash, predicted.
        ram_bytes: tensor arena in which that model starts on TFLite Micro, with
            the kernels of any Cortex-M, predicted.
        image_bytes: that array and the code that runs it, predicted for
            CMSIS-NN on a Cortex-M4.
    """

    params: int
    macs: int
    channels: int
    weight_bytes: int
    peak_bytes: int
    flash_bytes: int
    ram_bytes: int
    image_bytes: int


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """The costs of one layer.

    Attributes:
        layer: `str`, path of the layer.
        op: `str`, its class name.
        output_shape: tuple without the batch axis.
        params: weights of the layer.
        macs: multiply-adds of all its calls.
        output_bytes: bytes of its largest output.
    """

    layer: str
    op: str
    output_shape: tuple[int | None, ...]
    params: int
    macs: int
    output_bytes: int


class Meter:
    """Measures costs on a channel graph.

    Args:
        graph: a `ChannelGraph`.
        latency_table: result of `tfprune.deploy.latency_table`, for
            `latency`, or a `core_table.CoreTable`.
        core: `str`, the core whose kernels `ram_bytes` is for, as
            `core.cores.get` returns it; `None` means any Cortex-M.

    Example:

    >>> meter = Meter(tfprune.channel_graph(model))
    >>> meter.cost().macs
    40551040
    >>> meter.cost(keep).params == tfprune.strip(masked).count_params()
    True
    """

    def __init__(self, graph, latency_table=None, core=None):
        channel_graph.check(graph)
        self.graph = graph
        self._latency_table = latency_table
        self._core = core
        self._weights = _weights(graph)

    @functools.cached_property
    def _plan(self):
        return memory.plan(self.graph)

    @functools.cached_property
    def _file(self):
        return int8_file.Int8File(self.graph, self._core)

    def cost(self, keep=None):
        """Returns the `Cost` with only some channels.

        Args:
            keep: bool array, shape `(graph.size,)`; `None` keeps all.
        """
        keep = self._full(keep)
        params = weight_bytes = 0
        for weight in self._weights:
            size = weight.size(keep)
            params += size
            weight_bytes += size * weight.itemsize
        return Cost(
            params=params,
            macs=self.macs(keep),
            channels=int((keep & self.graph.removable).sum()),
            weight_bytes=weight_bytes,
            peak_bytes=self._plan.peak_bytes(keep),
            flash_bytes=self._file.flash_bytes(keep),
            ram_bytes=self._file.ram_bytes(keep),
            image_bytes=self.image_bytes(keep),
        )

    def macs(self, keep=None):
        """Multiply-adds, `int`."""
        keep = self._full(keep)
        return sum(memory.work(step.work, keep) for step in self.graph.steps)

    def params(self, keep=None):
        """Weights, `int`."""
        keep = self._full(keep)
        return sum(weight.size(keep) for weight in self._weights)

    def channels(self, keep=None):
        """Kept channels among those that can be removed, `int`."""
        return int((self._full(keep) & self.graph.removable).sum())

    def peak_bytes(self, keep=None):
        """Peak bytes of activations, `int`."""
        return self._plan.peak_bytes(self._full(keep))

    def flash_bytes(self, keep=None):
        """Predicted bytes of the int8 model in flash, `int`."""
        return self._file.flash_bytes(self._full(keep))

    def ram_bytes(self, keep=None):
        """Predicted bytes of its tensor arena, `int`."""
        return self._file.ram_bytes(self._full(keep))

    def image_bytes(self, keep=None):
        """Predicted bytes of that array and the code that runs it, `int`.

        The code is that of CMSIS-NN on a Cortex-M4; see `code_size`.
        """
        keep = self._full(keep)
        return self._file.flash_bytes(keep) + self._code.bytes

    @functools.cached_property
    def _code(self):
        return code_size.of(file_ops.of(self.graph).kinds)

    def latency(self, keep=None):
        """Predicted microseconds on TFLite, or instructions on a core."""
        return self._latency_table.predict(self.graph, self._full(keep))

    def over_time(self, quantity):
        """Returns the step-by-step usage of a quantity that has a peak.

        Args:
            quantity: `"peak_bytes"` or `"ram_bytes"`.

        Returns:
            A `memory.Plan` or an `int8_file.Int8File`; both have `loads` and
            `buffers`.
        """
        return {"peak_bytes": self._plan, "ram_bytes": self._file}[quantity]

    def by_layer(self, keep=None):
        """List of `LayerCost`, in the order of execution."""
        keep = self._full(keep)
        rows, params = {}, {}
        for weight in self._weights:
            owner = weight.layer
            params[owner] = params.get(owner, 0) + weight.size(keep)
        for step in self.graph.steps:
            output = step.outputs[0]
            size = max(memory.tensor_bytes(t, keep) for t in step.outputs)
            before = rows.get(step.layer)
            rows[step.layer] = LayerCost(
                layer=step.layer,
                op=step.op,
                output_shape=memory.shape(output, keep),
                params=params.get(step.layer, 0),
                macs=memory.work(step.work, keep)
                + (before.macs if before else 0),
                output_bytes=max(size, before.output_bytes if before else 0),
            )
        return list(rows.values())

    def _full(self, keep):
        if keep is None:
            return np.ones(self.graph.size, bool)
        keep = np.asarray(keep)
        if keep.shape != (self.graph.size,) or keep.dtype != bool:
            raise ValueError(
                "`keep` must hold one boolean per channel of the graph, "
                f"shape {(self.graph.size,)}. Received: keep of shape "
                f"{keep.shape} and dtype {keep.dtype}."
            )
        return keep


def cost(
    model: keras.Model,
    keep: np.ndarray | None = None,
    input_shape: typed.Shapes | None = None,
) -> Cost:
    """Computes what a model costs for one sample.

    Args:
        model: a built `keras.Model`.
        keep: bool array with one entry per channel of
            `tfprune.channel_graph(model)`; `None` keeps all.
        input_shape: as for `tfprune.channel_graph`.

    Returns:
        A `Cost`.

    Raises:
        TypeError, ValueError: as `tfprune.channel_graph`, and if `keep` has
            the wrong shape; `ValueError` also if a weight is NaN or infinite.
    """
    values.check_model(model)
    values.check_finite(model)
    return Meter(read.channel_graph(model, input_shape)).cost(keep)


def check_sizes(graph):
    """Raises a `ValueError` if an input or a tensor has an unknown size."""
    shapes = [x.shape[1:] for x in graph.inputs]
    if any(None in shape for shape in shapes):
        raise ValueError(
            "Costs need inputs of known size. Received: "
            f"model={graph.model.name!r} with inputs of shape {shapes}, "
            "without the batch axis. Pass input_shape=... with all sizes."
        )
    # The batch may have been moved to another axis.
    batch = int(any(x.shape[0] is None for x in graph.inputs))
    for step in graph.steps:
        for shape in (x.shape for x in step.outputs):
            if shape.count(None) > batch:
                raise ValueError(
                    "Costs need tensors of known size. Received: "
                    f"model={graph.model.name!r}, whose {step.op} "
                    f"{step.layer!r} makes a tensor of shape {shape}. Give it "
                    "the sizes, or a compute_output_shape that does."
                )


@dataclasses.dataclass(frozen=True, eq=False)
class _Weight:
    """A weight tensor: fixed sizes, and the labels of the other axes."""

    layer: str
    fixed: int
    axes: tuple
    itemsize: int

    def size(self, keep):
        return self.fixed * math.prod(int(keep[a].sum()) for a in self.axes)


def _weights(graph):
    owners = {id(b.variable): b.layer for b in graph.bindings}
    owners |= {
        id(v): path
        for path, layer in graph.layers.items()
        for v in getattr(layer, "weights", ())
        if id(v) not in owners
    }
    weights = []
    for variable in graph.model.weights:
        bound = {b.axis: b.labels for b in graph.bound(variable)}
        fixed = [n for a, n in enumerate(variable.shape) if a not in bound]
        weights.append(
            _Weight(
                owners.get(id(variable), ""),
                math.prod(fixed),
                tuple(bound.values()),
                memory.itemsize(str(variable.dtype)),
            )
        )
    return weights
