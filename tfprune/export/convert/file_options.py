"""What is asked of a `.tflite` file."""

import dataclasses

from tfprune.core import kinds
from tfprune.export.file import modes


@dataclasses.dataclass(frozen=True)
class FileOptions:
    """How a file shall be, with the defaults filled in.

    Attributes:
        quantize: `str` or `None`, as asked for.
        mode: `modes.Mode`.
        interface: `str`, the dtype of inputs and outputs.
        dense_scales: "channel", "tensor" or `None`, if the mode has no choice.
        kernels: one of `modes.KERNELS`.
        runtime: one of `modes.RUNTIMES`.
        fuses: `bool`, whether each LSTM layer becomes a single op.
        sparse: `bool`, whether sparse encoding is tried.
    """

    quantize: str | None
    mode: modes.Mode
    interface: str
    dense_scales: str | None
    kernels: str
    runtime: str
    fuses: bool
    sparse: bool

    @property
    def wide(self):
        """Whether activations are int16."""
        return "int16" in self.mode.interfaces

    @property
    def micro(self):
        """Whether the file is for TFLite Micro."""
        return self.runtime == "micro"


def checked(
    quantize,
    interface,
    *,
    sparse,
    compress,
    flash_bytes,
    ram_bytes,
    kernels,
    dense_scales,
    runtime,
    recurrent,
):
    """Checks the options of `export_tflite` against each other.

    Returns:
        `FileOptions`.

    Raises:
        ValueError: If one of them is unknown, or does not go with another.
    """
    mode, interface = modes.get(quantize, interface)
    scales = modes.dense_scales(quantize, kernels, dense_scales)
    _check_zeros(sparse, compress, flash_bytes, ram_bytes)
    runtime = modes.runtime(quantize, runtime, sparse)
    return FileOptions(
        quantize=quantize,
        mode=mode,
        interface=interface,
        dense_scales=scales,
        kernels=kernels,
        runtime=runtime,
        fuses=modes.fuses(quantize, recurrent, runtime),
        sparse=bool(sparse),
    )


def _check_zeros(sparse, compress, flash_bytes, ram_bytes):
    """Checks `sparse`, `compress` and the limits."""
    for name, value in (("sparse", sparse), ("compress", compress)):
        if value not in (None, "auto"):
            raise ValueError(
                f'{name} must be None or "auto". Received: {name}={value!r}.'
            )
    if sparse and compress:
        raise ValueError(
            "Only TFLite Micro reads compressed weights, and it does not run "
            "sparse ones. Received: sparse and compress. Use one of them."
        )
    kinds.check_bytes(flash_bytes=flash_bytes, ram_bytes=ram_bytes)
    if compress is None and (flash_bytes, ram_bytes) != (None, None):
        raise ValueError(
            'Limits are for compress="auto". Received: compress=None with '
            f"flash_bytes={flash_bytes}, ram_bytes={ram_bytes}. Limits for a "
            "file as it is are those of export_micro."
        )
