"""Exports models with learned bit lengths as .tflite files of int8 and int4."""

import dataclasses
import pathlib

import keras
from absl import logging

from tfprune.core import packages
from tfprune.core import printed
from tfprune.core import typed
from tfprune.core.files import atomic
from tfprune.core.files import leftovers
from tfprune.export.convert import calibration as calibrations
from tfprune.export.convert import signature as signatures
from tfprune.export.convert import tflite
from tfprune.export.edit import finishing
from tfprune.export.edit import requantizing
from tfprune.export.file import model_file
from tfprune.export.file import weight_ops
from tfprune.graph import values
from tfprune.methods import bitpruning
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import weights as weights_lib
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.surgery import stripping
from tfprune.training import bit_lengths

_BITS = {"int2": 2, "int4": 4, "int8": 8, "int16": 16, "float32": 32}


@dataclasses.dataclass(frozen=True)
class StoredLayer:
    """How a file stores a weight with a bit length, and the weight's inputs.

    Attributes:
        layer: `str`, its name and that of the weight: `"conv/kernel"`.
        weight_bits: `int`, the learned bits; `None` if not quantized.
        activation_bits: `int`, likewise, of the layer's inputs.
        stored_weights: `str`, the dtype in the file: `"int4"`, `"int8"`,
            `"float32"`; `None` if no op of the file has these weights.
        stored_activations: `str`, likewise.
        why: `str`, the reason if the file stores other bits; else empty.
    """

    layer: str
    weight_bits: int | None
    activation_bits: int | None
    stored_weights: str | None
    stored_activations: str | None
    why: str


@dataclasses.dataclass(frozen=True)
class BitsFile(printed.Printed):
    """A .tflite file and how it stores the learned bit lengths.

    Attributes:
        file: `model_file.ModelFile`.
        layers: tuple of `StoredLayer`, in the order of the model.
    """

    file: model_file.ModelFile
    layers: tuple

    @property
    def unmapped(self):
        """The `StoredLayer`s that are not stored in the learned bits."""
        return tuple(row for row in self.layers if row.why)


def export_bits(
    model: keras.Model,
    path: typed.Path,
    calibration: typed.Data,
    *,
    calibration_samples: int = 256,
    input_shapes: typed.Shapes | None = None,
) -> BitsFile:
    """Exports a finalized model as a .tflite file of int8 and int4.

    The model is stripped first. Convolutions and dense layers whose weights
    have at most 4 bits are stored in int4, others with at most 8 bits in
    int8, those above in float32. TFLite has integer activations of 8 bits (16
    is not used here), whatever was learned. The result lists each layer that
    differs from its learned bits. LiteRT runs these files; TFLite Micro has
    no kernel for dense layers in int4.

    TFLite's grids are symmetric around zero and per-channel, while
    BitPruning's span the range from the smallest to the largest weight. So
    weights move to the nearest level of the file's grid: by up to 1/14 of the
    channel's largest weight in int4, and 1/254 in int8. Measure the accuracy
    of the file.

    Args:
        model: a model from `tfprune.training.finalize`, on the TensorFlow
            backend; it is not changed.
        path: `str` or path-like, the file to write.
        calibration: samples to calibrate activation ranges on, as for
            `tfprune.export_tflite`.
        calibration_samples: `int`, maximum number of samples to use.
        input_shapes: as for `tfprune.export_tflite`.

    Returns:
        A `BitsFile`.

    Raises:
        ImportError: If a package of the extras `export` or `quantizer` is
            missing.
        ValueError: If the model has no bit lengths, trainable ones, or two
            wrapped layers with one name; see `tfprune.export_tflite` for
            further errors.

    Example:

    >>> stored = tfprune.export_bits(final, "small.tflite", images)
    >>> for row in stored.unmapped:
    ...     print(row.layer, row.weight_bits, row.stored_weights, row.why)
    """
    path = atomic.writable(path)
    packages.require("ai_edge_litert")
    requantizing.require()
    wanted = _wanted(model)
    plain = stripping.strip(model)
    inputs = signatures.of(plain, input_shapes).inputs
    samples = calibrations.samples(calibration, inputs, calibration_samples)
    with leftovers.folder() as folder:
        dense = pathlib.Path(folder) / "float.tflite"
        tflite.export_tflite(plain, dense, input_shapes=input_shapes)
        data = dense.read_bytes()
        before = weight_ops.read(data)
        places = weight_ops.match(_kernels(plain, wanted), before)
        ranges = requantizing.ranges(dense, samples)
        bits = {before[i].output: wanted[key][0] for key, i in places.items()}
        data = requantizing.quantized(dense, before, bits, ranges)
        data = finishing.finished(data, requantizing.largest(ranges))
    atomic.write({path: data})
    after = weight_ops.read(data)
    by_output = {op.output: op for op in after}
    layers = []
    for key, bits in wanted.items():
        op = before[places[key]] if key in places else None
        stored = by_output.get(op.output) if op else None
        layers.append(_row(key, bits, stored))
    result = model_file.read(path)
    logging.info("Wrote %s, %d bytes.", path, result.file_bytes)
    return BitsFile(result, tuple(layers))


def _wanted(model):
    """`{(layer, weight): (weight bits, activation bits)}`, checked."""
    places = bit_lengths.places(model)
    if not places or not all(method.frozen for method, _ in places):
        raise ValueError(
            "A model with fixed bit lengths is required. Received: "
            f"model={model.name!r}, which has none, or trainable ones. Use "
            "`tfprune.training.finalize` and export its result without "
            "calling `strip`."
        )
    found = {}
    for wrapper in wrapper_lib.find(model):
        bits = {
            part.name: int(bit_lengths.lengths(method, part)[0])
            for slot in wrapper.slots.values()
            for method, part in wrapper.method.parts(slot)
            if isinstance(method, bitpruning.BitPruning)
        }
        for name in weights_lib.names(wrapper.layer) if bits else ():
            key = (wrapper.name, name)
            if key in found:
                raise ValueError(
                    "Wrapped layers must have unique names. Received: "
                    f"model={model.name!r} with two layers {wrapper.name!r}, "
                    "one of them in a nested model. Rename one."
                )
            found[key] = (bits.get(name), bits.get(method_lib.INPUTS))
    return found


def _kernels(plain, wanted):
    """The argument of `weight_ops.match` for the weights in `wanted`."""
    layers = {layer.name: layer for layer in values.layers_of(plain)}
    found = {}
    for layer, name in wanted:
        variable = weights_lib.variable(layers[layer], name)
        array = values.numpy(variable)
        found[layer, name] = (layers[layer], name, array)
    return found


def _row(key, bits, op):
    """The `StoredLayer` of a weight; `op` is `None` if the file has none."""
    name = "/".join(key)
    if op is None:
        why = "no convolution or dense op of the file has these weights"
        return StoredLayer(name, *bits, None, None, why)
    reasons = []
    if bits[0] is not None:
        smallest = 8 if op.op not in requantizing.INT4_OPS else 4
        if bits[0] > 8 and op.dtype == "float32":
            reasons.append("weights of more than 8 bits stay in float")
        elif _BITS[op.dtype] > bits[0]:
            reasons.append(
                f"weights of {op.op} are stored in {smallest} bits at least"
                if bits[0] < smallest
                else "there is no type between int4 and int8"
            )
    if bits[1] is not None and _BITS[op.inputs_dtype] != bits[1]:
        reasons.append(f"activations are stored as {op.inputs_dtype}")
    return StoredLayer(
        name, *bits, op.dtype, op.inputs_dtype, "; ".join(reasons)
    )
