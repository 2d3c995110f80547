"""Latency on TFLite: measured, and predicted layer by layer.

Each layer that computes is measured alone, with a quarter and with all of its
input and output channels. In between, its latency is modeled as bilinear,

    t(c_in, c_out) = a + b c_in + c c_out + d c_in c_out,

like its reads, its writes and its multiply-adds. The rest of the model's
latency (joins, pooling, call overhead) is distributed over the bytes that all
other steps write. (Tables of measured layers as a cost model: Yang et al.,
"NetAdapt", 2018, https://arxiv.org/abs/1804.03230.)
"""

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib

import keras
import numpy as np

from tfprune.core import printed
from tfprune.core import progress_bar
from tfprune.core import records
from tfprune.core import tables
from tfprune.core import typed
from tfprune.core.files import atomic
from tfprune.core.files import damage
from tfprune.core.files import leftovers
from tfprune.costs import counting
from tfprune.costs import memory
from tfprune.export.convert import tflite
from tfprune.export.run import litert
from tfprune.graph import read
from tfprune.sparsity import wrapping

_WARMUP = 5
_SAMPLES = 8  # For calibrating single layers; latency does not need more.
_WIDTHS = ("filters", "units")


def measure(paths, runs=50):
    """Measures the median latency of .tflite files for one sample.

    Uses one thread, pinned to one core if the system allows it. The files run
    in alternation, so that a machine that slows down affects all of them;
    only compare figures of one call.

    Args:
        paths: list of `str` or path-like.
        runs: `int`, calls of each file.

    Returns:
        List of `float`, microseconds.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        RuntimeError: If TFLite cannot run a file.
        ValueError: If `runs` is not positive.

    Example:

    >>> dense, small = latency.measure(["model.tflite", "small.tflite"])
    >>> small / dense
    """
    if runs < 1:
        raise ValueError(f"`runs` must be positive. Received: runs={runs}.")
    with _one_core():
        times = litert.times(paths, _WARMUP + runs)
    return (1e6 * np.median(times[_WARMUP:], axis=0)).tolist()


@contextlib.contextmanager
def _one_core():
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclasses.dataclass(frozen=True)
class LatencyTable(printed.Printed):
    """Times of the layers of one model, in microseconds; see `latency_table`.

    Attributes:
        quantize: `str`, the kind of file that was measured.
        whole: `float`, the model itself.
        layers: `dict` from the path of a layer to `(a, b, c, d)`, the mean of
            its calls.
    """

    quantize: str
    whole: float
    layers: dict

    def predict(self, graph, keep=None):
        """Microseconds with only some channels, `float`.

        Args:
            graph: the `ChannelGraph` of the model.
            keep: bool array, shape `(graph.size,)`; `None` keeps all.
        """
        keep = np.ones(graph.size, bool) if keep is None else keep
        return self._predicted(graph, graph, keep)

    def of_pruned(self, graph, pruned):
        """The table of the model once it is pruned, a `LatencyTable`.

        Args:
            graph: the `ChannelGraph` of the model.
            pruned: that of the pruned one.
        """
        keep = np.ones(pruned.size, bool)
        whole = self._predicted(graph, pruned, keep)
        return dataclasses.replace(self, whole=whole)

    def _predicted(self, graph, pruned, keep):
        """Microseconds of the model, pruned, with only some channels."""
        dense = np.ones(graph.size, bool)
        rest = max(0.0, self.whole - sum(self._times(graph, dense)))
        written = max(self._written(graph, dense), 1)
        return sum(self._times(pruned, keep)) + rest * (
            self._written(pruned, keep) / written
        )

    def _times(self, graph, keep):
        for step in graph.steps:
            if step.layer in self.layers:
                a, b, c, d = self.layers[step.layer]
                n, m = _channels(step, keep)
                yield max(0.0, a + b * n + c * m + d * n * m)

    def _written(self, graph, keep):
        return sum(
            memory.tensor_bytes(tensor, keep)
            for step in graph.steps
            if step.layer not in self.layers
            for tensor in step.outputs
        )

    def tables(self):
        """A list of `tables.Table`: the file, and the fit of each layer."""
        rows = tuple(
            (name, *(f"{number:.4g}" for number in numbers))
            for name, numbers in self.layers.items()
        )
        return [
            tables.Table(
                ("layer", "fixed", "per input", "per output", "per both"),
                rows,
                title=f"{self.quantize}, {self.whole:,.1f} microseconds for "
                "the model; of a layer by the channels of its input and output",
            )
        ]

    def table(self, graph):
        """A `tables.Table` of the dense layers."""
        dense = np.ones(graph.size, bool)
        rows = [
            (step.layer, step.op, f"{t:,.1f}", f"{t / self.whole:.1%}")
            for step, t in zip(
                [s for s in graph.steps if s.layer in self.layers],
                self._times(graph, dense),
                strict=True,
            )
        ]
        return tables.Table(
            ("layer", "op", "microseconds", "of the model"), tuple(rows), left=2
        )

    def save(self, path):
        """Writes the table as JSON."""
        text = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        atomic.write({atomic.writable(path): text.encode()})

    @classmethod
    def load(cls, path):
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is damaged.
        """
        return damage.read_json(
            path, lambda found: records.checked(cls(**found))
        )


def latency_table(
    model: keras.Model,
    quantize: str = "float32",
    calibration: typed.Data = None,
    runs: int = 50,
    progress: bool = True,
) -> LatencyTable:
    """Measures the layers of a model on TFLite, for `Budget(latency=)`.

    Exports up to four files per kind of layer, which takes a few seconds each;
    identical layers are measured once.

    Args:
        model: a built `keras.Model` with inputs of known size, on the
            TensorFlow backend, or a model from `tfprune.wrap`, which is
            unwrapped first.
        quantize, calibration: as for `tfprune.export_tflite`.
        runs: `int`, calls of each file.
        progress: `bool`, whether a progress bar is shown.

    Returns:
        A `LatencyTable`.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        RuntimeError: If a file cannot be exported or run.
        ValueError: If an input of the model has an unknown size.

    Example:

    >>> table = tfprune.deploy.latency_table(model)
    >>> budget = tfprune.Budget(latency=0.5, latency_table=table)
    >>> small = tfprune.prune(model, budget)
    """
    model = wrapping.plain(model)
    graph = read.channel_graph(model)
    counting.check_sizes(graph)
    wanted: dict[str, list] = {}
    for step in graph.steps:
        layer = graph.layers[step.layer]
        if step.work and _is_measurable(layer, step):
            four = [
                _Case.of(layer, step, n, m)
                for n, m in _corners(layer, step, graph)
            ]
            wanted.setdefault(step.layer, []).append(four)
    fours = [four for calls in wanted.values() for four in calls]
    cases = list(dict.fromkeys(case for four in fours for case in four))
    with leftovers.folder() as folder:
        folder = pathlib.Path(folder)
        paths = [folder / f"{i}.tflite" for i in range(len(cases))]
        whole = folder / "model.tflite"
        tflite.export_tflite(model, whole, quantize, calibration)
        with progress_bar.bar(progress) as bar:
            task = bar.add_task("layers", total=len(cases))
            for case, path in zip(cases, paths, strict=True):
                case.export(path, quantize, calibration is not None)
                bar.update(task, advance=1)
        times = measure([whole, *paths], runs)
    known = dict(zip(cases, times[1:], strict=True))
    return LatencyTable(
        "float32" if quantize is None else quantize,
        times[0],
        {
            path: _mean_of_calls(
                _bilinear(four, [known[case] for case in four])
                for four in calls
            )
            for path, calls in wanted.items()
        },
    )


def _is_measurable(layer, step):
    config = layer.get_config()
    return (
        len(step.inputs) == len(step.outputs) == 1
        and config.get("data_format", "channels_last") == "channels_last"
        and config.get("groups", 1) == 1
        and (any(w in config for w in _WIDTHS) or "depth_multiplier" in config)
    )


def _channels(step, keep):
    """Channels that a step reads and writes."""
    return tuple(
        memory.kept_shape(tensor, keep)[-1]
        for tensor in (step.inputs[0], step.outputs[0])
    )


def _corners(layer, step, graph):
    """Channels read and written: all, and few where some can go."""
    dense = _channels(step, np.ones(graph.size, bool))
    least = _channels(step, ~graph.removable)
    few = [
        many if many == fixed else max(1, many // 4)
        for many, fixed in zip(dense, least, strict=True)
    ]
    if not any(width in layer.get_config() for width in _WIDTHS):
        ratio = dense[1] // dense[0]  # A depthwise layer writes what it reads.
        return sorted({(few[0], few[0] * ratio), dense})
    return sorted(itertools.product({few[0], dense[0]}, {few[1], dense[1]}))


def _mean_of_calls(found):
    """`(a, b, c, d)` of a layer, whose calls may be on maps of other sizes."""
    return tuple(np.mean(list(found), axis=0))


def _bilinear(cases, times):
    """`(a, b, c, d)` through one, two or four points."""
    points = np.array([(case.reads, case.writes) for case in cases], float)
    n, m = points.T
    terms = np.stack([np.ones_like(n), n, m, n * m], 1)
    if len(cases) == 2 and np.ptp(n):
        terms[:, 2:] = 0  # Both sides go together: a straight line.
    # A side that cannot change is one with the constant; any split will do.
    return tuple(np.linalg.lstsq(terms, np.array(times), rcond=None)[0])


@dataclasses.dataclass(frozen=True)
class _Case:
    """A layer with so many channels; cases that are alike are equal.

    `rows` is of its batch, for one sample.
    """

    kind: type
    config: str
    rows: int
    shape: tuple
    reads: int
    writes: int
    layer_config: dict = dataclasses.field(compare=False, repr=False)

    @classmethod
    def of(cls, layer, step, reads, writes):
        config = layer.get_config()
        for width in _WIDTHS:
            if width in config:
                config[width] = writes
        config.pop("name")
        text = json.dumps(config, sort_keys=True, default=repr)
        x = step.inputs[0]
        shape = (*x.shape[1:-1], reads)
        return cls(type(layer), text, x.rows, shape, reads, writes, config)

    def export(self, path, quantize, calibrated):
        shape = self.shape if self.rows == 1 else (self.rows, *self.shape)
        x = inputs = keras.Input(shape)
        if self.rows > 1:
            x = keras.ops.reshape(x, (-1, *self.shape))
        layer = self.kind.from_config(self.layer_config)
        samples = None
        if calibrated:
            rng = np.random.default_rng(0)
            samples = rng.normal(size=(_SAMPLES, *shape)).astype("float32")
        model = keras.Model(inputs, layer(x))
        tflite.export_tflite(model, path, quantize, samples)
