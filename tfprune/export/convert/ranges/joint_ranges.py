"""Ranges of ops whose inputs and output have one scale in a quantized file.

A choice of two tensors, in int8, gives both the range of what is chosen, and so
clips them for all that reads them besides. A concatenation gives its own range,
by which what is small beside the rest loses its steps. In int16 the range of
the first choice is that of all, which clips the second; and padding is clipped
to the range of what it surrounds. A limit of 1e9 would be in the range of what
never reaches it.
"""

import collections
import pathlib

import numpy as np

from tfprune.export.convert import converter
from tfprune.export.convert.ranges import observed
from tfprune.export.convert.rewritten import own_scales
from tfprune.export.convert.rewritten import plain_ops

_CHOICES = ("Select", "SelectV2")
_JOINS = ("ConcatV2", "Pack")
# A range of this share of the other is the same.
_ENOUGH = 0.99
# A range of less than this share of the other would lose precision by it.
_COARSE = 0.5
# In a concatenation, of less than this share: three of eight bits.
_TINY = 0.125
# The converter drops what multiplies by 1.
_NEARLY_1 = 1.0 - 2.0**-24


def rewrite(folder, manifest, samples, wide):
    """Changes the graph that is to be quantized, if it has such ops.

    Args:
        folder: of the graph and its weights.
        manifest: `dict`, as of `graph_file.write`.
        samples: list of arrays, the calibration data of each input.
        wide: `bool`, whether activations are int16; else they are int8.
    """
    import tensorflow as tf

    path = pathlib.Path(folder, converter.GRAPH)
    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())

    def seen(names):
        if not names:  # Samples take time.
            return {}
        return observed.seen(folder, manifest, samples, sorted(names))

    changed = _drop_limits(graph, seen)
    if wide:
        changed |= _suit_int16(graph, seen)
    else:
        changed |= _suit_int8(graph, manifest["outputs"], seen)
        if changed:  # The samples go through what is written.
            path.write_bytes(graph.SerializeToString())
        changed |= _suit_joins(graph, manifest["outputs"], seen)
    if changed:
        path.write_bytes(graph.SerializeToString())


def _drop_limits(graph, seen):
    """Drops huge limits that nothing reaches; returns whether there were any.

    In the file nothing can: numbers end with the ranges of their tensors.
    """
    huge = {node.name: node for node in graph.node if plain_ops.is_huge(node)}
    found = []
    for node in graph.node:
        if node.op in ("Minimum", "Maximum") and _is_float(node):
            limits = [x for x in node.input if own_scales.tensor(x) in huge]
            if len(limits) == 1:
                place = int(node.input[0] == limits[0])
                found.append((node, limits[0], node.input[place]))
    ranges = seen({_output(source) for _, _, source in found})
    dropped = False
    for node, limit, source in found:
        values = ranges[_output(source)]
        numbers = plain_ops.numbers(huge[own_scales.tensor(limit)])
        reached = (
            values.high > numbers.min()
            if node.op == "Minimum"
            else values.low < numbers.max()
        )
        if not reached and numbers.size == 1 and numbers.ndim <= values.axes:
            kind = node.attr["T"].type
            node.attr.clear()
            node.op, node.attr["T"].type = "Identity", kind
            node.input[:] = [source]
            dropped = True
    return dropped


def _output(reference):
    return reference if ":" in reference else f"{reference}:0"


def _suit_int8(graph, outputs, seen):
    """Gives what choices read a scale of its own; returns whether it did."""
    found, made = {}, set()
    while True:
        sides = _shared_sides(graph, outputs, made)
        names = {
            f"{name}:0"
            for _, _, sources, group in sides
            for name in (*sources, *group)
        }
        found.update(seen(names - set(found)))
        before = len(made)
        for node, place, sources, group in sides:
            own, whole = observed.Seen(), observed.Seen()
            for name in sources:
                own.join(found[f"{name}:0"])
            for name in group:
                whole.join(found[f"{name}:0"])
            if node.input[place] not in made and _differ(own, whole):
                made.add(_part(graph, node, place))
        # What is parted has a group of its own, with another range.
        if len(made) == before:
            return bool(made)


def _differ(own, group):
    """Whether the range of a group clips a tensor, or is too coarse for it."""
    low, high = min(0.0, group.low), max(0.0, group.high)
    width = high - low
    slack = (1 - _ENOUGH) * width
    clipped = own.low < low - slack or own.high > high + slack
    return clipped or 0 <= own.high - own.low < _COARSE * width


def _suit_joins(graph, outputs, seen):
    """Gives what is small in a concatenation, and what others read as well, a
    scale of its own; returns whether it did.
    """
    uses = own_scales.Uses(graph, outputs)
    sides = [
        (node, place, uses.sources(reference))
        for node in graph.node
        if node.op in _JOINS and _is_float(node)
        for place, reference in enumerate(node.input[: node.attr["N"].i])
        if uses.is_shared(reference)
    ]
    ends = [n for n in graph.node if n.op in _JOINS + _CHOICES and _is_float(n)]
    names = {node.name for node in ends} if sides else set()
    found = seen(
        {f"{x}:0" for x in names.union(*(sources for *_, sources in sides))}
    )
    group, changed = None, False
    # What a later one parts need not be parted before it.
    for node, place, sources in reversed(sides):
        if group is None:
            group = _groups(graph, {node.name: node for node in graph.node})
        whole, own = observed.Seen(), observed.Seen()
        for other in ends:
            if group[other.name] == group[node.name]:
                whole.join(found[f"{other.name}:0"])
        for name in sources:
            own.join(found[f"{name}:0"])
        width = max(0.0, whole.high) - min(0.0, whole.low)
        if 0 <= own.high - own.low < _TINY * width:
            _part(graph, node, place)
            group, changed = None, True
    return changed


def _suit_int16(graph, seen):
    """Writes choices and padding as arithmetic; returns whether it did."""
    pads = [node for node in graph.node if _pads_with_numbers(graph, node)]
    choices = _of_computed(graph)
    found = seen(
        {_side(node, 1) for node in choices}
        | {f"{node.name}:0" for node in choices}
    )
    for node in pads:
        _pad_with_zeros(graph, node)
    narrow = [
        node
        for node in choices
        if found[_side(node, 1)].largest
        < _ENOUGH * found[f"{node.name}:0"].largest
    ]
    for node in narrow:
        _choose_by_arithmetic(graph, node)
    return bool(pads or narrow)


def _shared_sides(graph, outputs, parted):
    """`[(node, place, sources, group)]` of inputs of choices that others need.

    `sources` has the names of the nodes that make the input, before ops of one
    scale, which hand the range of the choice on to them. `group` has those of
    all choices that depend on each other by ops of one scale: they need one
    range. Choices before others are sources, too, if there is an op in between;
    their group is the later choice. Inputs by a name in `parted` are left out.
    """
    uses = own_scales.Uses(graph, outputs, _CHOICES)
    nodes = {node.name: node for node in graph.node}
    group = _groups(graph, nodes)
    choices = [n for n in graph.node if n.op in _CHOICES and _is_float(n)]
    members = collections.defaultdict(list)
    for node in choices:
        members[group[node.name]].append(node.name)
    found = []
    for node in choices:
        for place in (1, 2):
            if node.input[place] in parted:
                continue
            sources = uses.sources(node.input[place])
            if sources and uses.is_shared(node.input[place]):
                found.append((node, place, sources, members[group[node.name]]))
            earlier = uses.shared_ends(node.input[place])
            if earlier:
                found.append((node, place, earlier, [node.name]))
    return found


def _groups(graph, nodes):
    """`dict` from nodes of one scale to the first that they depend on."""
    parents = {
        n.name: n.name for n in graph.node if n.op in own_scales.ONE_SCALE
    }

    def first(name):
        while parents[name] != name:
            name = parents[name]
        return name

    for name in parents:
        for reference in nodes[name].input:
            source = own_scales.tensor(reference)
            if source in parents:
                parents[first(name)] = first(source)
    return {name: first(name) for name in parents}


def _part(graph, node, place):
    """Gives an input a scale of its own; returns what the input is now.

    The op that does nothing becomes a QUANTIZE in the file.
    """
    parted = graph.node.add(
        name=f"{node.name}/requantized_{place}", op="LeakyRelu"
    )
    parted.input.append(node.input[place])
    parted.attr["alpha"].f = _NEARLY_1
    parted.attr["T"].CopyFrom(node.attr["T"])
    node.input[place] = parted.name
    return parted.name


def _of_computed(graph):
    """The choices of two tensors that are both computed."""
    constants = {node.name for node in graph.node if node.op == "Const"}
    return [
        node
        for node in graph.node
        if node.op in _CHOICES
        and _is_float(node)
        and constants.isdisjoint(map(own_scales.tensor, node.input[1:3]))
    ]


def _side(node, place):
    """The name of a tensor of which an op chooses."""
    return _output(node.input[place])


def _pads_with_numbers(graph, node):
    """Whether an op pads a tensor with something else than zeros."""
    if node.op != "PadV2" or not _is_float(node):
        return False
    name = own_scales.tensor(node.input[2])
    value = next(other for other in graph.node if other.name == name)
    if value.op != "Const":
        return True
    return bool(plain_ops.numbers(value).any())


def _choose_by_arithmetic(graph, node):
    """where(c, a, b) becomes b + c (a - b)."""
    import tensorflow as tf

    condition, first, second = node.input
    cast = graph.node.add(name=f"{node.name}/cast", op="Cast")
    cast.input.append(condition)
    cast.attr["SrcT"].type = tf.bool.as_datatype_enum
    cast.attr["DstT"].CopyFrom(node.attr["T"])
    gap = own_scales.add(graph, node, "Sub", first, second)
    part = own_scales.add(graph, node, "Mul", cast.name, gap)
    node.op = "AddV2"
    node.input[:] = [second, part]


def _pad_with_zeros(graph, node):
    """Pads with zeros what lies above or below the padding."""
    source, widths, value = node.input
    below = own_scales.add(graph, node, "Sub", source, value)
    zero = plain_ops.add_constant(
        graph, f"{node.name}/nothing", np.float32(0), node.attr["T"].type
    )
    padded = graph.node.add(name=f"{node.name}/above", op="PadV2")
    for key, attribute in node.attr.items():
        padded.attr[key].CopyFrom(attribute)
    padded.input.extend([below, widths, zero])
    kind = node.attr["T"].type
    node.attr.clear()
    node.attr["T"].type = kind
    node.op = "AddV2"
    node.input[:] = [padded.name, value]


def _is_float(node):
    import tensorflow as tf

    return tf.as_dtype(node.attr["T"].type).is_floating
