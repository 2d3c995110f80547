"""Masks in the graph of an old model, where Keras 3 handles them differently.

In Keras 2 a merged step counts if all masks that there are say so; in Keras 3
if one does, and without any mask if one is missing. TimeDistributed hands on
the masks of the layer inside in Keras 2 alone, and some layers end masks there
that keep them in Keras 3; behind attention, what it was called on has no mask
any more there. No recurrent layer that also gets its initial state
is handed a mask by Keras 3. Where masks differ, those of Keras 2 become
arguments of the calls.
"""

import dataclasses
import inspect
import typing

import keras

from tfprune.legacy import nodes
from tfprune.legacy.layers import parts
from tfprune.legacy.layers import settings

_LAYERS = keras.layers
_MERGES = (
    *(_LAYERS.Add, _LAYERS.Average, _LAYERS.Concatenate, _LAYERS.Maximum),
    *(_LAYERS.Minimum, _LAYERS.Multiply, _LAYERS.Subtract),
)
# Layers that keep masks in Keras 3 alone.
_ENDS = (_LAYERS.Identity, _LAYERS.Normalization, _LAYERS.Rescaling)
_ATTENTION = ("query", "value", "key")


@dataclasses.dataclass(frozen=True, eq=False)
class _Mask:
    """The mask of a tensor in Keras 2.

    Attributes:
        value: symbolic tensor, `None` if there is none.
        origins: frozenset, the calls that make it.
        handed: `bool`, whether Keras 3 hands on the same.
    """

    value: typing.Any = None
    origins: frozenset = frozenset()
    handed: bool = True


class Masks:
    """The masks of a model's tensors.

    Args:
        entries: `dict` from the names of layers to their entries.
        first: `dict` from names to the number of a layer's first call.
        found: `dict` from names to `parts.Part`.
        tensors: `dict` from `(name, call)` to lists of tensors.
        version: `str`, the version of Keras that wrote the model.
    """

    def __init__(self, entries, first, found, tensors, version="2"):
        self._entries = entries
        self._first = first
        self._found = found
        self._tensors = tensors
        # Attention took no masks but its argument's.
        self._attends = not settings.is_before(version, 2, 10)
        # Keras 3 takes the masks off the tensors that attention is called on.
        self._taken = {
            reference
            for entry in entries.values()
            if entry["class_name"] == "MultiHeadAttention" and self._attends
            for reference in nodes.tensors(entry["inbound_nodes"], entries)
        }
        self._known = {}
        # Layers that merge masks of which one is that of a model.
        self.unclear = []

    def of(self, reference):
        """The mask of a tensor, `None` if it has none."""
        return self._mask(reference).value

    def has(self, reference):
        """Whether a tensor has a mask, known or of a model."""
        return bool(self._mask(reference).origins)

    def differs(self, reference):
        """Whether Keras 3 gives a tensor another mask."""
        return not self._mask(reference).handed

    def ends(self, node, part):
        """Whether a call must not see the masks of its inputs."""
        layer = _layer(part)
        return self._ends(layer) and any(
            self._mask(each).origins for each in self._references(node)
        )

    def arguments(self, node, part):
        """The masks that Keras 3 would not hand to a call, as its arguments."""
        layer, taken = _layer(part), {}
        if layer is None or self._ends(layer):
            return {}
        if isinstance(layer, _LAYERS.MultiHeadAttention):
            named = {"query": node[0], **(node[0][3:] or [{}])[0]}
            given = {
                f"{name}_mask": self._mask(named[name])
                for name in _ATTENTION
                if nodes.is_reference(named.get(name), self._entries)
            }
            if any(not mask.handed for mask in given.values()):
                taken = {name: mask.value for name, mask in given.items()}
        elif "mask" in inspect.signature(layer.call).parameters:
            given = [self._mask(each) for each in self._references(node)]
            if any(not mask.handed for mask in given):
                found = [mask.value for mask in given]
                taken = {"mask": found if len(found) > 1 else found[0]}
        return {k: v for k, v in taken.items() if v is not None}

    def _ends(self, layer):
        attention = isinstance(layer, _LAYERS.MultiHeadAttention)
        return isinstance(layer, _ENDS) or (attention and not self._attends)

    def _references(self, node):
        return [
            part[:3] for part in node if nodes.is_reference(part, self._entries)
        ]

    def _mask(self, reference):
        key = tuple(reference[:3])
        if key not in self._known:
            self._known[key] = self._computed(*key)
        return self._known[key]

    def _computed(self, name, number, index):
        part = self._found.get(name)
        if isinstance(part, parts.Nested) and any(part.masked[index:][:1]):
            return _Mask(origins=frozenset([(name, number)]))
        layer = _layer(part)
        if layer is None or not layer.supports_masking or self._ends(layer):
            return _Mask()
        node = self._entries[name]["inbound_nodes"][
            number - self._first.get(name, 0)
        ]
        given = self._references(node)
        x = [self._tensors[n, i][k] for n, i, k in given]
        masks = [self._mask(each) for each in given]
        origins = frozenset().union(*(mask.origins for mask in masks))
        handed = part.plain and (name, number, index) not in self._taken
        handed = handed and all(mask.handed for mask in masks)
        values = [mask.value for mask in masks]
        if any(mask.origins and mask.value is None for mask in masks):
            if isinstance(layer, _MERGES) and len(set(masks)) > 1:
                self.unclear.append(name)
            return _Mask(origins=origins) if _hands_on(layer) else _Mask()
        if isinstance(layer, _MERGES) and not _joins_steps(layer, x[0]):
            handed &= len({mask.origins for mask in masks}) < 2
            value = _all([value for value in values if value is not None])
        elif isinstance(layer, (_LAYERS.MultiHeadAttention, _LAYERS.Attention)):
            value = values[0]
        elif isinstance(layer, _LAYERS.TimeDistributed):
            value = _over_steps(layer.layer, x[0], values[0])
            handed &= value is values[0]
        else:
            alone = len(given) == 1
            value = layer.compute_mask(
                x[0] if alone else x, values[0] if alone else values
            )
        several = value if isinstance(value, (list, tuple)) else [value]
        # States, behind what Keras has masks for, have none.
        value = several[index] if index < len(several) else None
        if value is None:
            return _Mask()
        if all(value is not other for other in values) and not (
            isinstance(layer, _MERGES)
        ):
            origins = frozenset([(name, number)])
        return _Mask(value, origins, handed)


def differ_in_chain(found):
    """Whether masks differ in a Sequential model of these parts."""
    masked = False
    for part in found:
        layer = _layer(part)
        if masked and isinstance(layer, _ENDS):
            return True
        if isinstance(layer, _LAYERS.TimeDistributed):
            inner = layer.layer
            recurrent = isinstance(inner, (_LAYERS.RNN, _LAYERS.Bidirectional))
            if _makes(inner) or (masked and recurrent):
                return True
        inside = isinstance(part, parts.Nested) and any(part.masked)
        masked |= _makes(layer) or inside
    return False


def of_chain(found):
    """Whether the output of a Sequential model of these parts has a mask."""
    masked = False
    for part in found:
        layer = _layer(part)
        if layer is None:
            masked = isinstance(part, parts.Nested) and any(part.masked)
        elif _makes(layer):
            masked = True
        else:
            masked &= _hands_on(layer)
    return masked


def _hands_on(layer):
    """Whether an output has a mask if the input has one."""
    ends = isinstance(layer, (_LAYERS.Dot, _LAYERS.GlobalAveragePooling1D))
    steps = getattr(layer, "return_sequences", True)
    return bool(layer.supports_masking and steps and not ends)


def _makes(layer):
    return isinstance(layer, _LAYERS.Masking) or bool(
        isinstance(layer, _LAYERS.Embedding) and layer.mask_zero
    )


def _layer(part):
    """The layer of a part that says its mask; a model has masks of its own."""
    if part is None or isinstance(part, parts.Nested) or not part.layers:
        return None
    # Those behind the first only change values.
    passed = part.plain and all(x.supports_masking for x in part.layers)
    return part.layers[0] if passed or len(part.layers) == 1 else None


def _joins_steps(layer, x):
    """Whether a layer concatenates along another axis than the last."""
    joins = isinstance(layer, _LAYERS.Concatenate)
    return joins and layer.axis not in (-1, len(x.shape) - 1)


def _all(masks):
    """The steps that count in all masks, `None` without any."""
    found = masks[0] if masks else None
    for mask in masks[1:]:
        if mask is not found:
            found = keras.ops.logical_and(found, mask)
    return found


def _over_steps(inner, x, mask):
    """The mask behind a TimeDistributed layer."""
    if mask is None:
        return inner.compute_mask(x) if _makes(inner) else None
    after = inner.compute_mask(x, mask) if inner.supports_masking else None
    if after is not None:
        return after
    rest = tuple(range(2, len(mask.shape)))
    return keras.ops.any(mask, axis=rest) if rest else mask
