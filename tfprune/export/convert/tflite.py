"""Exports Keras models as .tflite files."""

import pathlib
import typing

import keras
from absl import logging

from tfprune.core import packages
from tfprune.core import typed
from tfprune.core.files import atomic
from tfprune.core.files import leftovers
from tfprune.core.processes import child
from tfprune.export.convert import calibration as calibrations
from tfprune.export.convert import calibration_checks
from tfprune.export.convert import conversion
from tfprune.export.convert import converter
from tfprune.export.convert import file_options
from tfprune.export.convert import signature as signatures
from tfprune.export.convert import states
from tfprune.export.convert import traced_model
from tfprune.export.convert.traced import float_layers
from tfprune.export.convert.traced import given_ranges
from tfprune.export.edit import requantizing
from tfprune.export.edit import sparse_encoding
from tfprune.export.file import model_file
from tfprune.export.file import modes
from tfprune.export.micro import compression
from tfprune.export.run import output_check
from tfprune.graph import values


def export_tflite(
    model: keras.Model,
    path: typed.Path,
    quantize: str | None = "float32",
    calibration: typed.Data = None,
    *,
    interface: str | None = None,
    calibration_samples: int = 256,
    input_shapes: typed.Shapes | None = None,
    sparse: str | None = None,
    compress: str | None = None,
    flash_bytes: int | None = None,
    ram_bytes: int | None = None,
    kernels: str = "auto",
    dense_scales: str | None = None,
    runtime: str | None = None,
    recurrent: str = "auto",
    keep_float: str | typing.Iterable[str] = (),
    ranges: dict | None = None,
) -> model_file.ModelFile:
    """Exports a Keras model as a .tflite file with a batch size of one.

    The file only uses built-in kernels, so it runs wherever TFLite does. The
    converter runs in a child process, where a crash cannot end the caller;
    the file is written atomically. The same model and calibration data give
    the same bytes.

    A file keeps no state. Each state of a stateful layer becomes an input
    (`lstm_state_0`), zero at first, and an output (`lstm_state_0_next`) to
    pass to the next call. In quantized files, ids are int32 from the input to
    the lookup, whatever the model casts them to. Inputs of int64 and of other
    integers that TFLite Micro does not take are int32 there, and in all files
    for it.

    Args:
        model: A built `keras.Model` on the TensorFlow backend; not changed.
        path: `str` or path-like, the file to write.
        quantize: How numbers are stored. "float32" (also `None`); "float16"
            weights, half the bytes; "dynamic", int8 weights and float
            activations; "int8" weights and activations, for microcontrollers,
            with per-channel scales for convolutions; "int16x8", int8 weights
            and int16 activations, if int8 is too coarse; "int4", int8 with
            int4 weights of convolutions and dense layers, for LiteRT (TFLite
            Micro has no such dense layers), needs the extra `quantizer`.
        calibration: Samples to calibrate the ranges of quantized activations
            on: an array `(N, ...)`, a tuple, list or dict of arrays for
            several inputs, or an iterable (`tf.data.Dataset`, generator) of
            samples or batches, alone or as `(x, y)`.
        interface: dtype of inputs and outputs of quantized files: "int8"
            ("int16" for "int16x8"; the default) or, except for "int4",
            "float32".
        calibration_samples: `int`, maximum number of samples: evenly spaced
            ones of arrays, the first ones of iterables.
        input_shapes: Shapes without the batch axis for models with unknown
            input sizes: `(32, 32, 3)`, or a list of them.
        sparse: "auto" uses TFLite's sparse encoding for weights with blocks
            of zeros, if it makes the file smaller and TFLite runs it
            correctly; otherwise a message says why not. For phones and
            computers, never for microcontrollers.
        compress: "auto" compresses weights with many zeros in a format that
            only TFLite Micro reads, if that saves more than the decoder's
            code takes; see `compress_tflite`.
        flash_bytes, ram_bytes: `int`, limits for the file, including the
            decoder's code, and for its arena with `compress="auto"`.
        kernels: The kernels that will run the file on a microcontroller:
            "reference", "cmsis-nn", "esp-nn", or "auto" for any of them. For
            "esp-nn", ops that it computes wrongly are rewritten, as
            `export_micro` does for these cores.
        dense_scales: "channel" for per-channel scales of dense layers, or
            "tensor" for per-tensor scales, which are slightly less accurate.
            The default is "channel", but "tensor" for "int16x8" if CMSIS-NN
            may run it, which supports no others. Arduino's library of 2023
            only supports "tensor".
        runtime: What the file is for: "micro", TFLite Micro, or "tflite",
            phones and computers. The default is "micro" for "int8" and
            "int16x8" and "tflite" otherwise and with `sparse`. The file runs
            there once before the export is done. For "micro", recurrent layers
            in float are unrolled.
        recurrent: How LSTM layers are exported to int8: "fused", as one op
            each, which keeps its last state, so reset the interpreter before
            each sequence (`reset_all_variables()`,
            `MicroInterpreter::Reset()`; tfprune and the code of `export_micro`
            do so); or "unrolled", as ops for each step, which take many times
            the flash. "auto" is "fused" for "micro", else "unrolled". Other
            recurrent layers, and LSTM with masks, given states or other
            activations, are always unrolled.
        keep_float: Names of layers, or name patterns, to compute in float in
            int8 files.
        ranges: `dict` from names of layers to `(low, high)`, the ranges of
            their outputs in int8 files, instead of those seen on
            `calibration`: from training (`tfprune.quantization_ranges`), or
            known.

    Returns:
        A `model_file.ModelFile`: path, file_bytes, ops, inputs, outputs.

    Raises:
        ImportError: If a package of the extra `export` is missing.
        OSError: If `path` cannot be written.
        RuntimeError: If Keras runs on another backend, or if the converter
            fails.
        TypeError: If `model` is not a Keras model.
        ValueError: If the model is not built, has weights that are not
            finite, or needs ops without a TFLite kernel; if the calibration
            data do not match; if a file for TFLite Micro, or the float file
            that is calibrated, would exceed 2 GiB; if ids are computed from
            numbers that become int8; if the runtime cannot run the file.

    Example:

    >>> file = export_tflite(model, "small.tflite", "int8", images)
    >>> file.file_bytes, file.ops["CONV_2D"]
    """
    wanted = file_options.checked(
        quantize,
        interface,
        sparse=sparse,
        compress=compress,
        flash_bytes=flash_bytes,
        ram_bytes=ram_bytes,
        kernels=kernels,
        dense_scales=dense_scales,
        runtime=runtime,
        recurrent=recurrent,
    )
    path = atomic.writable(path)
    _check_backend()
    packages.require("ai_edge_litert")
    if wanted.mode.weight_bits:
        requantizing.require()
    model = states.one_by_one(model)
    kept = _kept(model, quantize, keep_float)
    ranges = _ranges(model, quantize, ranges, kept)
    signature = signatures.of(model, input_shapes)
    modes.check_size(model, wanted.mode, wanted.runtime)
    values.check_finite(model)
    samples = _samples(wanted.mode, calibration, signature, calibration_samples)
    if samples:
        samples += states.met(model, signature, samples)
        calibration_checks.warn(model, samples, signature)
    with (
        leftovers.folder() as folder,
        child.Child(converter.__file__) as process,
    ):
        source = traced_model.write(
            model,
            signature,
            samples,
            wanted,
            kept,
            ranges,
            pathlib.Path(folder),
        )
        made = conversion.Conversion(source, wanted, process)
        file = made.file()
        output_check.check(
            model, signature, source.samples, file, wanted.runtime
        )
        if sparse:
            file = sparse_encoding.choose(
                file, made.sparse_file(), wanted.mode.calibrated
            )
        if compress:
            compression.compress_tflite(
                file,
                file,
                flash_bytes=flash_bytes,
                ram_bytes=ram_bytes,
                decoder_bytes=compression.DECODER_BYTES,
                kernels=kernels,
            )
        atomic.write({path: file.read_bytes()})
    result = model_file.read(path)
    if not kept:
        _warn_of_floats(result, wanted)
    logging.info("Wrote %s, %d bytes.", path, result.file_bytes)
    return result


def _kept(model, quantize, patterns):
    """The layers that stay in float."""
    if not patterns:
        return []
    if quantize != "int8":
        raise ValueError(
            'keep_float is for quantize="int8". Received: '
            f"quantize={quantize!r}. Leave it out."
        )
    return float_layers.named(model, patterns)


def _ranges(model, quantize, ranges, kept):
    """`(layer, low, high)` of the layers whose ranges are given."""
    if not ranges:
        return []
    if quantize != "int8":
        raise ValueError(
            'ranges is for quantize="int8". Received: '
            f"quantize={quantize!r}. Leave it out."
        )
    found = given_ranges.checked(model, ranges)
    both = sorted({x.name for x in kept} & set(ranges))
    if both:
        raise ValueError(
            "A layer in float has no range. Received: "
            f"{', '.join(both)} in keep_float and in ranges. Name it in one."
        )
    return found


def _check_backend():
    if keras.config.backend() != "tensorflow":
        raise RuntimeError(
            "The TFLite converter requires the TensorFlow backend. Received: "
            f"KERAS_BACKEND={keras.config.backend()!r}. Save the model with "
            "model.save(path), then load and export it in a process that was "
            "started with KERAS_BACKEND=tensorflow."
        )


def _warn_of_floats(file, wanted):
    """Logs a warning if some op has no integer kernel."""
    interface = wanted.interface
    ends = (*file.inputs, *file.outputs)
    names = [tensor.name for tensor in ends if tensor.dtype == "float32"]
    integers = wanted.mode.calibrated and interface != "float32"
    if integers and "DEQUANTIZE" in file.ops:
        logging.warning(
            "%s computes in float between %d DEQUANTIZE and QUANTIZE ops: "
            "some op has no kernel for %s.%s",
            file.path,
            file.ops["DEQUANTIZE"],
            interface,
            f" These stay float32: {', '.join(names)}." if names else "",
        )


def _samples(mode, calibration, signature, limit):
    if not mode.calibrated:
        if calibration is None:
            return []
        users = [name for name, m in modes.MODES.items() if m.calibrated]
        raise ValueError(
            f"Calibration data is for quantize={' or '.join(users)}. "
            "Received: calibration with another mode. Leave it out."
        )
    if calibration is None:
        raise ValueError(
            "Calibration data is required to quantize activations. Received: "
            "calibration=None. Pass some hundred typical inputs, preprocessed"
            " as the model expects them."
        )
    return calibrations.samples(calibration, signature.data_inputs, limit)
