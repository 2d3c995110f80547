"""Pictures of the zeros of every wrapped layer, for TensorBoard."""

import numbers
import struct
import time
import zlib

import keras
import numpy as np

from tfprune.sparsity import wrapper as wrapper_lib


class SparsityImages(keras.callbacks.Callback):
    """Writes a picture of each wrapped weight at the end of epochs.

    A weight is drawn as its matrix of outputs (rows) and inputs (columns, the
    positions of a convolution side by side); weights that are zero are black.
    Needs the package `tensorboard`; works on every backend.

    Args:
        log_dir: `str`, where TensorBoard looks.
        every: `int`, epochs between pictures.

    Example:

    >>> images = tfprune.callbacks.SparsityImages("logs/run1")
    >>> wrapped.fit(x, y, epochs=9, callbacks=[pruning, images])
    """

    def __init__(self, log_dir, every=1):
        super().__init__()
        if not isinstance(every, numbers.Integral) or every < 1:
            raise ValueError(
                "`every` must be a positive number of epochs. Received: "
                f"every={every!r}"
            )
        self.log_dir = str(log_dir)
        self.every = every
        self._writer = None

    def on_train_begin(self, logs=None):
        from tensorboard.summary.writer import event_file_writer

        self._writer = event_file_writer.EventFileWriter(self.log_dir)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        for wrapper in wrapper_lib.find(self.model):
            for name, values in wrapper.folded().items():
                axes = wrapper.slots[name].axes
                if axes is not None:
                    picture = as_picture(values, axes)
                    path = wrapper.slots[name].path
                    self._write(f"zeros/{path}", picture, epoch)
        self._writer.flush()

    def on_train_end(self, logs=None):
        self._writer.close()

    def _write(self, tag, picture, step):
        from tensorboard.compat.proto import event_pb2
        from tensorboard.compat.proto import summary_pb2

        height, width = picture.shape
        image = summary_pb2.Summary.Image(
            height=height,
            width=width,
            colorspace=1,
            encoded_image_string=as_png(picture),
        )
        value = summary_pb2.Summary.Value(tag=tag, image=image)
        self._writer.add_event(
            event_pb2.Event(
                wall_time=time.time(),
                step=step,
                summary=summary_pb2.Summary(value=[value]),
            )
        )


def as_picture(weights, axes):
    """A weight as grey values: 0 where it is zero, else 255.

    Args:
        weights: array.
        axes: its `patterns.Axes`.

    Returns:
        `uint8` array, shape `(outputs, positions * inputs)`.
    """
    matrices = axes.matrices(weights != 0)
    positions, outputs, inputs = matrices.shape
    rows = matrices.transpose(1, 0, 2).reshape(outputs, positions * inputs)
    return rows.astype(np.uint8) * 255


def as_png(picture):
    """Grey values, `uint8` of shape `(H, W)`, as the bytes of a PNG file."""
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
