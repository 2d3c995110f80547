"""The ops that a graph becomes in an int8 file, and how large they are."""

import collections
import dataclasses
import itertools
import math

from tfprune.costs import file_ops
from tfprune.costs import layer_ops
from tfprune.costs import memory

# Activations that kernels have.
FUSED = {"linear", "relu", "relu6"}
_LSTM, _DENSE = "UNIDIRECTIONAL_SEQUENCE_LSTM", "FULLY_CONNECTED"
_CONV, _GATES = "CONV_2D", 4
_REDUCTIONS = {"MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"}
_PAIRWISE = {"ADD", "MAXIMUM", "MINIMUM", "MUL", "SUB"}


@dataclasses.dataclass(frozen=True)
class OpSize:
    """How large an op is.

    Attributes:
        kind: `str`, as the schema of TFLite names it ("CONV_2D").
        places: `int`, rows and columns of the output, multiplied; the steps
            of an LSTM.
        window: `int`, rows and columns of the kernel or pool, multiplied.
        reads, writes: `int`, channels; `reads` are those of a group.
        stride: `int`, that of rows and columns, multiplied.
        broadcast: `bool`, whether it joins tensors of different shapes, which
            kernels do value by value.
        groups: `int`, into which a convolution splits channels.
        way: `str`, what else decides on the loops of a kernel: "row" for a
            convolution of a single row, "gaps" for a depthwise one with gaps
            in its window, "outer" for a concatenation along another axis than
            the last, "FLOAT32" or "INT32" for ops that read such numbers.
        columns: `int`, those of the window of a CONV_2D.
    """

    kind: str
    places: int
    window: int
    reads: int
    writes: int
    stride: int = 1
    broadcast: bool = False
    groups: int = 1
    way: str = ""
    columns: int = 1


def is_broadcast(kind, shapes):
    """Whether an op of a kind broadcasts inputs of these shapes.

    Args:
        kind: `str`, as the schema of TFLite names it.
        shapes: iterable of sequences of `int`.
    """
    # Leading axes of size 1 make no difference to kernels.
    shapes = {
        tuple(itertools.dropwhile(lambda size: size == 1, shape))
        for shape in shapes
    }
    return kind in _PAIRWISE and len(shapes) > 1


def way(kind, axis, rank):
    """What decides on the loops of a kernel without a window, besides sizes.

    Args:
        kind: `str`, as the schema of TFLite names it.
        axis: `int`, along which a concatenation joins tensors.
        rank: `int`, how many axes these have.

    Returns:
        `str`, as `OpSize.way` has it.
    """
    last = kind != "CONCATENATION" or axis in (-1, rank - 1)
    return "" if last else "outer"


def sizes(graph, keep):
    """The ops with only some channels.

    Normalizations that follow a kernel are part of it, and so are activations
    that kernels have. A recurrent layer is an op for all steps, or those of
    each step.

    Args:
        graph: a `ChannelGraph` with inputs of known size.
        keep: bool array, shape `(graph.size,)`.

    Returns:
        List of `OpSize`.
    """
    made_by = {id(t): s for s in graph.steps for t in s.outputs}
    found = []
    for step in graph.steps:
        layer = graph.layers[step.layer]
        layer = getattr(layer, "layer", layer)  # of a wrapper
        found += of_step(step, layer, keep, made_by)
        if not (step.work and step.file_ops):  # Those of each step in time.
            own = activation_ops(layer)
            found += _composed(own, _sizes(step.outputs[0], keep))
    return found


def _composed(names, sizes):
    places = math.prod(sizes[:-1])
    return [OpSize(**x) for x in layer_ops.parts(names, places, sizes[-1])]


def of_step(step, layer, keep, made_by):
    """The ops of one step, but for its activation.

    Args:
        step: a `Step` of the graph.
        layer: its layer, the inner one of a wrapper.
        keep: as for `sizes`.
        made_by: `dict` from the `id` of a tensor to the step that made it.

    Returns:
        List of `OpSize`.
    """
    config = getattr(layer, "get_config", dict)()
    reads = _sizes(step.inputs[0], keep)
    writes = _sizes(step.outputs[0], keep)
    places = math.prod(writes[:-1])
    found = []
    if step.work:
        found = _kernels(step, config, keep, reads, writes, places)
        name = activation(layer)
        if found[-1].kind == "TRANSPOSE_CONV" and name in ("relu", "relu6"):
            found += _composed((name.upper(),), writes)
    kinds = () if step.work else file_ops.plain_ops(step, made_by)
    if not step.work and not step.file_ops:
        rank = len(step.outputs[0].shape)
        known = layer_ops.of_layer(layer, rank) or layer_ops.alone(layer)
        if known:
            return _composed(known, writes)
    axis = config.get("axis", -1)
    for number, kind in enumerate(kinds):
        window = _area(config.get("pool_size"), len(reads) - 1)
        strides = config.get("strides") or config.get("pool_size")
        stride = _area(strides, len(reads) - 1)
        if kind in _REDUCTIONS:
            window = max(1, math.prod(reads) // max(1, math.prod(writes)))
            stride = 1
        shapes = [_sizes(tensor, keep) for tensor in step.inputs]
        if step.file_ops and number >= len(shapes) - 1:
            shapes = [writes, ()]  # All inputs are joined: with a constant.
        found.append(
            OpSize(
                *(kind, places, window, reads[-1], writes[-1], stride),
                is_broadcast(kind, shapes),
                way=way(kind, axis, len(step.inputs[0].shape)),
            )
        )
    return found


def _area(sizes, rank):
    """The product of sizes, of which one number may tell all."""
    return 1 if sizes is None else math.prod(_each(sizes, rank))


def _each(sizes, rank):
    """Sizes, of which one number may tell all, a tuple."""
    return (sizes,) * rank if isinstance(sizes, int) else tuple(sizes)


def _sizes(tensor, keep):
    """Sizes without the batch axis; unknown ones count as 1.

    Rows that an op has put into the batch count as rows of the map.
    """
    sizes = [n or 1 for n in memory.kept_shape(tensor, keep)[1:]] or [1]
    if tensor.rows == 1:
        return sizes
    if len(sizes) == 1:
        return [tensor.rows, *sizes]
    return [tensor.rows * sizes[0], *sizes[1:]]


def _kernels(step, config, keep, reads, writes, places):
    kernel = config.get("kernel_size")
    if _LSTM in step.file_ops:
        return _fused(step, reads, writes)
    if _DENSE in step.file_ops:
        return _written_out(step, keep, writes)
    if _CONV in step.file_ops:
        if kernel is None:  # One layer for both directions.
            kernel = config["layer"]["config"]["kernel_size"]
        return _convolved_steps(step, keep, reads, writes, kernel)
    if "num_heads" in config or "num_query_heads" in config:
        return _attention(step, keep, reads)
    if kernel is None and "units" in config and len(step.work) == 1:
        dense = OpSize("FULLY_CONNECTED", places, 1, reads[-1], writes[-1])
        if places * reads[-1] * writes[-1] == _work(step, keep):
            return [dense]
    if kernel is None:
        return _products(step, config, keep, reads, writes)
    rank = len(reads) - 1
    kernel = _each(kernel, rank)
    window, stride = math.prod(kernel), _area(config.get("strides"), rank)
    if "depth_multiplier" not in config:
        kind = "TRANSPOSE_CONV" if "output_padding" in config else "CONV_2D"
        groups = config.get("groups", 1)
        # With strides, a sequence becomes a column.
        row = kind == "CONV_2D" and len(kernel) == stride == 1
        wide = kind == "CONV_2D" and (row or len(kernel) > 1)
        columns = kernel[-1] if wide else 1
        return [
            OpSize(
                *(kind, places, window, reads[-1] // groups, writes[-1]),
                stride=stride,
                groups=groups,
                way="row" if row else "",
                columns=columns,
            )
        ]
    middle = reads[-1] * config["depth_multiplier"]
    gaps = max(_each(config.get("dilation_rate", 1), rank), default=1) > 1
    found = [
        OpSize(
            *("DEPTHWISE_CONV_2D", places, window, reads[-1], middle, stride),
            way="gaps" if gaps else "",
        )
    ]
    if "filters" in config:
        found.append(OpSize("CONV_2D", places, 1, middle, writes[-1]))
    return found


def _products(step, config, keep, reads, writes):
    """The ops of a layer that is a product of matrices, or several."""
    several = len(step.inputs) > 1
    if several and "use_scale" in config and "score_mode" not in config:
        return _additive(config, reads, _sizes(step.inputs[1], keep))
    if several and config.get("score_mode") == "dot":  # Without projections.
        values = _sizes(step.inputs[1], keep)
        rows, seen = math.prod(reads[:-1]), values[-2]
        return [
            OpSize("BATCH_MATMUL", rows, 1, reads[-1], seen),
            *_composed(("SOFTMAX",), (rows, seen)),
            OpSize("BATCH_MATMUL", rows, 1, seen, values[-1]),
        ]
    work, count = _work(step, keep), max(1, math.prod(writes))
    columns = math.prod(writes[len(writes) - _made_last(config) :])
    if work % count or not columns:
        return [OpSize("FULLY_CONNECTED", 1, 1, work, 1)]
    kind = "BATCH_MATMUL" if several else "FULLY_CONNECTED"
    return [OpSize(kind, count // columns, 1, work // count, columns)]


def _additive(config, reads, values):
    """The ops of an AdditiveAttention; most have a value for each pair."""
    rows, seen = math.prod(reads[:-1]), values[-2]
    sizes = rows * seen, 1, reads[-1], reads[-1]
    kinds = ("ADD", "TANH", "MUL") if config["use_scale"] else ("ADD", "TANH")
    return [
        *(OpSize(kind, *sizes, broadcast=kind != "TANH") for kind in kinds),
        OpSize("SUM", rows * seen, reads[-1], reads[-1], 1),
        *_composed(("SOFTMAX",), (rows, seen)),
        OpSize("BATCH_MATMUL", rows, 1, seen, values[-1]),
    ]


def _made_last(config):
    """How many of the last axes are columns that a layer makes."""
    given, _, rest = config.get("equation", "").partition(",")
    kernel, _, made = rest.partition("->")
    new = set(kernel) - set(given)
    found = itertools.takewhile(lambda letter: letter in new, reversed(made))
    return max(1, len(list(found)))


def _fused(step, reads, writes):
    """The ops of a layer whose steps are one op; both directions' channels."""
    steps, found = reads[0], []
    for kind in step.file_ops:
        units = _units(step, writes) if kind == _LSTM else writes[-1]
        found.append(OpSize(kind, steps, 1, reads[-1], units))
    return found


def _units(step, writes):
    """Those of a recurrent layer; of one direction, where both are joined."""
    both = "CONCATENATION" in step.file_ops
    return max(1, writes[-1] // 2) if both else writes[-1]


def _written_out(step, keep, writes):
    """The ops of a layer whose time steps are ops of their own."""
    found, units = [], _units(step, writes)
    for count, axes in step.work:
        first, *others = _counts(axes, keep)
        found += count * [OpSize(_DENSE, 1, 1, first, math.prod(others))]
    for kind, count in collections.Counter(step.file_ops).items():
        if kind != _DENSE:
            found += count * [OpSize(kind, 1, 1, units, units)]
    return found


def _convolved_steps(step, keep, reads, writes, kernel):
    """The ops of a ConvLSTM, whose time steps are ops of their own."""
    found, units = [], _units(step, writes)
    map_axes = 1 + len(kernel)
    places = math.prod(writes[-map_axes:-1])
    steps = math.prod(reads[:-map_axes])
    for _, axes in step.work:
        channels, _ = _counts(axes, keep)
        size = OpSize(
            *(_CONV, places, math.prod(kernel), channels, units),
            way="row" if len(kernel) == 1 else "",
            columns=kernel[-1],
        )
        found += _GATES * steps * [size]
    for kind, count in collections.Counter(step.file_ops).items():
        if kind != _CONV:
            found += count * [OpSize(kind, places, 1, units, units)]
    return found


def _attention(step, keep, reads):
    """Projections, products of heads, and what lies between them."""
    steps, found = reads[0], []
    for count, axes in step.work:
        counts = _counts(axes, keep)
        scored = any(size.kind == "BATCH_MATMUL" for size in found)
        if len(counts) != 2:  # (reads, heads, width); (heads, width, writes)
            cut = -1 if scored else 1
            sides = math.prod(counts[:cut]), math.prod(counts[cut:])
            found.append(OpSize(_DENSE, count, 1, *sides))
            continue
        heads, width = counts
        seen = max(1, count // steps)
        places = steps * heads
        if not scored:
            found.append(OpSize("BATCH_MATMUL", places, 1, width, seen))
            found += _composed(layer_ops.HEADS, (places, seen))
            row = OpSize("TRANSPOSE", steps, 1, heads * width, heads * width)
            found += 4 * [row]
        else:
            found.append(OpSize("BATCH_MATMUL", places, 1, seen, width))
    return found


def _counts(axes, keep):
    """How many channels are kept along axes, a list."""
    return [int(keep[labels].sum()) for labels in axes]


def _work(step, keep):
    return sum(
        coefficient * math.prod(int(keep[a].sum()) for a in axes)
        for coefficient, axes in step.work
    )


def activation(layer):
    """The name of a layer's activation, `str`; of one that is a layer, its."""
    found = getattr(layer, "activation", None)
    name = "linear" if found is None else type(found).__name__
    return getattr(found, "__name__", name)


def activation_ops(layer):
    """The ops of a layer's activation that are not part of its kernel.

    Args:
        layer: a Keras layer, the inner one of a wrapper.

    Returns:
        Tuple of `str`, as the tables of `layer_ops` have them.
    """
    name = activation(layer)
    if name in FUSED:
        return ()
    known = layer_ops.ACTIVATIONS.get(name)
    return file_ops.activation(layer) if known is None else known
