"""What a record is as int8 firmware: accuracy, flash and arena."""

import pathlib
import tempfile

import tfprune
from tfprune.core import tables

# Training images that ranges are calibrated on.
_CALIBRATION = 256


def measure(model, prepare, dataset):
    """Exports a network and runs it on all test images.

    Args:
        model: a `keras.Model` of a record.
        prepare: the `Preprocessing` of its images.
        dataset: a `Dataset` with all training images in `train`.

    Returns:
        `dict`: `accuracy` on TFLite Micro, `flash_bytes`, the array of the
        firmware, and `arena_bytes`, on any core and with any kernels.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.tflite")
        samples = prepare(dataset.train.x[:_CALIBRATION])
        tfprune.export_tflite(model, path, "int8", samples)
        sources = tfprune.export_micro(path, pathlib.Path(folder, "firmware"))
        test = prepare(dataset.test.x), dataset.test.y
        accuracy = tfprune.evaluate_tflite(path, test, "micro", progress=False)
    return {
        "accuracy": accuracy,
        "flash_bytes": sources.flash_bytes,
        "arena_bytes": sources.arena_need.bytes,
    }


def table(done):
    """Figures of the records that have a goal in int8, beside that goal.

    Args:
        done: `dict` from names of records to their metrics.

    Returns:
        A `tables.Table`; `None` if there is no such record.
    """
    rows = []
    for name, metrics in done.items():
        found, goal = metrics.get("int8"), metrics.get("int8_goal")
        if found:
            cells = [
                f"{found[key]:{form}} ({word} {goal[key]:{form}})"
                for key, form, word in (
                    ("accuracy", ".2%", "at least"),
                    ("flash_bytes", ",", "at most"),
                    ("arena_bytes", ",", "at most"),
                )
            ]
            met = (
                found["accuracy"] >= goal["accuracy"]
                and found["flash_bytes"] <= goal["flash_bytes"]
                and found["arena_bytes"] <= goal["arena_bytes"]
            )
            rows.append((name, *cells, "yes" if met else "no"))
    header = ("record", "accuracy", "bytes of flash", "of arena", "goals met")
    return tables.Table(header, tuple(rows)) if rows else None
