"""Exports each LSTM layer as a single op for the whole sequence.

The converter replaces a function that declares to implement an LSTM by the op
UNIDIRECTIONAL_SEQUENCE_LSTM. It takes a few hundred bytes, while each unrolled
step takes some kilobytes.

The op keeps its last states in variables of the interpreter, so the caller has
to reset them before each sequence.
"""

import contextlib
import types

import keras
import numpy as np
from absl import logging

from tfprune.export.convert.traced import overrides
from tfprune.export.convert.traced import plain_names
from tfprune.export.file import tensor_names
from tfprune.graph import values

# The attribute of a function that becomes an op, and which of its outputs has
# the cell states after all steps.
IMPLEMENTS = "api_implements"
CELLS = 3


@contextlib.contextmanager
def fused(model):
    """Traces LSTM layers of a model as one op each within the context.

    Layers with given or returned states, with masks or with activations other
    than tanh and sigmoid are traced as usual, as are subclasses that compute
    something else.

    Args:
        model: a built `keras.Model`, which is restored afterwards.

    Yields:
        `list` of the names of layers traced as one op so far.
    """
    names = []
    loops = (
        (layer, "inner_loop", types.MethodType(_loop(names), layer))
        for layer in values.layers(model)
        if _fits(layer)
    )
    with overrides.of(loops):
        yield names
    if names:
        logging.warning(
            "Each of these layers is one op: %s. It remembers its last step: "
            "reset the interpreter before each sequence "
            "(reset_all_variables() in TFLite, Reset() in TFLite Micro; the "
            'code of export_micro does), or take recurrent="unrolled".',
            ", ".join(names),
        )


def largest(model, names):
    """What functions and ops of layers are recognized by.

    Args:
        model: a `keras.Model`.
        names: the names of its layers that are one op each.

    Returns:
        List of `(path, function, list)`: the path of a layer, such as
        "net/lstm", the value of `IMPLEMENTS` of its functions, and the largest
        absolute weight of each gate.
    """
    found = []
    for layer in values.layers(model):
        if layer.name in names and _fits(layer):
            gates = np.split(np.abs(np.asarray(layer.cell.kernel)), 4, axis=1)
            path = "/".join(map(plain_names.scope, (model.name, layer.name)))
            weights = [float(gate.max()) for gate in gates]
            found.append((path, _function(layer), weights))
    return found


def _function(layer):
    return f"lstm_{tensor_names.plain(layer.name)}"


def _fits(layer):
    kind = type(layer)
    return (
        isinstance(layer, keras.layers.LSTM)
        and kind.call is keras.layers.LSTM.call
        and kind.inner_loop is keras.layers.LSTM.inner_loop
        and type(layer.cell) is keras.layers.LSTMCell
        and layer.cell.activation is keras.activations.tanh
        and layer.cell.recurrent_activation is keras.activations.sigmoid
        and not layer.stateful
        and not layer.return_state
    )


def _loop(names):
    """The replacement of `LSTM.inner_loop`."""

    def inner_loop(layer, sequences, initial_state, mask, training=False):
        if mask is not None or not _is_zero(initial_state):
            return type(layer).inner_loop(
                layer, sequences, initial_state, mask, training
            )
        if layer.name not in names:
            names.append(layer.name)
        return _sequence(layer, sequences, initial_state)

    return inner_loop


def _is_zero(states):
    """Whether states are Keras's initial zeros."""
    return all(
        state.op.type in ("Zeros", "ZerosLike", "Fill", "Const", "BroadcastTo")
        and not _content(state).any()
        for state in states
    )


def _content(tensor):
    import tensorflow as tf

    value = tf.get_static_value(tensor)
    return np.ones(1) if value is None else value


def _sequence(layer, sequences, states):
    """`(last output, outputs, states)`, as `inner_loop` returns them."""
    import tensorflow as tf

    count = sequences.shape[1]
    if layer.go_backwards:
        sequences = tf.gather(sequences, np.arange(count)[::-1], axis=1)

    def steps(inputs, h, c, kernel, recurrent_kernel, bias):
        """The computation of the op, step by step."""
        rows, cells = [], []
        for step in range(count):
            parts = tf.matmul(inputs[:, step], kernel)
            parts += tf.matmul(h, recurrent_kernel) + bias
            i, f, new, o = tf.split(parts, 4, axis=1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(new)
            h = tf.sigmoid(o) * tf.tanh(c)
            rows.append(h)
            cells.append(c)
        cells = tf.stack(cells, 1)
        return h, tf.stack(rows, 1), h, cells, tf.constant(0.0)

    function = tf.function(
        steps,
        autograph=False,
        experimental_attributes={
            IMPLEMENTS: _function(layer),
            "time_major": False,
            "go_backwards": False,
        },
    )
    cell = layer.cell
    bias = cell.bias
    if bias is None:
        bias = tf.zeros(4 * cell.units, sequences.dtype)
    # The converter only recognizes functions of tensors, not of variables.
    weights = (
        tf.identity(tf.convert_to_tensor(weight))
        for weight in (cell.kernel, cell.recurrent_kernel, bias)
    )
    tensors = (sequences, *states, *weights)
    # Called itself, it might be inlined.
    _, outputs, *_ = function.get_concrete_function(*tensors)(*tensors)
    # The converter drops all outputs except the sequence.
    return outputs[:, -1], outputs, list(states)
