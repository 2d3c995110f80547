"""Functions within layers, traced as parts of the model's own graph.

Rewritings see the ops of that graph alone, but a layer may call a
`tf.function`, as grouped convolutions do.
"""

import contextlib


@contextlib.contextmanager
def calls():
    """Within it, a `tf.function` that a traced one calls is no function.

    Python then runs its body as it stands, so that an `if` of a tensor is an
    error.
    """
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)
