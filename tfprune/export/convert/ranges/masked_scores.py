"""Masks scores by a value that is near them.

Attention masks by adding or choosing -1e9, and what is padded for a maximum
often has infinity around it; what is masked for a minimum is huge and positive.
In a quantized file the scores then have a step of millions, so that all which
are not masked become equal.

How near the value may be follows from the softmax or extreme that reads the
scores. Where something else reads them, such as a sigmoid or `exp(x - max(x))`,
it is the nearest of some values with which the model has the same outputs.
"""

import math
import pathlib

import numpy as np

from tfprune.export.convert import converter
from tfprune.export.convert.ranges import observed
from tfprune.export.convert.rewritten import plain_ops

# By how much masked scores are below all others: what is masked has a weight of
# less than exp(-_BELOW) together.
_BELOW = 8.0
# For a maximum, a little less than all others will do, as a share of the range.
_LITTLE = 0.01
# By how much masked scores are below zero, too, if something else reads them;
# and how much of an output's range may change then, in int8 and in int16.
_GAPS = (0.0, 4.0, 8.0, 12.0, 16.0, 24.0)
_CLOSE = {False: 1e-3, True: 1e-4}
_SOFTMAX = ("Softmax", "LogSoftmax")
_OTHER = "other"
_OUTPUT = "output"
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


def rewrite(folder, manifest, samples, wide):
    """Changes the graph that is to be quantized, if it masks scores.

    Args:
        folder: of the graph and its weights.
        manifest: `dict`, as of `graph_file.write`.
        samples: list of arrays, the calibration data of each input.
        wide: `bool`, whether activations become int16.
    """
    import tensorflow as tf

    path = pathlib.Path(folder, converter.GRAPH)
    original = path.read_bytes()
    outputs = manifest["outputs"]

    def editor(gap):
        graph = tf.compat.v1.GraphDef.FromString(original)
        return _Editor(graph, outputs, gap)

    first = editor(0.0)
    read = first.read() if any(map(plain_ops.is_huge, first.graph.node)) else ()
    if not read:
        return
    seen = observed.seen(folder, manifest, samples, sorted(read))
    exact = None
    for gap in _GAPS:
        edited = editor(gap)
        if not edited.mask(seen):
            return
        if edited.follows_rules():
            path.write_bytes(edited.graph.SerializeToString())
            return
        if exact is None:
            exact = list(_outputs(folder, manifest, samples))
        path.write_bytes(edited.graph.SerializeToString())
        found = _outputs(folder, manifest, samples)
        if _are_close(found, exact, _CLOSE[wide]):
            return
    edited = editor(None)
    edited.mask(seen)
    path.write_bytes(edited.graph.SerializeToString())


def _outputs(folder, manifest, samples):
    """Yields the values of all outputs for each sample, a list of arrays."""
    import tensorflow as tf

    function, _ = converter.load(folder, manifest)
    for i in range(len(samples[0])):
        row = [tf.constant(np.array(array[i : i + 1])) for array in samples]
        yield [np.asarray(value) for value in function(*row)]


def _are_close(found, exact, share):
    """Whether outputs differ by no more than a share of their range."""
    limits = [_limit(column, share) for column in zip(*exact, strict=True)]
    for row, wanted in zip(found, exact, strict=True):
        for new, old, limit in zip(row, wanted, limits, strict=True):
            if new.shape != old.shape:
                return False
            if limit is None and not np.array_equal(new, old):
                return False
            if limit is not None and not np.allclose(
                *(new, old, share, limit), equal_nan=True
            ):
                return False
    return True


def _limit(arrays, share):
    """By how much an output may be off, `None` for integers."""
    numbers = np.concatenate([array.reshape(-1) for array in arrays])
    if numbers.dtype.kind != "f":
        return None
    usual = numbers[np.abs(numbers) < plain_ops.HUGE]
    return share * float(np.ptp(usual)) if usual.size else 0.0


class _Editor:
    """A graph, and the sums and choices that mask.

    Args:
        graph: a `GraphDef`, which is changed.
        outputs: list of the names of its outputs.
        gap: `float`, by how much what is masked is below zero, too; 0 for no
            more than softmaxes and extremes need. `None` leaves alone what only
            others read.
    """

    def __init__(self, graph, outputs, gap):
        self.graph = graph
        self._gap = gap
        self._nodes = {node.name: node for node in graph.node}
        self._outputs = {_node(x) for x in outputs}
        self._live = self._before(outputs)
        self._done = {}
        # Softmaxes first: what suits them suits a maximum as well.
        self._tops = [
            (found, node.op)
            for kinds in (_SOFTMAX, _LARGEST, _SMALLEST)
            for node in self._live
            if node.op in kinds
            and (found := self._joint(node.input[0])) is not None
        ]
        if gap is not None:
            self._tops += [
                (node, _OTHER)
                for node in self._live
                if self._enters(node) and self._ends(node) != {_OUTPUT}
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
        for top, kind in self._tops:
            self._mask(top, kind, seen)
        return bool(self._done)

    def follows_rules(self):
        """Whether only softmaxes and extremes read what masks."""
        known = {*_SOFTMAX, *_LARGEST, *_SMALLEST, _OUTPUT}
        return all(
            end in known or end in self._done
            for name in self._done
            for end in self._ends(self._nodes[name])
        )

    def _ends(self, node):
        """What reads a node, moved or not, a `set`.

        The kinds of ops, `_OUTPUT`, and the names of sums and choices.
        """
        found, waiting = set(), [node.name]
        while waiting:
            name = waiting.pop()
            if name in self._outputs:
                found.add(_OUTPUT)
            for reader in self._readers(name):
                if reader.op in _MOVES:
                    waiting.append(reader.name)
                elif reader.op in (*_SUMS, *_CHOICES):
                    found.add(reader.name)
                else:
                    found.add(reader.op)
        return found

    def _readers(self, name):
        return [x for x in self._live if name in map(_node, x.input)]

    def _mask(self, node, kind, seen):
        """Masks in a node, and in those before it, for an op of a kind.

        Returns:
            `(low, high, gap)`: the range of the scores, and by how much masked
            ones are below it; above it for a minimum. `None` if nothing masks.
        """
        if node.name in self._done:
            return self._done[node.name]
        sides = self._sides(node)
        values = [seen[_tensor(x)] for x in sides]
        sign = 1 if kind in _SMALLEST else -1
        which = self._masking(node, sign, values)
        if which is None and kind == _OTHER:
            sign, which = 1, self._masking(node, 1, values)
        if which is None:
            return None
        scores = sides[1 - which]
        inner = self._joint(scores)
        raw = None if inner is None else self._mask(inner, kind, seen)
        if raw is None:
            values = seen[_tensor(scores)]
            if values.low <= -plain_ops.HUGE or values.high >= plain_ops.HUGE:
                return None
            gap = _BELOW + math.log(values.width)
            if kind not in _SOFTMAX:
                gap = _LITTLE * (values.high - values.low)
            gap = max(gap, self._beyond_zero(kind, sign, values))
            raw = values.low, values.high, gap
        low, high, gap = raw
        if kind == _OTHER:
            self._keep_output(node)
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
        self._done[node.name] = low, high, gap
        return low, high, gap

    def _beyond_zero(self, kind, sign, scores):
        """The gap that leads beyond zero, as far as others need it."""
        if not self._gap and kind != _OTHER:
            return 0.0
        if sign > 0:
            return self._gap + max(scores.high, 0.0) - scores.high
        return self._gap + scores.low - min(scores.low, 0.0)

    def _keep_output(self, node):
        """Lets outputs be masked as they were, by a copy of a node."""
        ends = [
            reader
            for reader in self._readers(node.name)
            if reader.op in _MOVES and self._ends(reader) == {_OUTPUT}
        ]
        if not ends:
            return
        copy = self.graph.node.add()
        copy.CopyFrom(node)
        copy.name = f"{node.name}/as_it_was"
        for reader in ends:
            reader.input[0] = copy.name

    def _masked(self, node, value):
        """The score of what is masked, a constant."""
        return plain_ops.add_constant(
            self.graph, f"{node.name}/masked", np.float32(value)
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
            made = self.graph.node.add(name=name, op="Greater")
            half = plain_ops.add_constant(
                self.graph, f"{name}/half", np.float32(0.5)
            )
            made.input.extend([mask, half])
            made.attr["T"].CopyFrom(node.attr["T"])
            return name, scores, 0.0, 0.0
        is_mask = np.abs(number) >= plain_ops.HUGE
        plain_ops.add_constant(self.graph, name, is_mask)
        rest = np.where(is_mask, 0, number).astype("float32")
        if not rest.any():
            return name, scores, 0.0, 0.0
        rest = rest if node.op != "Sub" else -rest
        added = self.graph.node.add(name=f"{name}/rest", op="AddV2")
        added.attr["T"].CopyFrom(node.attr["T"])
        more = plain_ops.add_constant(self.graph, f"{name}/added", rest)
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
            self.graph, f"{product.name}/one", np.float32(factor * share)
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
                if min(sign * side.low, sign * side.high) >= plain_ops.HUGE:
                    return i
                continue
            if node.op == "Sub" and i == 0:
                continue
            added = sign * (_SUMS[node.op] if i else 1)
            ends = added * side.low, added * side.high
            fixed = self._constant(self._sides(node)[i]) is not None
            if max(ends) >= plain_ops.HUGE and min(ends) > -plain_ops.HUGE:
                if side.masks or fixed:
                    return i
        return None

    def _enters(self, node):
        """Whether a float sum or choice has a side with a huge constant."""
        if self._joint(node.name) is not node:
            return False
        for side in self._sides(node):
            number, product = self._constant(side), None
            if number is None and node.op in _SUMS:
                product = self._product(node, side)
                number = None if product is None else np.array(product[2])
            if number is not None and np.abs(number).max() >= plain_ops.HUGE:
                return True
        return False

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
        node = self._nodes.get(_node(reference))
        if node is None or node.op != "Const":
            return None
        return plain_ops.numbers(node)


def _node(reference):
    return reference.lstrip("^").partition(":")[0]


def _tensor(reference):
    return reference if ":" in reference else f"{reference}:0"
