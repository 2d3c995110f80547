"""The bit lengths of a model, layer by layer."""

import dataclasses
import glob

import keras
import numpy as np

from tfprune.core import printed
from tfprune.core import tables
from tfprune.core.files import json_text
from tfprune.graph import read
from tfprune.methods import bitpruning
from tfprune.reports import micronet_score
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import weights as weights_lib
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.surgery import stripping
from tfprune.training import bit_lengths

_FULL = 32


@dataclasses.dataclass(frozen=True)
class LayerBits:
    """The bit lengths of a layer.

    Attributes:
        layer: `str`, its name, and that of the weight where it has several.
        weights: `int`, how many the tensor holds, zeros included.
        nonzero: `int`, how many of these the layer computes with.
        weight_bits: `float`, 32 where the weights are not quantized.
        activation_bits: `float`, of the layer's inputs; 32 likewise.
        learned_weight_bits, learned_activation_bits: `float`, before
            `tfprune.training.finalize` rounded them.
    """

    layer: str
    weights: int
    nonzero: int
    weight_bits: float
    activation_bits: float
    learned_weight_bits: float
    learned_activation_bits: float

    @property
    def bytes(self):
        """`float`, of all weights of the tensor at their bit length."""
        return self.weights * self.weight_bits / 8


@dataclasses.dataclass(frozen=True)
class BitReport(printed.Printed):
    """The bit lengths of a model; averages count each tensor once.

    Attributes:
        name: `str`, the model's name.
        layers: tuple of `LayerBits`, in the order of the model.
        weight_bits: `float`, average of the quantized weight tensors; `None`
            if there is none.
        activation_bits: `float`, likewise of the quantized inputs.
        average_bits: `float`, of both together, as the paper reports it.
        learned_average_bits: `float`, the same before `finalize`.
        weight_bytes: `float`, of the weights in `layers`.
        other_bytes: `int`, of all other weights, at 32 bits each: biases,
            normalisation, layers without `BitPruning`.
        micronet: a `tfprune.reports.MicroNet`, of the stripped model at these
            bits.
    """

    name: str
    layers: tuple
    weight_bits: float | None
    activation_bits: float | None
    average_bits: float
    learned_average_bits: float
    weight_bytes: float
    other_bytes: int
    micronet: micronet_score.MicroNet

    @property
    def totals(self):
        """`dict` from the name of each quantity to its value."""
        names = [f.name for f in dataclasses.fields(self)]
        return {
            **{name: getattr(self, name) for name in names[2:-1]},
            "score_2019": self.micronet.score_2019,
            "score_2025": self.micronet.score_2025,
        }

    def tables(self):
        """A list of `tables.Table`: the totals, then the layers."""
        totals = [
            (name.replace("_", " "), _number(value))
            for name, value in self.totals.items()
        ]
        layers = [
            (
                row.layer,
                _number(row.weight_bits),
                _number(row.activation_bits),
                tables.number(row.weights),
                tables.number(row.nonzero),
                _number(row.bytes),
            )
            for row in self.layers
        ]
        header = ("weight bits", "activation bits", "weights", "not zero")
        return [
            tables.Table((self.name, "total"), tuple(totals)),
            tables.Table(("layer", *header, "bytes"), tuple(layers)),
        ]

    def __str__(self):
        return self.to_text()

    def to_text(self):
        """The report for a terminal, `str`."""
        return "\n".join(table.to_text() for table in self.tables())

    def to_markdown(self):
        """The report as markdown, `str`."""
        return "\n".join(table.to_markdown() for table in self.tables())

    def to_dict(self):
        """The report as plain data."""
        layers = [
            {**dataclasses.asdict(row), "bytes": row.bytes}
            for row in self.layers
        ]
        return {"model": self.name, "totals": self.totals, "layers": layers}

    def to_json(self):
        """The report as JSON, `str`."""
        return json_text.written(self.to_dict())


def bits(model):
    """Reports the bit lengths of a model wrapped with `BitPruning`.

    Call it before `tfprune.strip`, which returns plain layers: their weights
    lie on a grid, but its bit length is no longer recorded.

    Args:
        model: a model from `tfprune.wrap` with `BitPruning`, finalized or
            not; it is not changed.

    Returns:
        A `BitReport`; it prints as a table.

    Raises:
        ValueError: If no layer of the model has bit lengths.

    Example:

    >>> report = tfprune.reports.bits(final)
    >>> report.average_bits, report.weight_bytes
    """
    places = bit_lengths.places(model)
    if not places:
        raise ValueError(
            "A model with bit lengths is required. Received: "
            f"model={model.name!r}, which has none. Use "
            "`tfprune.wrap(model, tfprune.methods.BitPruning())`, and call "
            "this before `strip` or `unwrap` removes the wrappers."
        )
    layers = [
        row for wrapper in wrapper_lib.find(model) for row in _rows(wrapper)
    ]
    pairs = np.array([bit_lengths.lengths(*place) for place in places])
    is_input = np.array([s.name == method_lib.INPUTS for _, s in places])
    counted = sum(row.weights for row in layers)
    return BitReport(
        name=model.name,
        layers=tuple(layers),
        weight_bits=_mean(pairs[~is_input, 0]),
        activation_bits=_mean(pairs[is_input, 0]),
        average_bits=_mean(pairs[:, 0]),
        learned_average_bits=_mean(pairs[:, 1]),
        weight_bytes=sum(row.bytes for row in layers),
        other_bytes=(_own_weights(model) - counted) * _FULL // 8,
        micronet=_micronet(model),
    )


def _micronet(model):
    """The scores of the stripped model; what is not quantized has 32 bits."""
    weight_bits, activation_bits = {}, {}
    for path, layer in read.channel_graph(model).layers.items():
        for name, (now, _) in _lengths(layer).items():
            if name == method_lib.INPUTS:
                activation_bits[glob.escape(path)] = now
            else:
                weight_bits[glob.escape(f"{path}/{name}")] = now
    plain = stripping.stripped(read.channel_graph(wrapping.unwrap(model)))
    return micronet_score.micronet(plain, weight_bits, activation_bits)


def _lengths(layer):
    """`dict` from what `BitPruning` quantizes in a layer to its lengths."""
    if not isinstance(layer, wrapper_lib.PruningWrapper):
        return {}
    return {
        part.name: bit_lengths.lengths(method, part)
        for slot in layer.slots.values()
        for method, part in layer.method.parts(slot)
        if isinstance(method, bitpruning.BitPruning)
    }


def _rows(wrapper):
    """A `LayerBits` for each weight of a layer with bit lengths."""
    found = _lengths(wrapper)
    if not found:
        return
    unquantized = (float(_FULL), float(_FULL))
    activations = found.get(method_lib.INPUTS, unquantized)
    names = weights_lib.names(wrapper.layer)
    folded = wrapper.folded()
    for name in names:
        values = folded.get(name)
        if values is None:
            variable = weights_lib.variable(wrapper.layer, name)
            values = keras.ops.convert_to_numpy(variable)
        now, learned = found.get(name, unquantized)
        yield LayerBits(
            layer=wrapper.name if len(names) == 1 else f"{wrapper.name}/{name}",
            weights=values.size,
            nonzero=int(np.count_nonzero(values)),
            weight_bits=now,
            activation_bits=activations[0],
            learned_weight_bits=learned,
            learned_activation_bits=activations[1],
        )


def _own_weights(model):
    """The weights of a model without what methods have added."""
    wrappers = wrapper_lib.find(model)
    added = sum(w.count_params() - w.layer.count_params() for w in wrappers)
    return model.count_params() - added


def _mean(values):
    return float(np.mean(values)) if len(values) else None


def _number(value):
    if value is None:
        return "-"
    if 0 < value < 1:  # a score
        return f"{value:.4f}"
    return f"{value:,.2f}".removesuffix(".00")
