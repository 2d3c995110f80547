"""The parts of a build tool's project."""

import collections.abc
import dataclasses

from tfprune.export.file import model_file


@dataclasses.dataclass(frozen=True)
class Sources:
    """The sources that all projects share.

    Attributes:
        file: `model_file.ModelFile`.
        name: `str`, C identifier.
        texts: `dict` from file name to text: `model.cc` and so on.
    """

    file: model_file.ModelFile
    name: str
    texts: dict

    @property
    def compiled(self):
        """`list` of `str`, the files to compile."""
        return [path for path in self.texts if path.endswith(".cc")]


def _nothing(sources):
    """No files besides those that all projects share."""
    del sources
    return {}


def _no_reason(data, methods):
    """Accepts every file."""
    del data, methods
    return ""


@dataclasses.dataclass(frozen=True)
class Layout:
    """A project of a build tool.

    Attributes:
        starts: function from `Sources` to a `dict` from path to text: starting
            points for the user's code, which later exports do not change.
        mark: function from the model's name to the path of a file whose
            presence shows that the folder holds this project.
        files: function like `starts`: files that every export writes.
        refusal: function of the file's `bytes` and the resolver's methods that
            returns why the tool's version of TFLite Micro does not compute the
            file correctly; empty if it does.
        dense_scales: "channel" or "tensor", the scales of dense layers that
            its kernels support.
        by_default: `bool`, whether it is written if no project is asked for.
        sign: `bytes`, what that file holds unless a user wrote it; empty if
            it is a starting point, which users change.
    """

    starts: collections.abc.Callable
    mark: collections.abc.Callable
    files: collections.abc.Callable = _nothing
    refusal: collections.abc.Callable = _no_reason
    dense_scales: str = "channel"
    by_default: bool = False
    sign: bytes = b""

    def is_in(self, folder, name):
        """Whether a folder, `pathlib.Path`, holds this project."""
        path = folder / self.mark(name)
        return path.exists() and self.sign in path.read_bytes()
