"""Masks in the graph of an old model, where Keras 3 handles them differently.

Keras 3 hands no mask to a recurrent layer that also gets its initial state, and
a merged step counts if one input's does; in Keras 2 if all inputs' do.
"""

from tfprune.legacy import nodes
from tfprune.legacy.layers import parts

_MERGES = (
    *("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply"),
    "Subtract",
)


class Masks:
    """The masks of a model's tensors.

    Args:
        entries: `dict` from the names of layers to their entries.
        first: `dict` from names to the number of a layer's first call.
        found: `dict` from names to `parts.Part`.
        tensors: `dict` from `(name, call)` to lists of tensors.
    """

    def __init__(self, entries, first, found, tensors):
        self._entries = entries
        self._first = first
        self._found = found
        self._tensors = tensors

    def of(self, reference):
        """The mask of a tensor, `None` if it has none."""
        name, number, index = reference[:3]
        layer = self._layer(name)
        if layer is None or not layer.supports_masking:
            return None
        given = self._inputs(name, number)
        x = [self._tensors[n, i][k] for n, i, k in given]
        before = [self.of(each) for each in given]
        alone = len(given) == 1
        mask = layer.compute_mask(
            x[0] if alone else x, before[0] if alone else before
        )
        return mask[index] if isinstance(mask, (list, tuple)) else mask

    def joins_others(self, node, entry):
        """Whether a layer merges tensors whose masks are not the same."""
        if entry["class_name"] not in _MERGES:
            return False
        kinds = {self._origins(part[:3]) for part in node}
        return len(kinds - {frozenset()}) > 1

    def _origins(self, reference):
        """The calls that make the mask of a tensor."""
        name, number, _ = reference
        layer = self._layer(name)
        if layer is None or not layer.supports_masking:
            return frozenset()
        kind = self._entries[name]["class_name"]
        if kind == "Masking" or getattr(layer, "mask_zero", False):
            return frozenset([(name, number)])
        given = self._inputs(name, number)
        return frozenset().union(*(self._origins(each) for each in given))

    def _layer(self, name):
        part = self._found.get(name)
        plain = part is not None and not isinstance(part, parts.Nested)
        return part.layers[-1] if plain and len(part.layers) == 1 else None

    def _inputs(self, name, number):
        node = self._entries[name]["inbound_nodes"][
            number - self._first.get(name, 0)
        ]
        return [
            part[:3] for part in node if nodes.is_reference(part, self._entries)
        ]
