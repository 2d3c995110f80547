"""One error for damaged files, whatever reading them raised."""

import contextlib
import json
import struct
import zipfile
import zlib

_KINDS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    RuntimeError,
    StopIteration,
    TypeError,
    UnicodeError,
    json.JSONDecodeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
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
    if isinstance(reason, BaseException):
        kind = type(reason).__name__
        reason = f"{kind}: {reason}" if str(reason) else kind
    line = " ".join(str(reason).split())[:300]
    return ValueError(
        f"The file is damaged: {str(path)!r} ({line}). Use another copy of "
        "it, or write it again."
    )


@contextlib.contextmanager
def reading(path):
    """Turns the exceptions from reading a damaged file into a `ValueError`.

    Errors with a cause of their own (a `ValueError`, an unknown class, a
    missing file) pass through.

    Args:
        path: path-like, for the message.
    """
    try:
        yield
    except _OTHERS:
        raise
    except _KINDS as found:
        if isinstance(found, TypeError | RuntimeError | AttributeError) and any(
            word in str(found) for word in _CLASSES
        ):
            raise
        if isinstance(found, ValueError) and not isinstance(
            found, json.JSONDecodeError | UnicodeError
        ):
            raise
        raise error(path, found) from found
