"""Activations and gradients inside a model on data, batch by batch.

The model is not changed, and only one batch is in memory at a time. Layers run
in inference mode throughout: batch normalization uses its moving statistics,
dropout passes everything on.
"""

import copy as copy_lib
import dataclasses
import itertools
import warnings

import keras
import numpy as np

from tfprune.datasets import samples
from tfprune.graph import compile_state
from tfprune.graph import document
from tfprune.graph import rebuild
from tfprune.graph import tensor as tensor_lib
from tfprune.graph import values
from tfprune.graph.classes import model_class

# What a loss reduces a batch to, where it is not the mean over its samples. A
# mean by the weights of samples takes them back in a batch of one.
_OTHER_REDUCTIONS = ("sum", "none", None, "mean_with_sample_weight")


@dataclasses.dataclass(frozen=True, eq=False)
class Event:
    """One call of a layer or op on a batch.

    Attributes:
        number: `int`, index of the call in `graph.steps`.
        step: `channel_graph.Step`, the graph's record of the call.
        live: the layer or op itself.
        tensors: list of the arrays it is called on, as `step.inputs`.
        output: its return value.
    """

    number: int
    step: object
    live: object
    tensors: list
    output: object


def play(graph, inputs, visit, variables=()):
    """Runs a model on a batch and visits every call of a layer or op.

    Args:
        graph: a `ChannelGraph`.
        inputs: list of arrays, one for each of `graph.inputs`.
        visit: function called with an `Event`.
        variables: pairs `(variable, value)` that override the values of
            variables during the run.

    Returns:
        The flat list of outputs.
    """
    numbers = itertools.count()

    def apply(site, args, kwargs):
        tensors = [
            leaf
            for leaf in keras.tree.flatten((args, kwargs))
            if hasattr(leaf, "shape")
        ]
        args, kwargs = keras.tree.map_structure(_plain, (args, kwargs))
        output = site.live(*args, **kwargs)
        number = next(numbers)
        step = graph.steps[number]
        visit(Event(number, step, site.live, tensors, output))
        return output

    # Layers called with training=True write to the model's state.
    with keras.StatelessScope(list(variables)):
        return document.run(
            graph.config, graph.model, inputs, apply, training=False
        )


def _plain(leaf):
    return leaf.value if isinstance(leaf, tensor_lib.Constant) else leaf


def clone(graph, config=None):
    """Copies a graph's model, compiled if the original is.

    The copy does not share memory with the original: JAX donates the buffers
    of weights when it trains a model.

    Args:
        graph: a `ChannelGraph`.
        config: `dict`, a changed copy of `graph.config`, or `None`.
    """
    config = document.copied(graph.config) if config is None else config
    return rebuild.build(
        graph.model, config, lambda v: np.array(values.numpy(v, exact=True))
    )


def gradients(graph, data, purpose, loss=None, batch_size=32, limit=None):
    """Yields the gradients of the loss with respect to the weights, per batch.

    The loss is that of the data alone, without regularizers: the mean over the
    batch, whatever the loss reduces it to, of losses times sample weights if
    the data have them. To support every backend, a copy of the model runs
    `train_on_batch` with an optimizer that records gradients and takes no step.

    Args:
        graph: a `ChannelGraph`.
        data, purpose, batch_size, limit: as for `samples.batches`.
        loss: as for `keras.Model.compile`; `None` uses the loss that the
            model was compiled with.

    Yields:
        `(gradients, count)` for each batch: a `dict` from `id(variable)` of
        each trainable variable of the model to the gradient of the batch's
        mean loss, numpy, and the number of samples in the batch.

    Raises:
        ValueError: If there is no loss, or as `samples.batches`.
    """
    copy, ids, recorder = _recording(graph, purpose, loss)
    for x, y, weights in samples.batches(
        data,
        purpose,
        batch_size,
        limit,
        labels=True,
        model=graph.model,
        loss=loss,
        weights=True,
    ):
        copy.train_on_batch(x, y, sample_weight=weights)
        found = {
            key: values.numpy(gradient)
            for key, gradient in zip(ids, recorder.gradients, strict=True)
        }
        yield found, len(x[0])


def _recording(graph, purpose, loss):
    """A recording copy of the model, the ids of its variables, the recorder."""
    if loss is None and model_class.defines(graph.model, "compute_loss"):
        warnings.warn(
            f"The compute_loss of model {graph.model.name!r} is not used for "
            f"{purpose}, only the loss that it was compiled with. Pass the "
            "whole one as the criterion's `loss`.",
            stacklevel=2,
        )
    settings = loss_settings(graph.model, purpose, loss)
    settings["loss"] = keras.tree.map_structure(_as_mean, settings["loss"])
    config = _for_gradients(document.copied(graph.config))
    plain = clone(graph, config)
    pairs = zip(plain.weights, graph.model.weights, strict=True)
    originals = {id(new): id(old) for new, old in pairs}
    output = plain.outputs[0] if _is_sequence(plain) else plain.output
    copy = Inference(plain.inputs, output, name=plain.name)
    for layer in values.layers(copy):
        # Keras leaves the variables as they are if the flag does not change,
        # and one may be frozen alone, as the weight that LoRA adapts.
        layer.trainable = False
        layer.trainable = True
    values.drop_activity_penalties(copy)
    for variable in copy.variables:
        variable.regularizer = None
    recorder = _Recorder()
    copy.compile(
        optimizer=recorder,
        # On a CPU, compiling with XLA takes longer than the whole run.
        jit_compile=keras.backend.backend() == "jax",
        **settings,
    )
    recorder.build(copy.trainable_variables)
    ids = [originals[id(v)] for v in copy.trainable_variables]
    return copy, ids, recorder


def _is_sequence(model):
    # A Sequential model that was built but never called has no `output`.
    return isinstance(model, keras.Sequential)


def loss_settings(model, purpose, loss=None):
    """Returns the arguments of `compile` that define the loss on data.

    Args:
        model: a `keras.Model`.
        purpose: `str`, what the loss is for, used in error messages.
        loss: as for `keras.Model.compile`; `None` uses the loss that the
            model was compiled with.

    Returns:
        `dict`.

    Raises:
        ValueError: If there is no loss.
    """
    if loss is not None:
        return {"loss": loss}
    if not model.compiled or model.loss is None:
        raise ValueError(
            f"A loss is needed for {purpose}. Received: model="
            f"{model.name!r}, which is compiled without one or not at all. "
            "Call model.compile(loss=...), or pass a loss as an argument."
        )
    given = compile_state.arguments(model) or {}
    return {"loss": model.loss, "loss_weights": given.get("loss_weights")}


def _as_mean(loss):
    """A loss that is the mean over a batch instead of its sum."""
    if getattr(loss, "reduction", "") in _OTHER_REDUCTIONS:
        loss = copy_lib.copy(loss)
        loss.reduction = "sum_over_batch_size"
    return loss


def _for_gradients(nested):
    """A trainable config in float32, with the loss on data alone.

    Half precision would need loss scaling, whose first steps overflow.
    """
    if isinstance(nested, (list, tuple)):
        for part in nested:
            _for_gradients(part)
    if not isinstance(nested, dict):
        return nested
    inner = nested.get("config")
    if isinstance(inner, dict) and "class_name" in nested:
        if nested.get("module") == "keras.layers":
            inner.update(
                {key: None for key in inner if key.endswith("_regularizer")}
            )
        if "trainable" in inner:
            inner["trainable"] = True
        if _is_half(inner.get("dtype")):
            inner["dtype"] = "float32"
    # Layers within layers, such as the cell of an RNN, are deeper inside.
    for key, part in nested.items():
        if key != "inbound_nodes":
            _for_gradients(part)
    return nested


def _is_half(policy):
    if isinstance(policy, dict) and policy["class_name"] == "DTypePolicy":
        policy = policy["config"]["name"]
    return isinstance(policy, str) and policy.endswith("float16")


class Inference(keras.Model):
    """A model whose layers run in inference mode during training."""

    def call(self, inputs, training=None, mask=None):
        del training
        return super().call(inputs, training=False, mask=mask)


class _Recorder(keras.optimizers.Optimizer):
    """Keeps the gradients of the last batch and takes no step."""

    def __init__(self):
        super().__init__(learning_rate=0.0, name="recorder")
        self.gradients = []

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.gradients = [
            self.add_variable_from_reference(v, name="gradient")
            for v in variables
        ]

    def apply(self, grads, trainable_variables=None):
        for kept, gradient in zip(self.gradients, grads, strict=True):
            if gradient is None:
                gradient = keras.ops.zeros_like(kept)
            kept.assign(keras.ops.convert_to_tensor(gradient, kept.dtype))
