"""What a project of a build tool is made of."""

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
        """The names of the files that a compiler takes, `list` of `str`."""
        return [path for path in self.texts if path.endswith(".cc")]


def _nothing(sources):
    """No files beside those that all projects share."""
    del sources
    return {}


def _no_reason(data, methods):
    """Runs every file."""
    del data, methods
    return ""


@dataclasses.dataclass(frozen=True)
class Layout:
    """A project of a build tool.

    Attributes:
        starts: function of `Sources`, a `dict` from path to text: files that
            are a start for one's own code, and left alone once they are there.
        files: likewise, files that are written at each export.
        mark: function of the C identifier, the path of a file that tells that
            the project is there.
        refusal: function of the file's `bytes` and the resolver's methods, why
            the tool's TFLite Micro does not compute it rightly; empty where it
            does.
        dense_scales: "channel" or "tensor", the scales of dense layers that
            its kernels read.
        by_default: `bool`, whether it is written unless others are asked for.
    """

    starts: collections.abc.Callable
    mark: collections.abc.Callable
    files: collections.abc.Callable = _nothing
    refusal: collections.abc.Callable = _no_reason
    dense_scales: str = "channel"
    by_default: bool = False
