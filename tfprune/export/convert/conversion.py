"""The converter's file of a traced model, and what is done to it."""

import dataclasses

from absl import logging

from tfprune.core.files import array_files
from tfprune.export.convert import converter
from tfprune.export.convert import failures
from tfprune.export.edit import dead_tensors
from tfprune.export.edit import finishing
from tfprune.export.edit import interfaces
from tfprune.export.edit import lost_weights
from tfprune.export.edit import lstm_layers
from tfprune.export.edit import named_ends
from tfprune.export.edit import requantizing
from tfprune.export.edit import state_scales
from tfprune.export.edit.replaced import esp_kernels
from tfprune.export.file import modes
from tfprune.export.file import tensor_names
from tfprune.export.file import weight_ops

# What a request to the converter has for the same model in float.
_IN_FLOAT = {
    "mode": dataclasses.asdict(modes.MODES["float32"]),
    "keep_float": False,
    "sparse": False,
}
# And what one has for the file from which the ranges are read.
_RANGES = {"ranges": True, "interface": "float32", "sparse": False}


class Conversion:
    """A traced model on its way through the converter.

    Args:
        source: `traced_model.TracedModel`.
        wanted: `file_options.FileOptions`.
        process: `child.Child` of `converter`.
    """

    def __init__(self, source, wanted, process):
        self._source = source
        self._wanted = wanted
        self._process = process
        # The largest value of each tensor by name, if it is known.
        self._largest = None
        self._request = {
            "folder": str(source.folder),
            "manifest": source.manifest,
            "mode": dataclasses.asdict(wanted.mode),
            "interface": wanted.interface,
            "calibration": _save(source.samples, source.folder),
            "sparse": wanted.sparse,
            "dense_scales": wanted.dense_scales,
            "keep_float": bool(source.kept),
        }

    def file(self):
        """Converts, and returns the path of the finished file.

        Raises:
            RuntimeError: If the converter fails.
            ValueError: If an op has no kernel.
        """
        self._convert()
        made = self._source.folder / converter.RESULT
        bits = self._wanted.mode.weight_bits
        if bits:
            self._largest = _requantize(made, self._source.samples, bits)
        data, floats = self._cleared(made), None
        if self._largest is None and dead_tensors.are_there(data):
            # Without an answer, all that is small is taken for zero.
            if not self._ask(_RANGES).error:
                self._largest = dead_tensors.largest(self._unmarked(made))
        if lost_weights.are_lost(data):
            answer = self._ask(_IN_FLOAT)
            if answer.error:
                raise self._failure(answer)
            floats = made.read_bytes()
        data = self._finished(data, floats, self._wanted.micro)
        if self._wanted.kernels == "esp-nn":
            data, _ = esp_kernels.substituted(data)
        if "float16" in self._wanted.mode.types:
            _warn_of_halves(data)
        made.write_bytes(data)
        return made

    def sparse_file(self):
        """The path of the finished file with weights in sparse encoding."""
        path = self._source.folder / converter.SPARSE
        path.write_bytes(self._finished(self._cleared(path)))
        return path

    def _convert(self):
        """Writes the converter's file.

        If only float ops read an input or write an output, it is float.
        """
        # Each step in a process of its own, as the first keeps its weights.
        steps = (True, False) if self._source.manifest["saved"] else (False,)
        for save in steps:
            answer = self._ask({"save": save})
            integers = self._wanted.mode.interfaces[0]
            if (
                failures.are_float_ends(answer)
                and self._wanted.interface == integers
            ):
                self._request["interface"] = "float32"
                answer = self._ask({"save": save})
            if answer.error:
                raise self._failure(answer)

    def _ask(self, request):
        return self._process.ask(self._request | request)

    def _failure(self, answer):
        return failures.of(answer, self._source.manifest, self._wanted.quantize)

    def _cleared(self, path):
        """A converted file with the ends that are asked for."""
        wanted = self._wanted.interface
        partly = self._source.kept or self._request["interface"] != wanted
        data = path.read_bytes()
        if partly and wanted != "float32":
            data = interfaces.quantized(data)
        return self._without_marks(data)

    def _unmarked(self, path):
        return self._without_marks(path.read_bytes())

    def _without_marks(self, data):
        """A file without what marks layers in float."""
        if self._source.kept:
            data = tensor_names.without(data, converter.MARK)
        return data

    def _finished(self, data, floats=None, micro=False):
        """A cleared file with the model's names, and after all edits."""
        manifest = self._source.manifest
        inputs, outputs = (
            [entry.partition(":")[0] for entry in names]
            for names in (
                [spec["name"] for spec in manifest["inputs"]],
                manifest["outputs"],
            )
        )
        if manifest["saved"]:
            data = named_ends.restored(data, inputs, outputs)
        else:
            data = named_ends.unnumbered(data, inputs, outputs)
        data = lstm_layers.fitted(data, manifest.get("lstms"))
        after = outputs[len(outputs) - len(self._source.signature.states) :]
        data = state_scales.aligned(data, after)
        return finishing.finished(data, self._largest, floats, micro)


def _requantize(path, samples, bits):
    """Quantizes a float file; returns the largest value of each tensor."""
    ops = weight_ops.read(path.read_bytes())
    ranges = requantizing.ranges(path, samples)
    wanted = {op.output: bits for op in ops}
    path.write_bytes(requantizing.quantized(path, ops, wanted, ranges))
    return requantizing.largest(ranges)


def _warn_of_halves(data):
    """Logs a warning if weights were too large for float16."""
    names = lost_weights.beyond_half(data)
    if names:
        logging.warning(
            "Weights beyond 65,504, the largest number of float16, were cut to "
            "it: %s. Export them as float32, or scale them.",
            ", ".join(names),
        )


def _save(samples, folder):
    paths = [folder / f"calibration_{i}.npy" for i in range(len(samples))]
    for path, array in zip(paths, samples, strict=True):
        array_files.save(path, array)
    return [str(path) for path in paths]
