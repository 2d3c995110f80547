"""Finds links: layers of a chain whose output has the shape of their input.

A network without residual blocks (MobileNetV1, VGG, DS-CNN) repeats kernels of
one shape. The chain around a link closes if it is taken out, which removes all
of its instructions; channels leave those that a kernel takes whatever its width
is. (Layers are removed from plain networks by Elkerdawy et al., "To Filter
Prune, or to Layer Prune, That Is The Question", 2020,
https://arxiv.org/abs/2007.05667.)
"""

import collections

from tfprune.graph import channel_graph

# What prepares the inputs of the next kernel.
_BEFORE = {
    *("DepthwiseConv1D", "DepthwiseConv2D"),
    *("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"),
}


def find(graph):
    """The links of a model, in the order of execution.

    A link has one kernel that mixes channels, a depthwise kernel before it if
    there is one, and what follows until the next kernel. Nothing else reads
    what is inside of it, and its layers stand in the model itself, not in a
    model within it.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        List of tuples of `Step`.
    """
    readers = collections.Counter(
        id(x) for step in graph.steps for x in step.inputs
    )
    for x in graph.outputs:
        readers[id(x)] += 1
    calls = collections.Counter(step.layer for step in graph.steps)
    mixing = _mixing(graph)
    found, chain = [], []
    for step in graph.steps:
        begins = step.layer in mixing or step.op in _BEFORE
        single = len(step.inputs) == len(step.outputs) == 1
        alone = single and calls[step.layer] == 1 and "/" not in step.layer
        follows = alone and chain and _follows(chain[-1], step, readers)
        mixed = any(s.layer in mixing for s in chain)
        if not follows or (begins and mixed):
            found += _link(chain, mixing)
            chain = []
        if alone and (chain or begins):
            chain.append(step)
    found += _link(chain, mixing)
    kept = {id(x) for x in graph.outputs}
    return [link for link in found if id(link[-1].outputs[0]) not in kept]


def _mixing(graph):
    """The paths of layers whose kernels read channels and write others."""
    roles = collections.defaultdict(set)
    for binding in graph.bindings:
        roles[binding.layer].add(binding.role)
    both = {channel_graph.READS, channel_graph.WRITES}
    return {path for path, found in roles.items() if both <= found}


def _follows(before, step, readers):
    x = before.outputs[0]
    return readers[id(x)] == 1 and any(x is y for y in step.inputs)


def _link(chain, mixing):
    """The longest part of a chain, from its start, that keeps the shape."""
    for end in range(len(chain), 0, -1):
        part = tuple(chain[:end])
        if part[-1].op.endswith("Dropout"):
            continue
        if not any(step.layer in mixing for step in part):
            return []
        if part[0].inputs[0].shape == part[-1].outputs[0].shape:
            return [part]
    return []
