"""Layers that wrap another layer."""

import numpy as np

from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib


@rulebook.rule("tfprune>PruningWrapper")
def transparent(call):
    entry, inner = call.inside()
    labels = rulebook.of(entry, inner.live)(inner)
    call.memory, call.file_ops = inner.memory, inner.file_ops
    return labels


@rulebook.rule("SpectralNormalization")
def spectral_normalization(call):
    entry, inner = call.inside(prefix="layer.")
    labels = rulebook.of(entry, inner.live)(inner)
    for name in ("layer.kernel", "layer.embeddings"):
        columns = call.bound(name, -1)
        if columns is not None:
            call.bind("vector_u", 1, columns)
    call.memory, call.file_ops = inner.memory, inner.file_ops
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
    found = rulebook.of(entry, inner.live)(inner)
    call.work += [(steps * n, counted) for n, counted in inner.work]
    call.file_ops = inner.file_ops
    # The inner rule may know sizes that the layer does not tell.
    call.output_shapes = [
        s[:1] + x.shape[1:2] + s[1:] for s in inner.output_shapes
    ]
    found = found if isinstance(found, list) else [found]
    return [np.expand_dims(labels, 1) for labels in found]
