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
from tfprune.graph import tensor as tensor_lib
from tfprune.graph.rules import einsum

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
    # The output has as many channels as the query.
    outputs = call.fresh(call.output_shapes[0][-1])
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
    labels = tensor_lib.on_axis(query_heads, 4, 1)
    shape = (query[0].shape[0], query_heads.size, rows, columns)
    # The scores, before and behind the softmax.
    call.held += [tensor_lib.Tensor(shape, labels)] * 2
    found = [call.spread(outputs, -1)]
    if len(call.output_shapes) > 1:  # The scores, (B, heads, T, S).
        found.append(call.spread(query_heads, 1, 1))
    return found


@rulebook.rule("MultiHeadAttention")
def multi_head_attention(call):
    config = call.config
    sources = _inputs(call)
    if config["output_shape"] is not None or _unsupported(call, sources):
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
        # The sums of each query and key, before and behind the tanh; all of
        # their channels stay.
        shape = (query.shape[0], pairs, query.shape[-1])
        one = query.labels.reshape(-1)[:1].reshape(1, 1, 1)
        call.held += [tensor_lib.Tensor(shape, one)] * 2
    else:
        multiplies = config.get("score_mode") == "dot"
    if multiplies:
        call.multiply_adds(pairs * query.shape[-1])
    if whole:
        call.multiply_adds(pairs, call.channels(-1, value))
    else:
        call.multiply_adds(pairs * value.shape[-1])


@rulebook.rule("Dot")
def dot(call):
    axes = call.config["axes"]
    axis = axes if isinstance(axes, int) else axes[0]
    summed = call.x.shape[axis]
    return einsum.frozen_product(call, [summed], "Dot mixes channels")
