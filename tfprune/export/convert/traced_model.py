"""A model as the converter reads it: a graph, its weights and samples."""

import contextlib
import dataclasses
import pathlib

import numpy as np

from tfprune.export.convert import graph_file
from tfprune.export.convert import signature as signatures
from tfprune.export.convert.ranges import cell_ranges
from tfprune.export.convert.ranges import joint_ranges
from tfprune.export.convert.ranges import masked_scores
from tfprune.export.convert.traced import float_layers
from tfprune.export.convert.traced import fused_lstm
from tfprune.export.convert.traced import given_ranges
from tfprune.export.convert.traced import time_steps
from tfprune.export.convert.traced import unrolling


@dataclasses.dataclass(frozen=True)
class TracedModel:
    """A model that was traced and written.

    Attributes:
        folder: `pathlib.Path`, where its graph and its weights lie.
        manifest: `dict`, as of `graph_file.write`.
        signature: `signature.Signature`.
        samples: list of arrays, the calibration data of each input.
        kept: list of the layers that stay in float.
    """

    folder: pathlib.Path
    manifest: dict
    signature: signatures.Signature
    samples: list[np.ndarray]
    kept: list


def write(model, signature, samples, wanted, kept, ranges, folder):
    """Traces a model for a file.

    Args:
        model: a built `keras.Model`.
        signature: its `signature.Signature`.
        samples: list of arrays, the calibration data of each input, or empty.
        wanted: `file_options.FileOptions`.
        kept: list of the layers that stay in float.
        ranges: list of `(layer, low, high)`, ranges of outputs.
        folder: `pathlib.Path`, an empty folder.

    Returns:
        `TracedModel`.
    """
    manifest = _manifest(model, signature, wanted, kept, ranges, folder)
    samples = [
        array.astype(spec["dtype"], copy=False)
        for array, spec in zip(samples, manifest["inputs"], strict=False)
    ]
    if samples:
        masked_scores.rewrite(folder, manifest, samples, wanted.wide)
        manifest["lstms"] = cell_ranges.measured(folder, manifest, samples)
        # With bits of its own, ranges are not the converter's.
        if wanted.mode.weight_bits is None:
            joint_ranges.rewrite(folder, manifest, samples, wanted.wide)
    return TracedModel(folder, manifest, signature, samples, kept)


def _manifest(model, signature, wanted, kept, ranges, folder):
    """Writes the graph.

    Loops are unrolled if it is quantized, and for TFLite Micro, whose loops
    give wrong outputs where they return sequences, or do not end.
    """
    if not wanted.mode.calibrated:
        loops = unrolling.unrolled(model) if wanted.micro else None
        with time_steps.together(model), loops or contextlib.nullcontext():
            return graph_file.write(
                model, signature, folder, micro=wanted.micro
            )
    fuse = wanted.fuses and not kept
    fusing = fused_lstm.fused(model) if fuse else contextlib.nullcontext(())
    with (
        time_steps.together(model),
        fusing as names,
        unrolling.unrolled(model, names),
        float_layers.marked(kept),
        given_ranges.applied(ranges),
    ):
        found = graph_file.write(
            model, signature, folder, wanted.interface, wanted.wide
        )
        return found | {"lstms": fused_lstm.largest(model, names)}
