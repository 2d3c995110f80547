"""Writes scalars, images and histograms for TensorBoard.

Needs only the package `tensorboard`, so it works on every backend.
"""

import struct
import time
import zlib

import numpy as np

from tfprune.core import packages

_BINS = 30


class EventLog:
    """An event file in a folder.

    Args:
        folder: `str`, one TensorBoard run; created if missing.

    Raises:
        ImportError: If the package `tensorboard` is missing.
    """

    def __init__(self, folder):
        writer = _load("tensorboard.summary.writer.event_file_writer")
        self._events = _load("tensorboard.compat.proto.event_pb2")
        self._summaries = _load("tensorboard.compat.proto.summary_pb2")
        self._file = writer.EventFileWriter(folder)

    def scalar(self, tag, value, step):
        """Adds a number at a step."""
        self._add(step, tag=tag, simple_value=float(value))

    def picture(self, tag, pixels, step):
        """Adds a grayscale image, `uint8` of shape `(H, W)`."""
        height, width = pixels.shape
        image = self._summaries.Summary.Image(
            height=height,
            width=width,
            colorspace=1,
            encoded_image_string=as_png(pixels),
        )
        self._add(step, tag=tag, image=image)

    def histogram(self, tag, values, step):
        """Adds a histogram of the finite values."""
        values = np.asarray(values, float).reshape(-1)
        values = values[np.isfinite(values)]
        if not values.size:
            return
        counts, edges = np.histogram(values, _BINS)
        histogram = self._summaries.HistogramProto(
            min=values.min(),
            max=values.max(),
            num=values.size,
            sum=values.sum(),
            sum_squares=np.square(values).sum(),
            bucket_limit=edges[1:].tolist(),
            bucket=counts.tolist(),
        )
        self._add(step, tag=tag, histo=histogram)

    def flush(self):
        """Writes pending events to disk."""
        self._file.flush()

    def close(self):
        """Closes the file."""
        self._file.close()

    def _add(self, step, **value):
        value = self._summaries.Summary.Value(**value)
        self._file.add_event(
            self._events.Event(
                wall_time=time.time(),
                step=step,
                summary=self._summaries.Summary(value=[value]),
            )
        )


def _load(module):
    return packages.load(module, "tensorboard", "PruningSummaries")


def as_png(picture):
    """Encodes a grayscale image, `uint8` of shape `(H, W)`, as PNG bytes."""
    height, width = picture.shape
    lines = np.pad(picture, ((0, 0), (1, 0)))  # A filter type, 0, per line.

    def chunk(kind, content):
        body = kind + content
        size, check = len(content), zlib.crc32(body)
        return struct.pack(">I", size) + body + struct.pack(">I", check)

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(lines.tobytes()))
        + chunk(b"IEND", b"")
    )
