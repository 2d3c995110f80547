"""Layers that wrap another layer."""

import numpy as np

from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib


@rulebook.rule("tfprune>PruningWrapper")
def transparent(call):
    entry, inner = call.inside()
    labels = inner.follow(rulebook.of(entry, inner.live))
    _pass_on(call, inner)
    return labels


def _pass_on(call, inner):
    """Takes over what the layer within becomes."""
    call.memory, call.moves = inner.memory, inner.moves
    call.file.take(inner.file)


@rulebook.rule("SpectralNormalization")
def spectral_normalization(call):
    entry, inner = call.inside(prefix="layer.")
    labels = inner.follow(rulebook.of(entry, inner.live))
    for name in ("layer.kernel", "layer.embeddings"):
        columns = call.bound(name, -1)
        if columns is not None:
            call.bind("vector_u", 1, columns)
    _pass_on(call, inner)
    return labels


@rulebook.rule("TimeDistributed")
def time_distributed(call):
    """The inner layer sees the tensor without its time axis."""
    x, steps = call.x, call.x.shape[1] or 1
    for mask in call.tensors[1:]:
        call.freeze(mask.labels, "a mask over time steps")
    if x.labels.shape[1] > 1:
        return call.freeze_all("channels along the time axis")
    shape, labels = x.shape[:1] + x.shape[2:], x.labels.squeeze(1)
    entry, inner = call.inside(
        prefix="layer.",
        args=(tensor_lib.Tensor(shape, labels, x.dtype),),
        kwargs={k: v for k, v in call.kwargs.items() if k == "training"},
        output_shapes=[s[:1] + s[2:] for s in call.output_shapes],
    )
    inner.work = []
    found = inner.follow(rulebook.of(entry, inner.live))
    call.moves = inner.moves
    call.work += [(steps * n, counted) for n, counted in inner.work]
    _all_steps(call, inner, steps)
    # The inner rule may know sizes that the layer does not tell.
    call.output_shapes = [
        s[:1] + x.shape[1:2] + s[1:] for s in inner.output_shapes
    ]
    return [np.expand_dims(labels, 1) for labels in found]


# What reads all time steps as rows of the batch, besides what has a window.
_OF_MAPS = {"L2_NORMALIZATION", "MEAN", "REDUCE_MAX", "SOFTMAX", "SUM"}


def _all_steps(call, inner, steps):
    """Takes over the ops of one time step, for all of them."""
    ops, x = inner.file.ops, call.x
    as_rows = any(op.window or op.kind in _OF_MAPS for op in ops)
    if as_rows:
        x = call.file.op("RESHAPE", x)
    call.file.take(inner.file, given=[(inner.x, x)], lead=(steps,))
    if as_rows:
        call.file.op("RESHAPE", call.file.ops[-1].output)
