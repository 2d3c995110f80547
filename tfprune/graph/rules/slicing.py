"""Slices, splits, padding and repeats."""

import numpy as np

from tfprune.graph import rulebook
from tfprune.graph import tensor as tensor_lib
from tfprune.graph.lowering import file_op
from tfprune.graph.rules import merge


def _normal_index(index, rank):
    """The key of a GetItem as a tuple with one entry for each input axis."""
    index = index if isinstance(index, (tuple, list)) else (index,)
    used = sum(1 for i in index if i is not None and i is not Ellipsis)
    full = (slice(None),) * (rank - used)
    if Ellipsis in index:
        at = index.index(Ellipsis)
        return tuple(index[:at]) + full + tuple(index[at + 1 :])
    return tuple(index) + full


def _plain(part):
    return (
        part is None
        or isinstance(part, int)
        or (
            isinstance(part, slice)
            and all(
                v is None or isinstance(v, int)
                for v in (part.start, part.stop, part.step)
            )
        )
    )


@rulebook.rule("ops.GetItem", file_ops="STRIDED_SLICE", any_batch=True)
def get_item(call):
    call.moves = True
    key = call.args[1]
    if not all(
        _plain(p) or p is Ellipsis
        for p in (key if isinstance(key, (tuple, list)) else (key,))
    ):
        return call.freeze_all("an index that is a tensor or an array")[0]
    index = _normal_index(key, call.x.rank)
    axis, parts = 0, []
    for part in index:
        if part is None:
            parts.append(None)
            continue
        if axis == call.x.batch and part != slice(None):
            return call.freeze_all("a slice of the batch axis")[0]
        if axis < call.x.batch and isinstance(part, int):
            call.batch -= 1
        if call.x.labels.shape[axis] > 1:
            _follow_slice(call, part, axis, len(parts))
            parts.append(part)
        else:
            parts.append(0 if isinstance(part, int) else slice(None))
        axis += 1
    return call.x.labels[tuple(parts)]


def _follow_slice(call, part, axis, position):
    """Makes the bounds of a slice along the channels follow the kept ones."""
    channels = call.channels(axis)
    if part in (slice(None), slice(None, None, -1)):
        return
    at = _place_of(call, position)
    if isinstance(part, int):
        _pick(call, at, channels, part)
        return
    start, stop, step = part.indices(channels.size)
    offset = start % step  # Where it stands in the first step remains.
    if step < 0 or (offset and (part.start < 0 or part.start > step)):
        call.freeze_here(channels, "a step along the channels")
        return
    if step > 1:  # Those that it steps over go with the one it takes.
        for first in range(0, channels.size, step):
            call.tie(channels[first : first + step], 0)
    if start and not offset:
        call.edit(at + ("config", "start"), channels[:start])
    if part.stop is not None:
        call.edit(at + ("config", "stop"), channels[:stop])


def _place_of(call, position):
    """Where the config has the entry of an axis in the key of a slice."""
    key = call.args[1]
    at = call.argument_keys(1, "key")
    if isinstance(key, (tuple, list)):
        ellipsis = Ellipsis in key and key.index(Ellipsis) < position
        # Entries after an ellipsis are counted from the end.
        written = (
            position
            if not ellipsis
            else position - len(_normal_index(key, call.x.rank)) + len(key)
        )
        at += (written,)
    return at


# Ops that are named after their axis.
_AXES = {"Dsplit": 2, "Fliplr": 1, "Flipud": 0, "Hsplit": 1}


@rulebook.rule(
    *("ops.Split", "ops.ArraySplit", "ops.Hsplit", "ops.Dsplit"),
    file_ops="SPLIT",
    any_batch=True,
)
def split(call):
    call.moves = True
    axis = _AXES.get(call.class_name, call.argument(2, "axis", 0))
    axis %= call.x.rank
    if axis == call.x.batch:
        return call.freeze_all("a split of the batch axis")
    outputs = len(call.output_shapes)
    if call.x.labels.shape[axis] == 1:
        return [call.x.labels] * outputs
    channels = call.channels(axis)
    where = call.argument(1, "indices_or_sections")
    keys = call.argument_keys(1, "indices_or_sections")
    if isinstance(where, int):
        if channels.size % where:
            return call.freeze_all("a split of channels into unequal parts")
        bounds = np.arange(1, where) * (channels.size // where)
        # Parts stay equally large only if each loses the same positions.
        call.tie(channels.reshape(where, -1), 0)
    else:
        bounds = [int(n) for n in where]
        for i, n in enumerate(bounds):
            call.edit(keys + (i,), channels[:n])
    parts = np.split(channels, bounds)[:outputs]
    if len({len(part) for part in parts}) > 1:
        made = tensor_lib.on_axis(parts[0], call.x.rank, axis)
        call.file.op("SPLIT_V", call.x, made=call.made(made))
    if all(part.size == 1 for part in parts):
        call.freeze_here(channels, "a split into single channels")
    return [tensor_lib.on_axis(p, call.x.rank, axis) for p in parts]


@rulebook.rule("ops.Pad", file_ops="PAD")
def pad(call):
    call.moves = True
    mode = call.argument(2, "mode", "constant")
    given = call.argument(1, "pad_width")
    widths = np.broadcast_to(given, (call.x.rank, 2)).tolist()
    if any(widths[0]):
        return call.freeze_all("padding of the batch axis")[0]
    keys = call.argument_keys(1, "pad_width")
    labels = call.x.labels
    for axis in call.x.varying:
        before, after = widths[axis]
        if not before and not after:
            continue
        if mode != "constant":
            return call.freeze_all("padding that copies channels")[0]
        if len(np.shape(given)) < 2 or len(given) < call.x.rank:
            return call.freeze_all("one padding width for several axes")[0]
        ends = []
        for side, n in enumerate((before, after)):
            new = call.fresh(n, f"pad{axis}.{side}")
            call.edit(keys + (axis, side), new)
            ends.append(tensor_lib.on_axis(new, call.x.rank, axis))
        labels = np.concatenate([ends[0], labels, ends[1]], axis)
    if mode != "constant":
        call.file.op("MIRROR_PAD", call.x, made=call.made(labels))
    return labels


@rulebook.rule("ops.Flip", "ops.Fliplr", "ops.Flipud", file_ops="REVERSE_V2")
def flip(call):
    call.moves = True
    axes = _AXES.get(call.class_name, call.argument(1, "axis"))
    axes = range(call.x.rank) if axes is None else np.atleast_1d(axes)
    if any(axis % call.x.rank == 0 for axis in axes):
        return call.freeze_all("a flip of the batch axis")[0]
    return np.flip(call.x.labels, tuple(axes))


@rulebook.rule("ops.Repeat", file_ops=("RESHAPE", "BROADCAST_TO", "RESHAPE"))
def repeat(call):
    call.moves = True
    axis = call.argument(2, "axis")
    times = call.argument(1, "repeats")
    if axis is None or axis % call.x.rank == 0:
        return call.freeze_all("a repeat of the batch axis")[0]
    if call.x.labels.shape[axis] == 1:
        return call.x.labels
    if np.size(times) > 1:  # Each channel as often as its own number says.
        keys = call.argument_keys(1, "repeats")
        call.edit(keys, call.channels(axis), 0)
    return np.repeat(call.x.labels, times, axis)


@rulebook.rule("ops.Tile", file_ops="CONCATENATION")
def tile(call):
    call.moves = True
    times = call.argument(1, "repeats")
    times = (times,) if isinstance(times, int) else tuple(times)
    times = (1,) * (call.x.rank - len(times)) + times
    if len(times) > call.x.rank or times[0] != 1:
        return call.freeze_all("a tile along the batch axis")[0]
    sizes = call.x.labels.shape
    return np.tile(
        call.x.labels, [n if sizes[i] > 1 else 1 for i, n in enumerate(times)]
    )


@rulebook.rule("ops.BroadcastTo", file_ops="BROADCAST_TO")
def broadcast_to(call):
    call.moves = True
    target, keys = call.output_shapes[0], call.argument_keys(1, "shape")
    if len(target) > call.x.rank or target[0] != call.x.shape[0]:
        return call.freeze_all("a broadcast of the batch axis")[0]
    for axis in call.x.varying:
        call.edit(keys + (axis,), call.channels(axis))
    return call.x.labels


@rulebook.rule("ops.Take", file_ops="GATHER")
def take(call):
    call.moves = True
    axis = call.argument(2, "axis")
    indices = call.args[1]
    if isinstance(indices, tensor_lib.Constant):
        indices = indices.value
    if not isinstance(call.args[0], tensor_lib.Tensor) or axis in (None, 0):
        return call.freeze_all("a lookup in a table or along the batch")[0]
    for x in call.tensors[1:]:
        call.freeze(x.labels, "indices of what is taken")
    axis %= call.x.rank
    if axis in call.x.varying:
        return _taken(call, indices, axis)
    new = len(getattr(indices, "shape", np.shape(indices)))
    labels = call.x.labels.take([0], axis).squeeze(axis)
    return np.expand_dims(labels, tuple(range(axis, axis + new)))


def _taken(call, indices, axis):
    """Channels in another order, or some of them, of which indices tell."""
    if call.tensors[1:] or np.ndim(indices) > 1:
        return call.freeze_all("channels that are taken by index")[0]
    channels, places = call.channels(axis), np.asarray(indices)
    if ((places < -channels.size) | (places >= channels.size)).any():
        return call.freeze_all("indices beyond the channels")[0]
    keys = call.argument_keys(1, "indices")
    if isinstance(call.args[1], tensor_lib.Constant):
        keys = call.args[1].keys
    found = call.x.labels.take(places, axis)
    if places.ndim:
        call.edit(keys, channels[places], 0, among=channels)
        return found
    _pick(call, keys, channels, int(places))
    return found


def _pick(call, keys, channels, place):
    """Keeps one channel, of which nothing tells the place but a number."""
    place %= channels.size
    call.freeze_here(channels[[place]], "a single channel that is picked")
    call.edit(keys, channels[:place])


@rulebook.rule("ops.TakeAlongAxis", file_ops="GATHER_ND")
def take_along_axis(call):
    """Elements that a tensor chooses for each channel."""
    call.moves = len(call.tensors) == 1
    axis = call.argument(2, "axis")
    if axis is None or axis % call.x.rank == 0:
        return call.freeze_all("a choice along the batch axis")[0]
    if any(x.labels.shape[axis] > 1 for x in call.tensors):
        return call.freeze_all("channels that are taken by index")[0]
    return merge.met(call)


@rulebook.rule("ops.TopK", file_ops="TOPK_V2")
def top_k(call):
    if call.x.rank - 1 in call.x.varying:
        return call.freeze_all("top_k mixes channels")
    return [call.x.labels] * len(call.output_shapes)


@rulebook.rule("ops.Unstack", file_ops="UNPACK", any_batch=True)
def unstack(call):
    call.moves = True
    axis = call.argument(2, "axis", 0) % call.x.rank
    if axis == call.x.batch:
        return call.freeze_all("an unstack of the batch axis")
    call.batch -= axis < call.batch
    if axis in call.x.varying:
        call.freeze_here(call.x.labels, "an unstack of the channels")
    labels = call.x.labels.take([0], axis).squeeze(axis)
    return [labels] * len(call.output_shapes)


@rulebook.rule("ops.Glu")
def gated(call):
    """The second half of the channels gates the first."""
    labels = _halved(call)
    halves = tuple(file_op.like(call.made(labels)) for _ in range(2))
    call.file.op("SPLIT", call.x, made=halves)
    call.file.op("MUL", halves[0], call.file.op("LOGISTIC", halves[1]))
    return labels


def _halved(call):
    axis = call.argument(1, "axis", -1) % call.x.rank
    if axis not in call.x.varying:
        return call.x.labels
    halves = call.channels(axis).reshape(2, -1)
    call.join(*halves)
    return tensor_lib.on_axis(halves[0], call.x.rank, axis)


@rulebook.rule("ops.ExtractPatches", file_ops="CONV_2D")
def extract_patches(call):
    """The channels of a patch are those of its positions, one after another."""
    call.moves = True
    axis = call.channel_axis()
    if call.x.rank != 4 or set(call.x.varying) - {axis}:
        return call.freeze_all("channels along a spatial axis of patches")[0]
    channels = call.channels(axis)
    places = call.output_shapes[0][axis] // channels.size
    labels = call.spread(np.tile(channels, places), axis)
    # The kernel of a convolution that copies.
    kernel = file_op.Made((places, labels.reshape(-1), channels))
    call.file.op("CONV_2D", call.x, made=call.made(labels), stored=(kernel,))
    return labels
