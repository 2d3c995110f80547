"""Attention layers: heads, and the dimensions within a head.

Removing a head removes its slice of every projection. Removing a dimension
removes it from all heads, because the config holds a single `key_dim` and a
single `value_dim`. Each key dimension is multiplied by the same dimension of
the query, so the query's weights count as its reader. The layer divides the
scores by the square root of `key_dim`; the query's weights are rescaled to
compensate for a smaller one.
"""

import math

import keras
import numpy as np

from tfprune.graph import call as call_lib
from tfprune.graph import rulebook
from tfprune.graph.lowering import file_op
from tfprune.graph.rules import additions
from tfprune.graph.rules import products

READS, WRITES = call_lib.READS, call_lib.WRITES


def _inputs(call):
    """`(tensor, index in call.tensors)` of the query, the value and the key."""
    given = [call.args[i] if i < len(call.args) else None for i in range(3)]
    for i, name in enumerate(("query", "value", "key")):
        given[i] = call.kwargs.get(name, given[i])
    given[2] = given[1] if given[2] is None else given[2]
    return [(x, [t is x for t in call.tensors].index(True)) for x in given]


def _projection(call, name, source, heads, widths, role):
    """Binds one input projection: kernel `(inputs, heads, widths)`."""
    x, place = source
    kernel, bias = f"{name}kernel", f"{name}bias"
    inputs = call.channels(-1, x)
    reading = {"input": place, "input_axis": -1, "padded": True}
    call.bind(kernel, 0, inputs, READS, **reading)
    for axis, labels, does in ((1, heads, WRITES), (2, widths, role)):
        call.bind(kernel, axis, labels, does)
        # Only the query's bias is multiplied by keys, and so reads them.
        call.bind(bias, axis - 1, labels, does if does == READS else "carries")
    if call.variable(bias) is not None:
        additions.keep_apart(call, heads, x.shape[1], widths)
    positions = math.prod(n or 1 for n in x.shape[1:-1])
    call.multiply_adds(positions, inputs, heads, widths)


def _attend(call, sources, names, heads, widths):
    """Binds all four projections; returns the labels of the outputs."""
    (query, value, key), (of_query, of_key, of_value, out) = sources, names
    query_heads, heads = heads
    keys, values = widths
    for x in call.tensors:
        if all(x is not source for source, _ in sources):
            call.freeze(x.labels, "an attention mask")
    _projection(call, of_query, query, query_heads, keys, READS)
    _projection(call, of_key, key, heads, keys, WRITES)
    _projection(call, of_value, value, heads, values, WRITES)
    for name in (f"{of_query}kernel", f"{of_query}bias"):
        call.scale(name, keys, 0.5)
    outputs = call.fresh(call.output_shapes[0][-1])
    if call.config.get("output_shape"):
        call.edit(("config", "output_shape", 0), outputs)
    else:  # As many channels as the query.
        call.join(outputs, call.channels(-1, query[0]))
    call.bind(f"{out}kernel", 0, query_heads, READS, padded=True)
    call.bind(f"{out}kernel", 1, values, READS, padded=True)
    call.bind(f"{out}kernel", 2, outputs, WRITES)
    call.bind(f"{out}bias", 0, outputs)
    for labels in (query_heads, heads, keys, values):
        call.drive(labels)  # The softmax depends on all of them.
    rows, columns = (
        math.prod(n or 1 for n in x.shape[1:-1]) for x, _ in (query, key)
    )
    call.multiply_adds(rows * columns, query_heads, keys)
    call.multiply_adds(rows * columns, query_heads, values)
    call.multiply_adds(rows, query_heads, values, outputs)
    sizes = query_heads, heads, keys, values, outputs
    _attention_ops(call, [x for x, _ in sources], *sizes)
    found = [call.spread(outputs, -1)]
    if len(call.output_shapes) > 1:  # The scores, (B, heads, T, S).
        found.append(call.spread(query_heads, 1, 1))
    return found


def _attention_ops(call, sources, query_heads, heads, keys, values, outputs):
    """Adds the ops of attention: projections, and two products of heads.

    Args:
        call: the `Call`.
        sources: the tensors of the query, the value and the key.
        query_heads, heads, keys, values, outputs: `int`s or labels.
    """
    file, (query, value, key) = call.file, sources
    found = _heads_of(call, key, heads, keys, query_heads)
    looked = _heads_of(call, query, query_heads, keys, query_heads)
    given = _heads_of(call, value, heads, values, query_heads)
    is_causal = call.argument(9, "use_causal_mask")
    weighed = _weigh_heads(file, looked, found, given, is_causal)
    rows, *apart = weighed.parts
    together = file_op.Made((rows, tuple(apart)))
    file.op(
        *(file_op.DENSE, file.op("RESHAPE", weighed, made=together)),
        made=file_op.Made((rows, outputs)),
        work=_work(rows, query_heads, values, outputs),
    )


def _masked(file, scores, masked=True):
    """Adds the choice of scores that a constant mask makes, if there is one."""
    if not masked:
        return scores
    mask = file_op.like(scores, dtype="bool")
    return file.op("SELECT_V2", scores, stored=(mask,))


def _weigh_heads(file, query, key, value, masked):
    """Adds two products of tensors of `(positions, heads, widths)`."""
    (rows, heads, keys), (columns, *_) = query.parts, key.parts
    *_, values = value.parts
    # Where one head moves, the numbers stay where they are.
    move = "TRANSPOSE" if file_op.size(heads) > 1 else "RESHAPE"
    turned = file_op.Made((heads, rows, keys))
    query = file.op(move, query, made=turned)
    turned = file_op.Made((heads, keys, columns))
    key = file.op("TRANSPOSE", key, made=turned)
    scores = file.op(
        *("BATCH_MATMUL", query, key),
        made=file_op.Made((heads, rows, columns)),
        work=_work(rows * columns, heads, keys),
    )
    scores = _masked(file, file.op("MUL", scores), masked)
    scores = file.op("SOFTMAX", scores)
    turned = file_op.Made((heads, columns, values))
    weighed = file.op(
        *("BATCH_MATMUL", scores, file.op(move, value, made=turned)),
        made=file_op.Made((heads, rows, values)),
        work=_work(rows * columns, heads, values),
    )
    apart = file_op.Made((rows, heads, values))
    return file.op(move, weighed, made=apart)


def _heads_of(call, x, heads, widths, query_heads):
    """Adds a projection, as `(positions, query_heads, widths)`."""
    file, rows = call.file, _positions(x)
    made = file.op(
        *(file_op.DENSE, x),
        made=file_op.Made((rows, (heads, widths))),
        work=_work(rows, call.channels(-1, x), heads, widths),
    )
    apart = file_op.Made((rows, query_heads, widths))
    if file_op.size(query_heads) == file_op.size(heads):
        return file.op("RESHAPE", made, made=apart)
    for kind in ("RESHAPE", "BROADCAST_TO", "RESHAPE"):
        made = file.op(kind, made, made=apart)
    return made


def _positions(x):
    return math.prod(n or 1 for n in x.shape[1:-1])


def _work(count, *sizes):
    """A `FileOp`'s work, where sizes are `int`s or labels."""
    count *= math.prod(n for n in sizes if isinstance(n, int))
    return ((count, tuple(n for n in sizes if not isinstance(n, int))),)


@rulebook.rule("MultiHeadAttention")
def multi_head_attention(call):
    config = call.config
    sources = _inputs(call)
    if len(config["output_shape"] or ()) > 1 or _unsupported(call, sources):
        return _frozen(call, sources)
    heads = call.fresh(config["num_heads"], "heads")
    keys = call.fresh(config["key_dim"], "keys")
    values = call.fresh(config["value_dim"] or config["key_dim"], "values")
    if keras.backend.backend() == "jax" and keys.size == values.size:
        # Keras on JAX fails if the two dimensions differ.
        call.join(keys, values)
    call.count("num_heads", heads)
    call.count("key_dim", keys)
    call.count("value_dim", values)
    names = ("query_dense.", "key_dense.", "value_dense.", "output_dense.")
    return _attend(call, sources, names, (heads, heads), (keys, values))


@rulebook.rule("GroupQueryAttention", "GroupedQueryAttention")
def grouped_query_attention(call):
    """A key and value head is removed with all query heads that share it."""
    config = call.config
    sources = _inputs(call)
    if _unsupported(call, sources):
        return _frozen(call, sources)
    # Keras requires queries and values to have equally many channels.
    query, value, _ = (call.channels(-1, x) for x, _ in sources)
    call.join(query, value)
    heads = call.fresh(config["num_key_value_heads"], "heads")
    shared = config["num_query_heads"] // config["num_key_value_heads"]
    query_heads = np.repeat(heads, shared)
    widths = call.fresh(config["head_dim"], "widths")
    call.count("num_key_value_heads", heads)
    call.count("num_query_heads", query_heads)
    call.count("head_dim", widths)
    names = ("query/", "key/", "value/", "attention_output/")
    heads = query_heads, heads
    return _attend(call, sources, names, heads, (widths, widths))


def _unsupported(call, sources):
    return call.config.get("use_gate") or any(x.rank != 3 for x, _ in sources)


def _frozen(call, sources):
    """Counts the work of an attention layer whose channels all stay."""
    query, key, config = sources[0][0], sources[2][0], call.config
    rows, columns = (
        math.prod(n or 1 for n in x.shape[1:-1]) for x in (query, key)
    )
    for variable in call.live.weights:
        *_, name, what = variable.path.split("/")
        if what == "kernel":
            positions = columns if name in ("key", "value") else rows
            call.multiply_adds(positions * math.prod(variable.shape))
    keys = config.get("key_dim") or config.get("head_dim")
    values = config.get("value_dim") or keys
    heads = config.get("num_heads") or config.get("num_query_heads")
    met = config.get("attention_axes") or range(1, key.rank - 1)
    met = math.prod(key.shape[axis] or 1 for axis in met)
    call.multiply_adds(rows * met * heads * (keys + values))
    shared = config.get("num_key_value_heads") or heads
    made = call.output_shapes[0][-1]
    tensors = [x for x, _ in sources]
    _attention_ops(call, tensors, heads, shared, keys, values, made)
    return call.freeze_all("attention with gates or over several axes")


@rulebook.rule("Attention", "AdditiveAttention")
def attention(call):
    """Queries and keys meet in a product; values are averaged per channel."""
    given = call.args[0] if call.args else call.kwargs["inputs"]
    query, value, *key = given[:3]
    for x in (query, *key) if key else (query, value):
        call.freeze(x.labels, "queries and keys meet in a product")
    labels = value.labels
    whole = set(value.varying) <= {value.rank - 1}
    _weigh(call, query, value, whole)
    if not whole:
        return call.freeze_all("channels along the time axis of attention")
    found = [labels]
    for shape in call.output_shapes[1:]:
        scores = call.fresh(1, "scores").reshape((1,) * len(shape))
        call.freeze(scores, "attention scores")
        found.append(np.asarray(scores))
    return found


def _weigh(call, query, value, whole):
    """Counts the scores of each query and key, and the weighted values."""
    pairs = math.prod(n or 1 for n in query.shape[1:-1])
    pairs *= value.shape[-2] or 1
    config = call.config
    if isinstance(call.live, keras.layers.AdditiveAttention):
        multiplies = config.get("use_scale")  # By a weight per channel.
    else:
        multiplies = config.get("score_mode") == "dot"
    if multiplies:
        call.multiply_adds(pairs * query.shape[-1])
    if whole:
        call.multiply_adds(pairs, call.channels(-1, value))
    else:
        call.multiply_adds(pairs * value.shape[-1])
    _score_ops(call, query, value, call.work[-1:])


def _score_ops(call, query, value, work):
    """Adds the ops of attention without projections."""
    file, (*_, channels) = call.file, query.parts
    is_causal = call.argument(4, "use_causal_mask")
    scores = file_op.Made((*query.parts[:-1], value.shape[-2] or 1))
    if isinstance(call.live, keras.layers.AdditiveAttention):
        # Each query's sum with each key; all of their channels stay.
        sums = file_op.Made((*scores.parts, channels))
        apart = file_op.Made((*query.parts[:-1], 1, channels))
        row = file.op("RESHAPE", query, made=apart)
        sums = file.op("ADD", row, value, made=sums)
        kinds = ("TANH", "MUL") if call.config.get("use_scale") else ("TANH",)
        scores = file.op("SUM", file.chain(kinds, sums), made=scores)
        if is_causal:
            scores = file.op("QUANTIZE", scores)
    else:
        count = math.prod(n or 1 for n in query.shape[1:])
        count *= value.shape[-2] or 1
        pair = query, value
        scores = file.op(
            "BATCH_MATMUL", *pair, made=scores, work=((count, ()),)
        )
        if call.config.get("use_scale"):
            scores = file.op("MUL", scores)
    scores = _masked(file, scores, is_causal)
    scores = file.op("SOFTMAX", scores)
    made = file_op.like(query, last=value.parts[-1])
    file.op("BATCH_MATMUL", scores, value, made=made, work=tuple(work))


@rulebook.rule("Dot")
def dot(call):
    axes = call.config["axes"]
    axis = axes if isinstance(axes, int) else axes[0]
    summed = call.x.shape[axis]
    return products.frozen_product(call, [summed], "Dot mixes channels")


@rulebook.rule("ops.DotProductAttention")
def dot_product_attention(call):
    """Tensors are `(batch, time, heads, width)`; only heads can be removed."""
    query, key, value, *others = call.tensors
    pairs = math.prod(x.shape[1] or 1 for x in (query, key))
    heads = {x.shape[2] for x in (query, key, value)}
    in_time = any(1 in x.varying for x in (query, key, value))
    if in_time or len(heads) > 1:
        widths = query.shape[3] + value.shape[3]
        call.multiply_adds(pairs * query.shape[2] * widths)
        reason = "channels along the time axis of attention"
        if not in_time:
            reason = "attention with shared heads"
        return call.freeze_all(reason)[0]
    is_causal = call.argument(6, "is_causal")
    _weigh_heads(call.file, query, key, value, is_causal)
    by_head = any(2 in x.varying for x in (query, key, value))
    for x in (query, key, value) if by_head else (query, key):
        if 3 in x.varying:
            call.freeze_product(x.labels)
    for x in others:
        call.freeze(x.labels, "an attention mask")
    width, depth, heads = query.shape[3], value.shape[3], query.shape[2]
    if by_head:
        one, *rest = [call.channels(2, x) for x in (query, key, value)]
        for labels in rest:
            call.join(one, labels)
        call.multiply_adds(pairs * (width + depth), one)
    else:
        call.multiply_adds(pairs * heads * width)
        call.multiply_adds(pairs * heads, call.channels(3, value))
    call.drive(value.labels)
    return value.labels
