"""One error for damaged files, whatever reading them raised."""

import contextlib
import json
import pathlib
import struct
import zipfile
import zlib

from tfprune.core import deep_chains

_KINDS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    StopIteration,
    TypeError,
    UnicodeError,
    json.JSONDecodeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
# Records have kilobytes; searches of days some megabytes.
_MOST_TEXT = 1 << 26
# Errors that are not the file's fault, and errors in the calling code.
_OTHERS = FileNotFoundError, PermissionError, IsADirectoryError, ImportError
_CLASSES = "locate", "custom_objects", "register_keras_serializable", "Lambda"


def error(path, reason):
    """The error for a damaged file.

    Args:
        path: path-like.
        reason: `str` or an exception.

    Returns:
        A `ValueError`, of one line.
    """
    return ValueError(
        f"The file is damaged: {str(path)!r} ({_line(reason)}). Use another "
        "copy of it, or write it again."
    )


def _line(reason):
    """A reason as one line that can be printed, whatever a file put into it."""
    if isinstance(reason, BaseException):
        kind = type(reason).__name__
        # Keras puts whole configs before what went wrong, or behind it.
        text = str(reason).rpartition("Exception encountered: ")[2]
        text = text.partition(" Full object config: ")[0].removesuffix(".")
        reason = f"{kind}: {text}" if text else kind
    line = " ".join(str(reason).split())[:300]
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def read_json(path, make=None):
    """What a JSON file holds.

    Args:
        path: path-like.
        make: function of that, which checks it; `None` gives it as it is.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or longer than some ten megabytes.
    """
    path = pathlib.Path(path)
    length = path.stat().st_size
    if length > _MOST_TEXT:
        raise error(path, f"{length:,} bytes, more than {_MOST_TEXT:,}")
    with reading(path):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if make is None else make(found)


@contextlib.contextmanager
def reading(path):
    """Turns the exceptions from reading a damaged file into a `ValueError`.

    Errors with a cause of their own (a `ValueError`, a missing file) pass
    through. A class that is not known may be damage or not, and the error says
    so.

    Args:
        path: path-like, for the message.
    """
    try:
        yield
    except _OTHERS:
        raise
    except RecursionError as found:
        reason = "or its model is too deep. " + deep_chains.advice()
        raise error(path, reason) from found
    except _KINDS as found:
        if isinstance(found, TypeError | RuntimeError | AttributeError) and any(
            word in str(found) for word in _CLASSES
        ):
            raise ValueError(
                "The classes in a file must be known. Received: "
                f"{str(path)!r} ({_line(found)}). Pass them as "
                "`custom_objects`; if it has none of its own, it is damaged."
            ) from found
        if isinstance(found, ValueError) and not isinstance(
            found, json.JSONDecodeError | UnicodeError
        ):
            raise
        raise error(path, found) from found
    except ValueError as found:
        # In many lines, Keras lists variables that the file does not have.
        if "objects could not be loaded" not in str(found):
            raise
        raise error(path, found) from found
