"""Embedding layers."""

import numpy as np

from tfprune.graph import call as call_lib
from tfprune.graph import rulebook


@rulebook.rule("Embedding", file_ops="GATHER")
def embedding(call):
    if not call.is_frozen(call.x.labels):
        call.freeze(call.x.labels, "ids that are looked up in a table")
    outputs = call.fresh(call.config["output_dim"])
    call.bind("embeddings", 1, outputs, call_lib.WRITES)
    call.count("output_dim", outputs)
    # The looked-up row depends on the input, so no output is constant.
    call.drive(outputs)
    return call.spread(outputs, -1)


@rulebook.rule("ReversibleEmbedding")
def reversible_embedding(call):
    """Embeds tokens and projects back by the same table, which is frozen."""
    reason = "an embedding that is also read in reverse"
    if call.argument(1, "reverse", False):
        return call.freeze_all(reason)[0]
    if not call.is_frozen(call.x.labels):
        call.freeze(call.x.labels, reason)
    labels = call.fresh(1, "table").reshape((1,) * len(call.output_shapes[0]))
    call.freeze(labels, reason)
    return np.asarray(labels)
