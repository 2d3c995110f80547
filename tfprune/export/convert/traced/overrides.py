"""Attributes of layers that have another value while a model is traced.

A model of a user's own class cannot be copied. So the model's own layers
change, and are as before afterwards, however the trace ended.
"""

import contextlib
import threading

# Two threads may export one model: the second must not take the values of the
# first for those to go back to.
_TRACE = threading.RLock()
_OF_THE_CLASS = object()


@contextlib.contextmanager
def of(changes):
    """Sets attributes while this is open, in one thread at a time.

    Args:
        changes: An iterable of `(layer, attribute, value)`. It is read when
            no other thread has changed a layer; a generator that reads
            layers sees them as their owner left them.
    """
    with _TRACE, contextlib.ExitStack() as stack:
        for layer, name, value in changes:
            old = vars(layer).get(name, _OF_THE_CLASS)
            stack.callback(_restore, layer, name, old)
            setattr(layer, name, value)
        yield


def _restore(layer, name, old):
    if old is _OF_THE_CLASS:
        delattr(layer, name)
    else:
        setattr(layer, name, old)
