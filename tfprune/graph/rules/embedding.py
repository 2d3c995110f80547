"""Tables of vectors that are looked up."""

import numpy as np

from tfprune.graph import call as call_lib
from tfprune.graph import rulebook


@rulebook.rule("Embedding")
def embedding(call):
    outputs = call.fresh(call.config["output_dim"])
    call.bind("embeddings", 1, outputs, call_lib.WRITES)
    call.count("output_dim", outputs)
    # Which row it is depends on the input.
    call.drive(outputs)
    return call.spread(outputs, -1)


@rulebook.rule("ReversibleEmbedding")
def reversible_embedding(call):
    """Forth and back by one table, which therefore stays as it is."""
    reason = "a table that is read in both directions"
    if call.argument(1, "reverse", False):
        return call.freeze_all(reason)[0]
    labels = call.fresh(1, "table").reshape((1,) * len(call.output_shapes[0]))
    call.freeze(labels, reason)
    return np.asarray(labels)
