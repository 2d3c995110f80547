"""Long chains of layers, which Keras builds by recursion."""

import contextlib
import sys


def advice():
    """What to do about it, one sentence."""
    return (
        "Keras builds a chain of layers by recursion, and Python allows "
        f"{sys.getrecursionlimit():,} nested calls: raise that first, "
        "sys.setrecursionlimit(20_000)."
    )


@contextlib.contextmanager
def explained(name):
    """Turns the end of Python's stack into an error that says what to do.

    Args:
        name: `str`, the model's.

    Raises:
        RecursionError: If the model is too deep to be built.
    """
    try:
        yield
    except RecursionError as error:
        raise RecursionError(
            f"A model must not be deeper than Python's stack. Received: "
            f"model={name!r}. {advice()}"
        ) from error
