"""Attention: heads, and the widths that all heads have.

A head goes with its slices of all projections; a width goes from all heads at
once, as the layer has one number for it. A channel of the keys meets its twin
of the queries in a product, so the queries' weights are what reads it; and as
the layer divides by the root of the width, they make up for a smaller one.
"""

import math

import keras
import numpy as np

from tfprune.graph import call as call_lib
from tfprune.graph import rulebook

READS, WRITES = call_lib.READS, call_lib.WRITES


def _inputs(call):
    """Query, value and key, and where they stand among the tensors."""
    given = [call.args[i] if i < len(call.args) else None for i in range(3)]
    for i, name in enumerate(("query", "value", "key")):
        given[i] = call.kwargs.get(name, given[i])
    given[2] = given[1] if given[2] is None else given[2]
    return [(x, [t is x for t in call.tensors].index(True)) for x in given]


def _projection(call, name, source, heads, widths, role):
    """Binds one projection into heads: kernel `(inputs, heads, widths)`."""
    x, place = source
    kernel, bias = f"{name}kernel", f"{name}bias"
    inputs = call.channels(-1, x)
    reading = {"input": place, "input_axis": -1, "padded": True}
    call.bind(kernel, 0, inputs, READS, **reading)
    for axis, labels, does in ((1, heads, WRITES), (2, widths, role)):
        call.bind(kernel, axis, labels, does)
        # A query's bias alone can read a key.
        call.bind(bias, axis - 1, labels, does if does == READS else "carries")
    positions = math.prod(n or 1 for n in x.shape[1:-1])
    call.multiply_adds(positions, inputs, heads, widths)


def _attend(call, sources, names, heads, widths):
    """Binds all projections; returns the outputs' labels."""
    (query, value, key), (of_query, of_key, of_value, out) = sources, names
    query_heads, heads = heads
    keys, values = widths
    for x in call.tensors:
        if all(x is not source for source, _ in sources):
            call.freeze(x.labels, "a mask of attention")
    _projection(call, of_query, query, query_heads, keys, READS)
    _projection(call, of_key, key, heads, keys, WRITES)
    _projection(call, of_value, value, heads, values, WRITES)
    for name in (f"{of_query}kernel", f"{of_query}bias"):
        call.scale(name, keys, 0.5)
    # The layer has as many outputs as its queries have channels.
    outputs = call.fresh(call.output_shapes[0][-1])
    call.join(outputs, call.channels(-1, query[0]))
    call.bind(f"{out}kernel", 0, query_heads, READS, padded=True)
    call.bind(f"{out}kernel", 1, values, READS, padded=True)
    call.bind(f"{out}kernel", 2, outputs, WRITES)
    call.bind(f"{out}bias", 0, outputs)
    for labels in (query_heads, heads, keys, values):
        call.drive(labels)  # Softmax depends on all of them.
    rows, columns = (
        math.prod(n or 1 for n in x.shape[1:-1]) for x, _ in (query, key)
    )
    call.multiply_adds(rows * columns, query_heads, keys)
    call.multiply_adds(rows * columns, query_heads, values)
    call.multiply_adds(rows, query_heads, values, outputs)
    found = [call.spread(outputs, -1)]
    if len(call.output_shapes) > 1:  # The scores, head by head.
        found.append(call.spread(query_heads, 1, 1))
    return found


@rulebook.rule("MultiHeadAttention")
def multi_head_attention(call):
    config = call.config
    sources = _inputs(call)
    if config["output_shape"] is not None or _odd(call, sources):
        return call.freeze_all("attention with gates or over several axes")
    heads = call.fresh(config["num_heads"], "heads")
    keys = call.fresh(config["key_dim"], "keys")
    values = call.fresh(config["value_dim"] or config["key_dim"], "values")
    if keras.backend.backend() == "jax" and keys.size == values.size:
        # There Keras fails where the two widths differ.
        call.join(keys, values)
    call.count("num_heads", heads)
    call.count("key_dim", keys)
    call.count("value_dim", values)
    names = ("query_dense.", "key_dense.", "value_dense.", "output_dense.")
    return _attend(call, sources, names, (heads, heads), (keys, values))


@rulebook.rule("GroupQueryAttention", "GroupedQueryAttention")
def grouped_query_attention(call):
    """Each head of keys and values goes with the queries that share it."""
    config = call.config
    sources = _inputs(call)
    if _odd(call, sources):
        return call.freeze_all("attention with gates or over several axes")
    # Keras wants queries and values of as many channels.
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


def _odd(call, sources):
    return call.config.get("use_gate") or any(x.rank != 3 for x, _ in sources)


@rulebook.rule("Attention", "AdditiveAttention")
def attention(call):
    """Queries meet keys; the values are averaged, channel by channel."""
    given = call.args[0] if call.args else call.kwargs["inputs"]
    query, value, *key = given[:3]
    for x in (query, *key) if key else (query, value):
        call.freeze(x.labels, "queries and keys meet in a product")
    labels = value.labels
    if set(value.varying) - {value.rank - 1}:
        return call.freeze_all("channels along the time of attention")
    found = [labels]
    for shape in call.output_shapes[1:]:
        scores = call.fresh(1, "scores").reshape((1,) * len(shape))
        call.freeze(scores, "attention scores")
        found.append(np.asarray(scores))
    return found


@rulebook.rule("Dot")
def dot(call):
    return call.freeze_all("Dot mixes channels")
