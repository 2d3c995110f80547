"""Weights in fewer bytes, as TFLite Micro decodes them while it runs.

A DECODE op before the reader of a weight writes it into the arena, from one of
two codes that the runtime knows:

- pruning: a bit for each weight, whether it is zero, and the others as they
  are (n weights of which k are not zero: n / 8 + k bytes of int8);
- lut: a number of 1 to 7 bits for each weight, and the table of values that it
  looks up, one for the whole tensor or one for each channel.

The runtime has both; TFLite Micro's own tool writes the second alone. It edits
the file here, too. https://github.com/tensorflow/tflite-micro,
tensorflow/lite/micro/compression.
"""

import dataclasses

import numpy as np

from tfprune.core import packages
from tfprune.export.edit import lean

# The op that decodes.
OP = "TFLM_DECODE"
_TOOLS = "tflite_micro.tensorflow.lite.micro.compression"
# The ops that read their second input when they run, not when they start.
_READERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


@dataclasses.dataclass(frozen=True)
class Coded:
    """A weight of a file in the shortest of its codes.

    Attributes:
        name: `str`, of the tensor.
        places: tuple of `(subgraph, tensor)`; several where the converter has
            stored equal weights once.
        method: `str`, "pruning" or "lut".
        zeros: float, the share of weights that are zero.
        before: `int`, bytes of the weights.
        after: `int`, bytes of the code.
        code: what the tool inserts, encoded and ancillary data.
    """

    name: str
    places: tuple
    method: str
    zeros: float
    before: int
    after: int
    code: object


def shorter(data):
    """The weights of a file that have a code shorter than they are.

    Args:
        data: `bytes` of a .tflite file.

    Returns:
        List of `Coded`, in the order of the file.

    Raises:
        ImportError: If the package tflite-micro is missing, or too old.
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
    """The file with some weights in their codes.

    It comes without the notes that `lean.without_notes` leaves out, as only
    TFLite Micro reads such files.

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
            "A tflite-micro with tools for compressed weights is required. "
            f"Received: one without {name!r}. Run: pip install "
            '"tfprune[export]"',
            name=error.name,
        ) from error


def _weights(model):
    """Yields the places of each weight that may be decoded when it is read."""
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
    # Version 1 of the code; the bitmap begins with the highest bit.
    header = decode.DecodeCommonMetadata(
        decode_type=decode.DecodeType.PRUNING, user_data=bytes([1])
    )
    return compressor.CompressionResult(
        encoded_data=np.packbits(kept).tobytes(),
        ancillary_data=header.to_bytes() + values[kept].tobytes(),
    )


def _lut(tensor):
    """A table for each channel that has a scale, one for all if none has.

    The runtime takes the number of tables from that of the scales, whatever
    the code says.
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
