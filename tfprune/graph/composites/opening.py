"""Opens composite layers: those that only call other layers and ops.

A block that a user has written as a class of its own says nothing about its
inside in its config. Its `call` does: run once on symbolic tensors, it leaves
a graph of the layers and ops that it is made of, and that graph stands in its
place, as a Functional model of the block's name that holds the very same
layers.
"""

import functools

import keras
import numpy as np

from tfprune.graph import rulebook
from tfprune.graph import values
from tfprune.graph.classes import model_class
from tfprune.graph.classes import op_configs
from tfprune.graph.composites import tracing


def opened(model):
    """A model whose composite layers are Functional models.

    A layer stays whole where its `call` needs real arrays, uses weights of
    its own, or does something else in training; and all of them stay where
    the outputs of the model would change.

    Args:
        model: a Functional or Sequential model.

    Returns:
        `(model, whole)`: the model itself if there is nothing to open, else
        another one of the same layers; and a `dict` from the `id` of each
        layer without a rule to the reason why it could not be opened.
    """
    whole = {}
    layers = values.layers_of(model)
    if any(_makes_mask(layer) for layer in layers):
        # Keras hands masks to a layer, but not to a model in its place.
        reason = "Keras hands masks to it"
        whole = {id(x): reason for x in layers if _takes_mask(x)}
    while True:
        opener = _Opener(whole)
        try:
            found = opener.model(model)
        except tracing.StartAgainError:
            whole = opener.whole
            continue
        if found is model or equal(model, found):
            return found, opener.whole
        if not opener.layers:
            op_configs.check(model)
            return model, opener.whole
        reason = "opened, it gives other outputs"
        whole = opener.whole | {id(x): reason for x in opener.layers}


def with_plain_ops(model):
    """The model, of which Keras can write all ops; or itself, if it could.

    Args:
        model: a Functional or Sequential model.

    Raises:
        ValueError: If the settings of an op are not only those of numpy.
    """
    whole = {id(x): "is not asked for" for x in values.layers_of(model)}
    found = _Opener(whole).model(model)
    if found is model or equal(model, found):
        return found
    op_configs.check(model)
    return model


class _Opener:
    """Opens the layers of one model.

    Attributes:
        whole: `dict` from the `id` of a layer to why it stays whole.
        layers: list of the layers that were opened.
    """

    def __init__(self, whole):
        self.whole = dict(whole)
        self.layers = []
        self._opened = {}
        self._changes = 0

    def model(self, model, tensors=None):
        """The model with its layers opened, or itself.

        Args:
            model: a Functional or Sequential model.
            tensors: symbolic tensors, flat, that it is called on; sizes that
                its own inputs leave open are taken from them.
        """
        if not self._has_composite(model):
            return model
        before = self._changes
        if isinstance(model, keras.Sequential):
            new = self._sequential(model)
        else:
            new = self._functional(model, tracing.new_inputs(model, tensors))
        if self._changes == before and lists_layers(model):
            return model
        self._changes += 1
        # Layers are shared: what is trainable of them stays as it is.
        new = _of_class(type(model), new)
        model_class.stands_for(new, model)
        return new

    def _functional(self, model, inputs):
        return keras.models.clone_model(
            keras.Model(model.input, model.output, name=model.name),
            input_tensors=inputs,
            clone_function=lambda layer: layer,
            call_function=self._call,
        )

    def _has_composite(self, layer):
        if tracing.is_model(layer):
            ops = getattr(layer, "operations", ())
            inside = any(self._has_composite(x) for x in layer.layers)
            inside |= any(map(op_configs.is_missing, ops))
            return inside or not lists_layers(layer)
        if id(layer) in self.whole:
            return False
        return spreads_model(layer) or not _has_rule(layer)

    def _sequential(self, model):
        x = model.inputs[0]
        new = keras.Sequential(name=model.name)
        new.add(keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name))
        for layer in model.layers:
            inputs = keras.Input(batch_shape=layer.input.shape)
            new.add(self._target(layer, (inputs,), {}) or layer)
        return new

    def _call(self, layer, *args, **kwargs):
        if op_configs.is_missing(layer):
            layer = op_configs.with_plain_numbers(layer)
            self._changes += 1
        if _fixes_batch(layer, *args):
            sizes = layer.output.shape[1:]
            return keras.ops.reshape(args[0], (-1, *sizes))
        target = self._target(layer, args, kwargs)
        if target is None:
            return layer(*args, **kwargs)
        if tracing.is_model(layer):
            return target(*args, **kwargs)
        tensors = tracing.tensors_of((args, kwargs))
        return target(
            tensors if len(tensors) > 1 else tensors[0],
            training=kwargs.get("training"),
        )

    def _target(self, layer, args, kwargs):
        """What is called in place of a layer; `None` for the layer itself."""
        if not isinstance(layer, keras.layers.Layer):
            return None
        if not self._has_composite(layer):
            return None
        if tracing.is_model(layer):
            if id(layer) not in self._opened:
                tensors = tracing.tensors_of((args, kwargs))
                self._opened[id(layer)] = self.model(layer, tensors)
            return self._opened[id(layer)]
        rest = {k: v for k, v in kwargs.items() if k != "training"}
        form = str(keras.tree.map_structure(_form, (args, rest)))
        forms = self._opened.setdefault(id(layer), {})
        if form not in forms:
            if forms and layer.weights:
                # The copies would not share their weights any more.
                self.whole[id(layer)] = "it is called in several ways"
                raise tracing.StartAgainError
            try:
                forms[form] = self._trace(layer, args, kwargs, len(forms))
            except tracing.StaysWholeError as error:
                self.whole[id(layer)] = str(error)
                return None
            self.layers.append(layer)
            self._changes += 1
        return forms[form]

    def _trace(self, layer, args, kwargs, number):
        """The graph of a layer, in which those within are opened too."""
        name = f"{layer.name}_{number}" if number else layer.name
        if spreads_model(layer):
            return self._inside(_over_steps(layer, args[0], name))[0]
        try:
            model = tracing.traced(layer, args, kwargs, None, name)
        except tracing.StaysWholeError:
            model = tracing.traced(layer, args, kwargs, 1, name)
        inner = {id(weight) for weight in model.weights}
        if any(id(weight) not in inner for weight in layer.weights):
            raise tracing.StaysWholeError("it has weights of its own")
        found, content = self._inside(model)
        if "training" in tracing.parameters(layer):
            training = kwargs | {"training": True}
            batch = model.inputs[0].shape[0]
            other = tracing.traced(layer, args, training, batch, name)
            if self._inside(other)[1] != content:
                reason = "it does something else in training"
                raise tracing.StaysWholeError(reason)
        return found

    def _inside(self, traced):
        """A traced graph with its layers opened, for any batch."""
        inputs = [
            keras.Input(batch_shape=(None, *x.shape[1:]), dtype=x.dtype)
            for x in traced.inputs
        ]
        with tracing.explained():
            inputs = inputs if len(inputs) > 1 else inputs[0]
            model = self._functional(traced, inputs)
            return model, _content(model.get_config())


def spreads_model(layer):
    """Whether a layer is a TimeDistributed over a whole model."""
    return isinstance(layer, keras.layers.TimeDistributed) and tracing.is_model(
        layer.layer
    )


def _over_steps(layer, x, name):
    """A model for each step as that model on all steps at once."""
    steps = x.shape[1]
    if steps is None:
        raise tracing.StaysWholeError("the number of its steps is open")
    inputs = keras.Input(batch_shape=x.shape, dtype=x.dtype)
    each = keras.ops.reshape(inputs, (-1, *x.shape[2:]))
    outputs = layer.layer(each)
    if not isinstance(outputs, keras.KerasTensor):
        raise tracing.StaysWholeError("its model has several outputs")
    outputs = keras.ops.reshape(outputs, (-1, steps, *outputs.shape[1:]))
    return keras.Model(inputs, outputs, name=name)


def _of_class(cls, new):
    """The model as one of a class that takes inputs and outputs."""
    if cls.__module__.startswith("keras.") or type(new) is cls:
        return new
    try:
        return cls(new.input, new.output, name=new.name)
    except Exception:  # Its __init__ takes something else.
        return new


def _fixes_batch(layer, *args):
    """Whether a reshape was traced for a batch of 1, and any is to come."""
    shape = getattr(layer, "newshape", None)
    return bool(shape) and shape[0] == 1 and args[0].shape[0] is None


def _form(x):
    return x.shape if isinstance(x, keras.KerasTensor) else repr(x)


def lists_layers(model):
    """Whether a model's config is its graph; a class may write its own."""
    if isinstance(model, keras.Sequential) or type(model) is _functional():
        return True
    return "input_layers" in model.get_config()


@functools.cache
def _functional():
    """The class of models made from inputs and outputs, which has no name."""
    x = keras.Input((1,))
    return type(keras.Model(x, x))


def _has_rule(layer):
    cls = type(layer)
    if isinstance(layer, keras.layers.InputLayer):
        return True
    from_keras = cls.__module__.startswith("keras.")
    known = rulebook.is_known(
        {
            "module": "keras.layers" if from_keras else cls.__module__,
            "class_name": cls.__name__,
            "registered_name": keras.saving.get_registered_name(cls),
        }
    )
    return known or rulebook.base_of(layer) is not None


def _takes_mask(layer):
    return not tracing.is_model(layer) and "mask" in tracing.parameters(layer)


def _makes_mask(layer):
    masks = isinstance(layer, keras.layers.Masking)
    return masks or getattr(layer, "mask_zero", False)


def _content(nested):
    """A config without names, references and the flag for training."""
    if isinstance(nested, dict):
        if nested.get("class_name") == "__keras_tensor__":
            return "tensor"
        dropped = ("name", "training", "input_layers", "output_layers")
        return {k: _content(v) for k, v in nested.items() if k not in dropped}
    if isinstance(nested, (list, tuple)):
        return [_content(v) for v in nested]
    return str(nested)


def equal(model, other, tolerance=1e-4, moved=True):
    """Whether two models of the same layers give the same outputs.

    Args:
        model, other: models; `other` is Functional or Sequential.
        tolerance: float, relative to the largest output.
        moved: `bool`, whether to compare with other weights: a trace may hold
            the values that weights had in it.
    """
    weights = model.trainable_variables if moved else []
    moved = [(v, v * 1.1) for v in weights]
    inputs = values.random_inputs(other)
    # One after the other, so that both draw the same random numbers.
    with keras.StatelessScope(moved):
        expected = keras.tree.flatten(model(inputs, training=False))
    try:
        with keras.StatelessScope(moved):
            outputs = keras.tree.flatten(other(inputs, training=False))
    except Exception:  # The trace does not run: it is not that model.
        return False
    for a, b in zip(expected, outputs, strict=True):
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        a, b = values.numpy(a), values.numpy(b)
        scale = np.abs(a[np.isfinite(a)]).max(initial=1e-12)
        if not np.allclose(a, b, 0, tolerance * scale, equal_nan=True):
            return False
    return True
