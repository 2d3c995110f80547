"""States of a model as inputs and outputs of its file.

A file has no state: TFLite's resource variables do not run in int8 on
microcontrollers. So each state of a stateful layer becomes an input and an
output, and the caller feeds the output of one call to the input of the next.
"""

import dataclasses

import keras
import numpy as np

from tfprune.export.file import tensor_names
from tfprune.graph import document
from tfprune.graph import rebuild
from tfprune.graph import values as values_lib

# The suffix of the output that holds a state after a call.
NEXT = "_next"


@dataclasses.dataclass(frozen=True)
class State:
    """A variable that inference reads and changes.

    Attributes:
        name: `str`, its name as an input of the file; `NEXT` is appended to
            its name as an output.
        variable: the `keras.Variable`.
    """

    name: str
    variable: object


def of(model, inputs):
    """The states of a model.

    Args:
        model: A built `keras.Model`.
        inputs: Arrays to call it on, in its own structure.

    Returns:
        `tuple` of `State`, in the order of the layers.
    """
    owners = {}
    for layer in values_lib.layers(model):
        for variable in _candidates(layer):
            owners[id(variable)] = (layer.name, variable)
    if not owners:
        return ()
    with keras.StatelessScope() as scope:
        model(inputs, training=False)
        changed = [
            (name, variable)
            for name, variable in owners.values()
            if scope.get_current_value(variable) is not None
        ]
    found, counts = [], {}
    for name, variable in changed:
        number = counts[name] = counts.get(name, -1) + 1
        name = f"{tensor_names.plain(name) or 'layer'}_state_{number}"
        found.append(State(name, variable))
    return tuple(found)


def _candidates(layer):
    """The variables that inference might change, without those of layers."""
    found, inner = [], set()
    if isinstance(layer, keras.Model):
        inner = {id(v) for one in layer.layers for v in one.variables}
    else:
        found += values_lib.states(layer)
    if not type(layer).__module__.startswith("keras."):
        found += [
            variable
            for variable in layer.variables
            if not variable.trainable
            and id(variable) not in inner
            # The counter of a random generator is no state of the model.
            and variable.name != "seed_generator_state"
        ]
    return found


def call(model, inputs, states, values):
    """Calls a model with given states.

    Args:
        model: A built `keras.Model`.
        inputs: The argument of the call.
        states: `tuple` of `State`.
        values: A tensor for each state. The variables are not changed.

    Returns:
        The flat outputs, followed by the states after the call.
    """
    pairs = [(s.variable, v) for s, v in zip(states, values, strict=True)]
    with keras.StatelessScope(pairs) as scope:
        outputs = keras.tree.flatten(model(inputs, training=False))
        after = [scope.get_current_value(s.variable) for s in states]
    return [*outputs, *after]


def one_by_one(model):
    """The model for a batch size of 1, even if its states have a larger one.

    Each sample of a batch has its own state, so a batch of one computes the
    same.

    Args:
        model: A built `keras.Model`.

    Returns:
        The model itself, or one with the same weights and zero states.

    Raises:
        ValueError: If a subclassed model has a larger batch.
    """
    if not isinstance(model, keras.Model):
        return model
    remembered = values_lib.states(model)
    batches = {v.shape[0] for v in remembered if v.shape}
    if batches <= {1}:
        return model
    if not isinstance(model.get_config().get("layers"), list):
        raise ValueError(
            "A stateful model must have a batch size of 1 to be exported. "
            f"Received: model={model.name!r} of class {type(model).__name__} "
            f"with a batch of {max(batches)}. Build it for a batch of 1 and "
            "give it the weights: new.set_weights(model.get_weights())."
        )
    zeros = {id(v): np.zeros((1, *v.shape[1:]), v.dtype) for v in remembered}
    config = _with_one_sample(document.copied(document.of(model)))
    return rebuild.build(model, config, lambda v: zeros.get(id(v), v.value))


def _with_one_sample(nested):
    if isinstance(nested, dict):
        return {
            key: [1, *value[1:]]
            if key == "batch_shape" and value
            else _with_one_sample(value)
            for key, value in nested.items()
        }
    if isinstance(nested, (list, tuple)):
        return type(nested)([_with_one_sample(v) for v in nested])
    return nested


def met(model, signature, columns):
    """The states before each sample if the samples were one stream.

    Args:
        model: A built `keras.Model`.
        signature: Its `signature.Signature`.
        columns: List of arrays `(N, ...)`, the samples.

    Returns:
        List of arrays `(N, ...)`, one for each state; zero at first.
    """
    states = signature.states
    if not states:
        return []
    values = [np.zeros(s.variable.shape, s.variable.dtype) for s in states]
    found = []
    for row in zip(*columns, strict=True):
        found.append(values)
        leaves = signature.pack([x[None] for x in row])
        after = call(model, leaves, states, values)
        values = after[len(after) - len(states) :]
        values = [keras.ops.convert_to_numpy(v) for v in values]
    return [np.concatenate(column) for column in zip(*found, strict=True)]
