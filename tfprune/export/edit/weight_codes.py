"""Compressed weights, which TFLite Micro decodes at inference.

A DECODE op before the reader of a weight decodes it into the arena, from one of
two codes:

- pruning: a bitmap of the nonzero weights, and their values (n weights of which
  k are nonzero take n / 8 + k bytes in int8);
- lut: an index of 1 to 7 bits for each weight into a table of values, with one
  table for the tensor or one for each channel.

The runtime decodes both. TFLite Micro's own tool writes only the second; its
functions edit the file here. https://github.com/tensorflow/tflite-micro,
tensorflow/lite/micro/compression.
"""

import dataclasses

import numpy as np

from tfprune.core import packages
from tfprune.export.edit import lean

OP = "TFLM_DECODE"
_TOOLS = "tflite_micro.tensorflow.lite.micro.compression"
# The ops that read their second input at inference, not at initialization.
_READERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


@dataclasses.dataclass(frozen=True)
class Coded:
    """A weight of a file in the shortest of its codes.

    Attributes:
        name: `str`, of the tensor.
        places: tuple of `(subgraph, tensor)`; several where the converter has
            stored equal weights once.
        method: `str`, "pruning" or "lut".
        zeros: `float`, the share of the weights that are zero.
        before: `int`, bytes of the weights.
        after: `int`, bytes of the code.
        code: the tool's `CompressionResult`: encoded and ancillary data.
    """

    name: str
    places: tuple
    method: str
    zeros: float
    before: int
    after: int
    code: object


def shorter(data):
    """The weights of a file that take fewer bytes in a code.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        List of `Coded`, in the order of the file.

    Raises:
        ImportError: If the package tflite-micro is missing or too old.
    """
    model = _tool("model_editor").read(data)
    found = []
    for places in _weights(model):
        graph, index = places[0]
        tensor = model.subgraphs[graph].tensors[index]
        values = tensor.array
        method, code = min(_codes(tensor), key=lambda pair: _size(pair[1]))
        if _size(code) < values.nbytes:
            found.append(
                Coded(
                    tensor.name or "",
                    tuple(places),
                    method,
                    float(np.mean(values == 0)),
                    values.nbytes,
                    _size(code),
                    code,
                )
            )
    return found


def rewritten(data, chosen):
    """The file with some weights replaced by their codes.

    Also drops what `lean.without_notes` drops, as only TFLite Micro reads such
    files.

    Args:
        data: `bytes` of a .tflite file.
        chosen: list of `Coded` from it.

    Returns:
        `bytes`.
    """
    model = _tool("model_editor").read(data)
    codes = {place: row.code for row in chosen for place in row.places}
    _tool("decode_insert").insert_decode_operators(model, codes)
    return lean.without_notes(bytes(model.build()))


def _tool(name):
    try:
        return packages.load(f"{_TOOLS}.{name}", user="Compressing")
    except ImportError as error:
        if error.name == "tflite_micro":
            raise
        raise ImportError(
            "A version of tflite-micro with tools for compressed weights is "
            f"required. Received: one without {name!r}. Run: pip install "
            '"tfprune[export]"',
            name=error.name,
        ) from error


def _weights(model):
    """Yields the places of each weight that a DECODE op may feed."""
    by_buffer = {}
    for g, graph in enumerate(model.subgraphs):
        for i, tensor in enumerate(graph.tensors):
            if tensor.buffer is not None and len(tensor.buffer):
                by_buffer.setdefault(id(tensor.buffer), []).append((g, i))
    for places in by_buffer.values():
        if all(_decodable(model.subgraphs[g], i) for g, i in places):
            yield places


def _decodable(graph, index):
    tensor = graph.tensors[index]
    readers = graph.consumers_of(tensor)
    return (
        bool(readers)
        and tensor not in graph.outputs
        and all(
            op.opcode_name in _READERS and op.inputs[1] is tensor
            for op in readers
        )
    )


def _codes(tensor):
    """Yields `(method, code)`."""
    yield "pruning", _pruning(tensor)
    code = _lut(tensor)
    if code is not None:
        yield "lut", code


def _pruning(tensor):
    decode, compressor = _tool("decode"), _tool("compressor")
    values = tensor.array.reshape(-1)
    kept = values != 0
    # Version 1 of the code; its bitmap starts at the most significant bit.
    header = decode.DecodeCommonMetadata(
        decode_type=decode.DecodeType.PRUNING, user_data=bytes([1])
    )
    return compressor.CompressionResult(
        encoded_data=np.packbits(kept).tobytes(),
        ancillary_data=header.to_bytes() + values[kept].tobytes(),
    )


def _lut(tensor):
    """One table per scale, or `None` if 7 bits do not suffice.

    The runtime derives the number of tables from the number of scales, not from
    the code.
    """
    spec, lut = _tool("spec"), _tool("lut")
    values, steps = tensor.array, tensor.quantization
    if values.dtype != np.int8 or steps is None:
        return None
    if np.size(steps.scales) > 1:
        mode = spec.PerChannel(steps.axis)
        rows = np.moveaxis(values, steps.axis, 0)
    else:
        mode, rows = spec.PerTensor(), values[None]
    count = max(len(np.unique(row)) for row in rows)
    bits = max(1, (count - 1).bit_length())
    if bits > lut.LutAncillaryData.MAX_BITWIDTH:
        return None
    method = spec.LookUpTableCompression(bits, mode)
    return lut.LutCompressor().compress(tensor, method)


def _size(code):
    return len(code.encoded_data) + len(code.ancillary_data)
