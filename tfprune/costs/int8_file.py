"""Predicts flash and RAM of a model's int8 file on a microcontroller.

Flash is the size of the array that `export_micro` writes, which is the .tflite
file without names and notes that no board reads: one byte per kernel weight;
per output channel of a kernel, a bias (4 bytes) and, for kernel and bias, a
scale (4) and a zero point (8); and the description of ops and tensors.

RAM is the tensor arena of TFLite Micro, see `file_arena`.

The constants were fitted to files of common networks. The remaining error, such
as equal biases that are stored once, hardly changes when channels are removed,
so a measured file corrects the next prediction; see `tfprune.fit_target`. The
relative error is larger for smaller networks.
"""

import math

from tfprune.core import cores
from tfprune.costs import file_arena
from tfprune.costs import file_ops
from tfprune.costs import file_plan
from tfprune.graph.lowering import file_op

# Bytes of the array beyond weights and scales: in total, for each op with the
# tensor that it makes, and for the tensors of a kernel and its bias.
_FILE, _MADE, _CONVOLUTION, _DENSE_LAYER = 410, 216, 138, 85
# The same of an op where the time steps of a ConvLSTM, or of another layer, are
# written out, and for each channel of its bias, as biases differ by step.
_IN_STEP_OF_MAPS, _RESHAPED, _IN_STEP, _STEP_BIAS = 195, 100, 176, 13
_IN_STEP_BY_KIND = {
    "ADD": 90,
    "FULLY_CONNECTED": 260,
    "LOGISTIC": 120,
    "MUL": 120,
    "QUANTIZE": 100,
    "SELECT_V2": 20,
    "SPLIT": 215,
    "STRIDED_SLICE": 310,
    "SUB": 290,
    "TANH": 30,
}
# A tensor of floats has no scale; one that is stored is described, too.
_FLOATS, _STORED = -100, 120
# A bias; two scales and two zero points.
_CHANNEL = 4 + 2 * (4 + 8)
# An LSTM in one op has a dozen weights, with a scale each, and two states: the
# bytes of their descriptions, and of four biases per unit.
_LSTM_TENSORS, _LSTM_BIASES = 1680, 4 * 4
# A table of a function, and what ops take more or less than most.
_TABLE = 220
_MORE = {
    "BATCH_MATMUL": -65,
    "MEAN": -90,
    "RSQRT": -70,
    "SPLIT": 50,
    "STRIDED_SLICE": 60,
    "TANH": -60,
    "TRANSPOSE": -115,
    "TRANSPOSE_CONV": 85,
    "UNPACK": 75,
}


class Int8File:
    """Predicts flash and RAM for a set of kept channels.

    Args:
        graph: a `ChannelGraph`.
        core: `str`, the core of the target; `None` means any Cortex-M.

    Attributes:
        buffers: list of `memory.Buffer`, the activations.
        running: list of `str`, the layer that each op belongs to; at first the
            inputs arrive.
        makers: `dict` from the `id` of a tensor to the layer that makes it.

    Example:

    >>> file = Int8File(tfprune.channel_graph(model))
    >>> file.flash_bytes(keep), file.ram_bytes(keep)
    """

    def __init__(self, graph, core=None):
        self._kernels_of_core = cores.variants("auto", core)
        found = file_ops.of(graph)
        self._plan = file_plan.plan(graph, found)
        self._ends = len(graph.inputs) + len(graph.outputs)
        self._kernels, added = [], _added_by_wrappers(graph)
        for variable in graph.model.weights:
            name = getattr(variable, "name", "")
            is_kernel = len(variable.shape) > 1 and name != "bias"
            if not is_kernel or id(variable) in added:
                continue
            axes = {b.axis: b.labels for b in graph.bound(variable)}
            fixed = [n for a, n in enumerate(variable.shape) if a not in axes]
            self._kernels.append((math.prod(fixed), tuple(axes.values())))
        self._ops = found.ops

    @property
    def buffers(self):
        return self._plan.buffers

    @property
    def running(self):
        return self._plan.running

    @property
    def makers(self):
        return self._plan.makers

    def flash_bytes(self, keep):
        """Bytes of the array, `int`."""
        weights = sum(
            fixed * math.prod(int(keep[a].sum()) for a in axes)
            for fixed, axes in self._kernels
        )
        described = sum(op.times * _described(op, keep) for op in self._ops)
        return weights + described + _FILE

    def ram_bytes(self, keep):
        """Bytes of the tensor arena, `int`."""
        return int(self.loads(keep).max())

    def loads(self, keep):
        """Bytes of arena up to the top of the live buffers at each op.

        Returns:
            Int array of the size of `running`, as `memory.Plan.loads`.
        """
        return file_arena.loads(
            *(self._ops, self._plan, keep),
            *(self._ends, self._kernels_of_core),
        )

    def buffer_bytes(self, buffer, keep):
        """Bytes of arena that a buffer takes, `int`."""
        return file_arena.bytes_of(buffer, keep)

    def scratch_bytes(self, keep):
        """Bytes that kernels hold at each op, a list as long as `running`."""
        kernels = self._kernels_of_core
        return [0, *file_arena.scratch_bytes(self._ops, keep, kernels)]


def _described(op, keep):
    """Bytes of the array that describe an op, its tensors and its channels."""
    if op.in_time == "maps":
        size = _RESHAPED if op.kind == "RESHAPE" else _IN_STEP_OF_MAPS
    elif op.in_time:
        size = _IN_STEP_BY_KIND.get(op.kind, _IN_STEP)
    else:
        size = _MADE + _MORE.get(op.kind, 0)
    for array in op.stored:
        size += _STORED + file_arena.tensor_bytes(array, keep)
    if file_op.dtype(op.output) == "float32":
        size += _FLOATS
    looked_up = isinstance(op.inputs[0], file_op.Made)
    if op.kind == "GATHER" and looked_up and op.inputs[0].dtype == "int32":
        size += _TABLE
    if op.kind == file_op.LSTM:
        return (
            size + _LSTM_TENSORS + _LSTM_BIASES * file_arena.channels(op, keep)
        )
    if op.kind not in file_op.WITH_KERNEL or op.again:
        return size
    if op.in_time:
        return size + _STEP_BIAS * file_arena.channels(op, keep)
    size += _DENSE_LAYER if op.kind == file_op.DENSE else _CONVOLUTION
    return size + _CHANNEL * file_arena.channels(op, keep)


def _added_by_wrappers(graph):
    """The ids of masks and thresholds, which are not part of the file."""
    added = set()
    for layer in graph.layers.values():
        inner = getattr(getattr(layer, "layer", None), "weights", None)
        if inner is not None:
            own = {id(v) for v in inner}
            added |= {id(v) for v in layer.weights if id(v) not in own}
    return added
