"""Masks what a softmax or an extreme reads by a value that is near it.

Attention masks by adding or choosing -1e9, and what is padded for a maximum
often has infinity around it; what is masked for a minimum is huge and positive.
In a quantized file the scores then have a step of millions, so that all which
are not masked become equal.
"""

import dataclasses
import math
import pathlib

import numpy as np

from tfprune.export.convert import converter
from tfprune.export.convert.rewritten import plain_ops

# From here on a number masks, and does not score.
_HUGE = 9e3
# By how much masked scores are below all others: what is masked has a weight of
# less than exp(-_BELOW) together.
_BELOW = 8.0
# For a maximum, a little less than all others will do, as a share of the range.
_LITTLE = 0.01
_SOFTMAX = "Softmax"
_LARGEST = ("Max", "MaxPool", "ArgMax")
_SMALLEST = ("Min", "ArgMin")
_MOVES = (
    "Identity",
    "Reshape",
    "Cast",
    "Squeeze",
    "ExpandDims",
    "Transpose",
)
# Masks that add up may be so many times the smallest: each is above a half
# then, in steps of int8.
_MOST_MASKS = 64
# A vector is added as a bias.
_SUMS = {"Add": 1, "AddV2": 1, "BiasAdd": 1, "Sub": -1}
# Places of what is chosen; padding chooses its number beyond the edges.
_CHOICES = {"Select": (1, 2), "SelectV2": (1, 2), "PadV2": (0, 2)}


def rewrite(folder, manifest, samples):
    """Changes the graph that is to be quantized, if it masks scores.

    Args:
        folder: of the graph and its weights.
        manifest: `dict`, as of `graph_file.write`.
        samples: list of arrays, the calibration data of each input.
    """
    import tensorflow as tf

    path = pathlib.Path(folder, converter.GRAPH)
    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    if not any(map(_is_huge, graph.node)):
        return
    editor = _Editor(graph, manifest["outputs"])
    read = editor.read()
    if not read:
        return
    if editor.mask(seen(folder, manifest, samples, sorted(read))):
        path.write_bytes(graph.SerializeToString())


def _is_huge(node):
    import tensorflow as tf

    if node.op != "Const":
        return False
    array = tf.make_ndarray(node.attr["value"].tensor)
    # A whole number may be cast later.
    if array.dtype.kind not in "fi" or not array.size:
        return False
    return float(np.abs(array.astype(float)).max()) >= _HUGE


@dataclasses.dataclass
class Seen:
    """What a tensor was on all samples."""

    low: float = math.inf
    high: float = -math.inf
    # Whether each value is 0 or huge.
    masks: bool = True
    # The smallest size of a value that is not 0.
    least: float = math.inf
    # The longest axis, any of which a softmax may follow.
    width: int = 1

    @property
    def largest(self):
        return max(abs(self.low), abs(self.high))

    def join(self, other):
        """Widens the range by that of another tensor."""
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)

    def add(self, array):
        self.low = min(self.low, float(array.min()))
        self.high = max(self.high, float(array.max()))
        size = np.abs(array)
        self.masks &= bool(((size == 0) | (size >= _HUGE)).all())
        least = np.min(size, initial=np.inf, where=size > 0)
        self.least = min(self.least, float(least))
        self.width = max(array.shape, default=1)


def seen(folder, manifest, samples, names):
    """What tensors are on samples.

    Args:
        folder, manifest, samples: as for `rewrite`.
        names: list of the names of tensors.

    Returns:
        `dict` from these names to `Seen`; only of floats.
    """
    import tensorflow as tf

    function, _ = converter.load(folder, {**manifest, "outputs": names})
    found = {name: Seen() for name in names}
    for i in range(len(samples[0])):
        row = [tf.constant(np.array(array[i : i + 1])) for array in samples]
        for name, value in zip(names, function(*row), strict=True):
            if value.dtype.is_floating:
                found[name].add(value.numpy())
    return found


class _Editor:
    """A graph, and the sums and choices that lead to a softmax and others."""

    def __init__(self, graph, outputs):
        self._graph = graph
        self._nodes = {node.name: node for node in graph.node}
        self._live = self._before(outputs)
        # Softmaxes first: what suits them suits a maximum as well.
        self._tops = [
            (found, node.op)
            for kinds in ((_SOFTMAX,), _LARGEST, _SMALLEST)
            for node in self._live
            if node.op in kinds
            and (found := self._joint(node.input[0])) is not None
        ]

    def _before(self, references):
        """The nodes from which tensors are computed."""
        found, waiting = {}, [_node(x) for x in references]
        while waiting:
            name = waiting.pop()
            if name in self._nodes and name not in found:
                found[name] = self._nodes[name]
                waiting += [_node(x) for x in self._nodes[name].input]
        return list(found.values())

    def read(self):
        """The names of the tensors whose values decide, a `set`."""
        names, waiting = set(), [node for node, _ in self._tops]
        while waiting:
            for reference in self._sides(waiting.pop()):
                names.add(_tensor(reference))
                inner = self._joint(reference)
                if inner is not None:
                    waiting.append(inner)
        return names

    def mask(self, seen):
        """Replaces what masks; returns whether there was any."""
        done = {}
        for top, kind in self._tops:
            self._mask(top, kind, seen, done)
        return bool(done)

    def _mask(self, node, kind, seen, done):
        """Masks in a node, and in those before it, for an op of a kind.

        Returns:
            `(low, high, gap)`: the range of the scores, and by how much masked
            ones are below it; above it for a minimum. `None` if nothing masks.
        """
        if node.name in done:
            return done[node.name]
        sides = self._sides(node)
        sign = 1 if kind in _SMALLEST else -1
        which = self._masking(node, sign, [seen[_tensor(x)] for x in sides])
        if which is None:
            return None
        scores = sides[1 - which]
        inner = self._joint(scores)
        raw = None if inner is None else self._mask(inner, kind, seen, done)
        if raw is None:
            values = seen[_tensor(scores)]
            if values.low <= -_HUGE or values.high >= _HUGE:
                return None
            gap = _BELOW + math.log(values.width)
            if kind != _SOFTMAX:
                gap = _LITTLE * (values.high - values.low)
            raw = values.low, values.high, gap
        low, high, gap = raw
        if node.op in _CHOICES:
            place = _CHOICES[node.op][which]
            value = high + gap if sign > 0 else low - gap
            node.input[place] = self._masked(node, value)
        else:
            choice = self._choice(node, sign, sides[which], scores, seen)
            if choice is None:
                return None
            condition, scores, least, most = choice
            low, high = low + least, high + most
            value = high + gap if sign > 0 else low - gap
            self._choose(node, condition, scores, self._masked(node, value))
        done[node.name] = low, high, gap
        return low, high, gap

    def _masked(self, node, value):
        """The score of what is masked, a constant."""
        return plain_ops.add_constant(
            self._graph, f"{node.name}/masked", np.float32(value)
        )

    def _choice(self, node, sign, mask, scores, seen):
        """What a sum stands for, or `None`.

        Returns:
            `(condition, scores, least, most)`. A constant may hold more than a
            mask, such as distances, of which the last two are the ends.
        """
        name = f"{node.name}/is_masked"
        number = self._constant(mask)
        if number is None:
            product = self._product(node, mask)
            if product is None:
                return None
            values = seen[_tensor(mask)]
            if values.largest > _MOST_MASKS * values.least:
                return None
            # Where several masks add up, one is enough.
            self._shrink(*product, sign * _SUMS[node.op] / values.least)
            made = self._graph.node.add(name=name, op="Greater")
            half = plain_ops.add_constant(
                self._graph, f"{name}/half", np.float32(0.5)
            )
            made.input.extend([mask, half])
            made.attr["T"].CopyFrom(node.attr["T"])
            return name, scores, 0.0, 0.0
        is_mask = np.abs(number) >= _HUGE
        plain_ops.add_constant(self._graph, name, is_mask)
        rest = np.where(is_mask, 0, number).astype("float32")
        if not rest.any():
            return name, scores, 0.0, 0.0
        rest = rest if node.op != "Sub" else -rest
        added = self._graph.node.add(name=f"{name}/rest", op="AddV2")
        added.attr["T"].CopyFrom(node.attr["T"])
        more = plain_ops.add_constant(self._graph, f"{name}/added", rest)
        added.input.extend([scores, more])
        return name, added.name, float(rest.min()), float(rest.max())

    def _product(self, node, mask):
        """`(node, place, factor)`: where a mask gets huge; or `None`.

        Nothing else may read what leads from it to the sum.
        """
        before = self._nodes.get(_node(mask))
        path = [node]
        while before is not None and before.op in _MOVES:
            path.append(before)
            before = self._nodes.get(_node(before.input[0]))
        if before is None or before.op != "Mul":
            return None
        for each in (*path[1:], before):
            readers = [
                reader
                for reader in self._live
                if each.name in map(_node, reader.input)
            ]
            if len(readers) != 1:
                return None
        for place, reference in enumerate(before.input):
            number = self._constant(reference)
            if number is not None and number.size == 1:
                return before, place, float(number.reshape(()))
        return None

    def _shrink(self, product, place, factor, share):
        """Lets a mask be at least 1 where it was huge."""
        product.input[place] = plain_ops.add_constant(
            self._graph, f"{product.name}/one", np.float32(factor * share)
        )

    def _choose(self, node, condition, scores, masked):
        """Makes a sum the choice that it stands for."""
        kind = node.attr["T"].type
        node.attr.clear()
        node.attr["T"].type = kind
        node.op = "SelectV2"
        node.input[:] = [condition, masked, scores]

    def _masking(self, node, sign, seen):
        """Which side masks, 0 or 1; `None` if none does.

        Args:
            node: the sum or choice.
            sign: that of the mask.
            seen: list of what its sides are.
        """
        for i, side in enumerate(seen):
            if node.op in _CHOICES:
                if min(sign * side.low, sign * side.high) >= _HUGE:
                    return i
                continue
            if node.op == "Sub" and i == 0:
                continue
            added = sign * (_SUMS[node.op] if i else 1)
            ends = added * side.low, added * side.high
            fixed = self._constant(self._sides(node)[i]) is not None
            if max(ends) >= _HUGE and min(ends) > -_HUGE:
                if side.masks or fixed:
                    return i
        return None

    def _joint(self, reference):
        """The sum or choice of floats that makes a tensor, or `None`.

        In between, it may be moved.
        """
        import tensorflow as tf

        node = self._nodes.get(_node(reference))
        while node is not None and node.op in _MOVES:
            node = self._nodes.get(_node(node.input[0]))
        if node is None or node.op not in (*_SUMS, *_CHOICES):
            return None
        return node if tf.as_dtype(node.attr["T"].type).is_floating else None

    def _sides(self, node):
        return [node.input[i] for i in _CHOICES.get(node.op, (0, 1))]

    def _constant(self, reference):
        import tensorflow as tf

        node = self._nodes.get(_node(reference))
        if node is None or node.op != "Const":
            return None
        return tf.make_ndarray(node.attr["value"].tensor)


def _node(reference):
    return reference.lstrip("^").partition(":")[0]


def _tensor(reference):
    return reference if ":" in reference else f"{reference}:0"
