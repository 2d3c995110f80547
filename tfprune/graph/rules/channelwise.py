"""Layers of a user's own that treat each channel by itself.

A scale, a shift, a learned position, a weighted sum of branches: the config
does not say so, but the layer can be asked. Built from its config for fewer
channels, with those slices of its weights, it must give those channels of the
output. What does so for weights and inputs drawn at random mixes no channels.
"""

import dataclasses

import keras
import numpy as np

from tfprune.graph import document
from tfprune.graph import rulebook
from tfprune.graph import values

# With fewer, the parts tried below would hold one channel each, or all of them.
_LEAST_CHANNELS = 3


@rulebook.rule(rulebook.ANY_OTHER)
def channelwise(call):
    name = type(call.live).__name__
    axes = [_axis(tensor) for tensor in call.tensors]
    if not _may_be(call, axes):
        return call.unknown(name)
    found = _tried(call, axes)
    if found is None:
        return call.unknown(name)
    channels = [
        call.channels(a, x) for a, x in zip(axes, call.tensors, strict=True)
    ]
    for other in channels[1:]:
        call.join(channels[0], other)
    for attribute, axis in found.axes.items():
        call.bind(attribute, axis, channels[0])
    for keys in found.counts:
        call.edit(("config", *keys), channels[0])
    return call.spread(channels[0], found.output)


@dataclasses.dataclass(frozen=True)
class _Found:
    """Where the channels of a layer stand.

    Attributes:
        axes: `dict` from attribute to axis of a variable.
        counts: tuple of the paths in the config that count them.
        output: `int`, the axis of the output.
    """

    axes: dict
    counts: tuple
    output: int


def _axis(tensor):
    """The only axis along which a tensor has channels, or `None`."""
    varying = tensor.varying
    return varying[0] if len(varying) == 1 and varying[0] else None


def _may_be(call, axes):
    layer = call.live
    if not isinstance(layer, keras.layers.Layer) or len(axes) == 0:
        return False
    # A class of Keras without a rule has none for a reason.
    if type(layer).__module__.startswith("keras.") or None in axes:
        return False
    sizes = {x.shape[a] for a, x in zip(axes, call.tensors, strict=True)}
    floats = all("float" in x.dtype for x in call.tensors)
    return (
        len(sizes) == 1
        and min(sizes) >= _LEAST_CHANNELS
        and len(call.output_shapes) == 1
        and floats
    )


def _tried(call, axes):
    """Where the channels stand, or `None` if the layer does more with them."""
    size = call.tensors[0].shape[axes[0]]
    counts = tuple(_counts(call.config, size))
    choices = [(), *((keys,) for keys in counts)]
    if len(counts) > 1:
        choices.append(counts)
    for choice in choices:
        try:
            found = _compared(call, axes, size, choice)
            # One that limits what is large mixes channels there alone.
            if found is not None and found == _compared(
                call, axes, size, choice, scale=100
            ):
                return found
        except Exception:  # It cannot be built so, or not be called so.
            continue
    return None


def _compared(call, axes, size, counts, scale=1):
    rng = np.random.default_rng(0)
    inputs = [scale * values.random(rng, x) for x in call.tensors]
    whole = _copy(call, {})
    _apply(whole, call, inputs)  # builds it
    drawn = [rng.uniform(0.5, 1.5, v.shape) for v in whole.variables]
    for variable, array in zip(whole.variables, drawn, strict=True):
        variable.assign(array)
    outputs = _apply(whole, call, inputs)
    found = []
    parts = (range(0, size, 2), range(1, size, 2), range(size // 2 + 1))
    for kept in map(list, parts):
        small = _copy(call, {keys: len(kept) for keys in counts})
        fewer = [np.take(x, kept, a) for a, x in zip(axes, inputs, strict=True)]
        _apply(small, call, fewer)
        at = []
        for old, new, array in zip(
            whole.variables, small.variables, drawn, strict=True
        ):
            at.append(_fewer(old.shape, new.shape, size, len(kept)))
            slices = array if at[-1] is None else np.take(array, kept, at[-1])
            new.assign(slices)
        part = _apply(small, call, fewer)
        output = _fewer(outputs.shape, part.shape, size, len(kept))
        expected = np.take(outputs, kept, output)
        if not output or not np.allclose(
            expected, part, 1e-4, 1e-5, equal_nan=scale > 1
        ):
            return None
        found.append((at, output))
    if any(other != found[0] for other in found):
        return None
    names = _names(call.live)
    bound = {n: a for n, a in zip(names, at, strict=True) if a is not None}
    return None if None in bound else _Found(bound, counts, output)


def _copy(call, changes):
    config = document.copied(call.live.get_config())
    for (*keys, last), value in changes.items():
        place = config
        for key in keys:
            place = place[key]
        place[last] = value
    return type(call.live).from_config(config)


def _apply(layer, call, arrays):
    """The output of a layer that remembers nothing."""
    known = {id(x): a for x, a in zip(call.tensors, arrays, strict=True)}
    args, kwargs = keras.tree.map_structure(
        lambda x: (
            keras.ops.convert_to_tensor(known[id(x)]) if id(x) in known else x
        ),
        (call.args, {k: v for k, v in call.kwargs.items() if k != "training"}),
    )
    if not layer.built:
        return values.numpy(layer(*args, **kwargs))
    with keras.StatelessScope() as scope:
        outputs = layer(*args, **kwargs)
    for variable in layer.variables:
        if scope.get_current_value(variable) is not None:
            raise ValueError("it remembers")
    return values.numpy(outputs)


def _fewer(old, new, size, kept):
    """The axis that has fewer channels; `None` if the shapes are equal."""
    if len(old) != len(new):
        raise ValueError("another rank")
    axes = [a for a, (m, n) in enumerate(zip(old, new, strict=True)) if m != n]
    if not axes:
        return None
    if len(axes) > 1 or (old[axes[0]], new[axes[0]]) != (size, kept):
        raise ValueError("not one axis of channels")
    return axes[0]


def _counts(config, size, keys=()):
    """The paths of numbers in a config that may be those of channels."""
    items = config.items() if isinstance(config, dict) else enumerate(config)
    for key, value in items:
        if isinstance(value, (list, tuple, dict)):
            yield from _counts(value, size, (*keys, key))
        elif type(value) is int and value == size:
            yield (*keys, key)


def _names(layer):
    """The attributes that hold the variables of a layer, in their order."""
    found = {}
    _collect(layer, "", found)
    return [found.get(id(variable)) for variable in layer.variables]


def _collect(owner, prefix, found):
    every_layer_has = vars(keras.layers.Layer())
    for name, value in vars(owner).items():
        if name in every_layer_has:
            continue
        listed = isinstance(value, (list, tuple))
        entries = {f".{i}": v for i, v in enumerate(value)} if listed else {}
        for end, entry in (entries or {"": value}).items():
            path = f"{prefix}{name}{end}"
            if isinstance(entry, keras.Variable):
                found.setdefault(id(entry), path)
            elif isinstance(entry, keras.layers.Layer):
                _collect(entry, f"{path}.", found)
