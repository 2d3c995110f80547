"""The ops of a model's int8 file, in the order in which they run.

Each layer's rule tells what the layer becomes. Where the ops of all layers
meet, some become others, as in the export: `file_rewritings`.
"""

import collections
import dataclasses

from tfprune.costs import file_rewritings


@dataclasses.dataclass(frozen=True, eq=False)
class FileOps:
    """The ops of a file.

    Attributes:
        ops: list of `FileOp`.
        layers: list of `str`, the path of the layer that each belongs to.
        ends: tuple of `Tensor`, the outputs of the model.
        shared: `dict` from the `id` of a tensor that no op makes, since it is
            part of another op or nothing but a name, to the tensor that is in
            its place.
    """

    ops: list
    layers: list
    ends: tuple = ()
    shared: dict = dataclasses.field(default_factory=dict)

    def home(self, tensor):
        """The tensor that is in the place of another one, or itself."""
        while id(tensor) in self.shared:
            tensor = self.shared[id(tensor)]
        return tensor

    @property
    def kinds(self):
        """The kinds of ops, a set of `str`."""
        return {op.kind for op in self.ops}

    def readers(self):
        """How many ops and outputs read a tensor, by its `id`, a `Counter`."""
        readers = collections.Counter(id(self.home(t)) for t in self.ends)
        for op in self.ops:
            readers.update({id(self.home(t)) for t in op.inputs})
        return readers

    def makers(self):
        """The op that makes each tensor, by its `id`, a `dict`."""
        return {id(t): op for op in self.ops for t in op.outputs}

    def rewritten(self, change):
        """As it is after a change.

        Args:
            change: function from an op to a list of those in its place.
        """
        pairs = [
            (part, layer)
            for op, layer in zip(self.ops, self.layers, strict=True)
            for part in change(op)
        ]
        ops, layers = ([pair[side] for pair in pairs] for side in range(2))
        return dataclasses.replace(self, ops=ops, layers=layers)


def of(graph):
    """The ops of a graph.

    Args:
        graph: a `ChannelGraph`.

    Returns:
        `FileOps`.
    """
    pairs = [(op, step.layer) for step in graph.steps for op in step.file_ops]
    ops, layers = ([pair[side] for pair in pairs] for side in range(2))
    shared = {
        id(step.outputs[0]): step.inputs[0]
        for step in graph.steps
        if not step.file_ops and step.inputs
    }
    found = FileOps(ops, layers, tuple(graph.outputs), shared)
    for rewriting in file_rewritings.IN_ORDER:
        found = rewriting(found)
    return found
