"""The wrapper that applies a method to a layer."""

import warnings
import weakref

import keras
import numpy as np

from tfprune.graph import values as values_lib
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import weights

NEVER = -1
UNKNOWN = "another library's"
_ALIVE = 32
_FORGOTTEN = "in a file, or a copy"


@keras.saving.register_keras_serializable("tfprune")
class PruningWrapper(keras.layers.Wrapper):
    """Runs any layer with a method applied to its weights, inputs or outputs.

    The layer inside keeps its weights, its name and its losses. It is called
    in a `keras.StatelessScope` in which each weight that the method acts on
    has the value `method.effective_kernel(...)`; the layer's state changes in
    that scope (moving statistics, random seeds) are written back.

    The wrapper has the same name as the layer inside, so losses and metrics
    keyed by output names stay valid. The layer's constraints act on the trained
    weight, not on the effective one; so do its regularizers, except that they
    see the zeros of scheduled masks. Papers whose methods learn define them so,
    and regularizers do not train what these methods learn.

    Args:
        layer: `keras.layers.Layer`.
        method: `tfprune.sparsity.Method`.
        shared: a `Shared` for a method that needs one; `wrap` creates it.
        followed: iterable of notes of the schedules that it has followed, as
            in a file.
        spared: `bool`, whether an optimizer spared what the method learns, as
            in a file, which does not tell the optimizer.
        **kwargs: arguments of `keras.layers.Layer`.

    Example:

    >>> wrapper = PruningWrapper(keras.layers.Dense(2), Masked())
    >>> wrapper(np.ones((1, 3))).shape
    (1, 2)
    """

    def __init__(
        self, layer, method, shared=None, followed=(), spared=False, **kwargs
    ):
        if isinstance(layer, PruningWrapper):
            raise ValueError(
                "A layer can be wrapped once. Received: layer "
                f"{layer.name!r}, which is wrapped with {layer.method}. "
                "Unwrap it first."
            )
        if not isinstance(method, method_lib.Method):
            raise ValueError(
                "`method` must be a method object. Received: "
                f"method={method!r}. Registered: "
                f"{', '.join(method_lib.METHODS.names())}."
            )
        kwargs.setdefault("name", layer.name)
        kwargs.setdefault("trainable", layer.trainable)
        kwargs.setdefault("dtype", layer.variable_dtype)
        super().__init__(layer, autocast=False, **kwargs)
        self.method = method
        self.shared = shared
        if shared is not None:
            shared.join(self)
        self.supports_masking = layer.supports_masking
        self.supports_jit = layer.supports_jit
        self.state = _State(followed, _FORGOTTEN if spared else False)

    @property
    def slots(self):
        """`dict` from names of weights, `"inputs"`, `"outputs"` to `Slot`s."""
        return self.state.slots

    @property
    def updated(self):
        """Variable: the optimizer step of the last scheduled update.

        `NEVER` (-1) before the first; `None` for a method without schedule.
        """
        return self.state.updated

    def build(self, input_shape=None):
        super().build(input_shape)
        sites = self.method.sites(self.layer)
        if not sites:
            raise ValueError(
                f"{type(self.method).__name__} needs a layer with one of the "
                f"weights {', '.join(weights.ATTRIBUTES)}. Received: layer "
                f"{self.layer.name!r} of type {type(self.layer).__name__}. "
                "Choose other layers."
            )
        if self.method.is_scheduled:
            self.state.updated = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(NEVER),
                trainable=False,
                dtype="int32",
                name="updated",
            )
        for name in sites:
            slot = method_lib.Slot(name, self, self._shape(name, input_shape))
            self.method.build(slot)
            if slot.kernel is not None and slot.kernel.regularizer is not None:
                slot.kernel.regularizer = _OfMasked(
                    slot.kernel.regularizer, self.method, slot
                )
            self._attach_penalties(slot)
            self.slots[name] = slot
            if name == method_lib.INPUTS:
                self.state.reader = _Reader(self.method, slot)

    def _shape(self, name, input_shape):
        if name not in method_lib.SIGNALS:
            return tuple(weights.variable(self.layer, name).shape)
        shape = input_shape
        if name == method_lib.OUTPUTS:
            shape = self.layer.compute_output_shape(input_shape)
        # Shapes read from a file are lists; names of several are in a dict.
        if not all(n is None or isinstance(n, int) for n in shape):
            advice = (
                "Choose other layers, or let it act on weights alone."
                if name == method_lib.INPUTS
                else "Choose other layers: one that reads the output alone."
            )
            raise ValueError(
                f"{type(self.method).__name__} acts on a layer's {name}, "
                "which must be one tensor. Received: layer "
                f"{self.layer.name!r} with {name} of shape {shape}. {advice}"
            )
        return (None, *shape[1:])

    def _attach_penalties(self, slot):
        """Adds each penalty to the loss as a variable's regularizer.

        Unlike `add_loss` in `call`, this counts once if a layer is shared.
        """
        common = [] if self.shared is None else self.shared.weights
        for method, part in self.method.parts(slot):
            if method.penalty(part) is None:
                continue
            # Also those that are frozen now, which may be trained later.
            own = [v for n, v in part.own.items() if n in part.learned]
            anchor = own[0] if own else slot.kernel
            is_common = any(anchor is variable for variable in common)
            if is_common and anchor.regularizer is not None:
                continue  # A layer that shares it has already added it.
            anchor.regularizer = _Penalty(anchor.regularizer, method, part)

    def call(self, inputs, *args, training=None, **kwargs):
        outputs = self.ungated(inputs, *args, training=training, **kwargs)
        if method_lib.OUTPUTS in self.slots:
            slot = self.slots[method_lib.OUTPUTS]
            return self.method.gate(slot, outputs, training=bool(training))
        return outputs

    def ungated(self, inputs, *args, training=None, **kwargs):
        """Calls the layer as `call` does, without what acts on its outputs."""
        if self.shared is not None:
            self.shared.check()
        if training and self.state.spared == _FORGOTTEN:
            self._warn_of_weight_decay()
        if self._layer_takes("training") and training is not None:
            kwargs["training"] = training
        if method_lib.INPUTS in self.slots:
            inputs = self.state.reader(inputs, training=bool(training))
        values = self._values(training)
        scope = keras.StatelessScope(values, collect_losses=True)
        variables = self._layer_variables()
        before = [scope.get_current_value(v) for v in variables]
        with scope:
            outputs = self.layer(inputs, *args, **kwargs)
        after = [scope.get_current_value(v) for v in variables]
        self._write_back(zip(variables, before, after, strict=True))
        self._add_losses(scope.losses)
        return outputs

    def _warn_of_weight_decay(self):
        self.state.spared = True
        warnings.warn(
            "An optimizer of a file, or a new one, was not told to spare what "
            "methods learn from weight decay, as the one before was. Call "
            "tfprune.training.exclude_from_weight_decay(model.optimizer, "
            "model) before training.",
            stacklevel=2,
        )

    def _layer_takes(self, argument):
        return argument in self.layer.call_signature_parameters

    def _layer_variables(self):
        listed = self.layer.variables + self.layer.metrics_variables
        return listed + values_lib.states(self.layer)

    def _check_kernels(self):
        """Raises a `ValueError` if the layer has another weight by now."""
        for name, slot in self.slots.items():
            # Layers within, as those of attention, may have had LoRA before.
            own = "." not in name
            if own and weights.variable(self.layer, name) is not slot.kernel:
                raise ValueError(
                    "A wrapped layer must keep the weight that the method acts "
                    f"on. Received: layer {self.layer.name!r}, whose {name!r} "
                    "has been replaced, as quantize() and enable_lora() do. "
                    "Call them on what tfprune.strip or tfprune.unwrap returns."
                )

    def _values(self, training):
        """Pairs of each variable of the layer and its effective value."""
        self._check_kernels()
        values = [(v, v.value) for v in self._layer_variables()]
        for slot in self.slots.values():
            if slot.kernel is not None:
                kernel = self.method.effective_kernel(
                    slot, slot.kernel.value, training=bool(training)
                )
                values.append((slot.kernel, kernel))
        return values

    def _write_back(self, changes):
        seen = {id(slot.kernel) for slot in self.slots.values()}
        for variable, before, after in changes:
            if after is before:
                continue
            if id(variable) in seen:
                # What the layer makes of its weight (spectral normalization)
                # was computed from the effective one.
                after = variable.value + (after - before)
            variable.assign(after)

    def _add_losses(self, losses):
        # Copies, since the layer inside recognises the originals by `id`
        # and would report them again; and the originals of the last calls
        # stay alive, lest another loss be given the same `id`.
        self.state.losses = [*self.state.losses, *losses][-_ALIVE:]
        for loss in losses:
            self.add_loss(keras.ops.multiply(loss, 1))

    def compute_output_shape(self, *args, **kwargs):
        return self.layer.compute_output_shape(*args, **kwargs)

    def compute_output_spec(self, *args, **kwargs):
        if not self._layer_takes("training"):
            kwargs.pop("training", None)
        return self.layer.compute_output_spec(*args, **kwargs)

    def compute_mask(self, inputs, previous_mask):
        return self.layer.compute_mask(inputs, previous_mask)

    def folded(self):
        """Returns what a plain layer needs for the same inference outputs.

        Returns:
            `dict` from the weights to their values, and from `"outputs"` to
            an array that the outputs are multiplied by.
        """
        self._check_kernels()
        return {
            name: self._factors(slot)
            if name == method_lib.OUTPUTS
            else self.method.fold(slot)
            for name, slot in self.slots.items()
            if name != method_lib.INPUTS
        }

    def _factors(self, slot):
        factors = 1.0
        for method, part in self.method.parts(slot):
            shape = [1] * len(slot.shape)
            shape[method.channel_axis(part)] = -1
            factors = factors * np.reshape(method.fold(part), shape)
        return factors

    def renew_shared(self, config, copies):
        """Lets the copies of all wrappers that share variables share new ones.

        Args:
            config: `dict`, the config of this wrapper's copy, changed in place.
            copies: `dict` that is the same for all wrappers of a model.
        """
        if self.shared is not None:
            if id(self.shared) not in copies:
                new = type(self.shared).from_config(self.shared.get_config())
                copies[id(self.shared)] = new
            config["shared"] = copies[id(self.shared)]

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        config = {**super().get_config(), "method": serialize(self.method)}
        if self.shared is not None:
            # In a file Keras numbers an object when it meets it again, and
            # the wrappers of a file then get one object. The first of them
            # is to carry the number too, so it is met twice.
            serialize(self.shared)
            config["shared"] = serialize(self.shared)
        if self.state.schedules:
            config["followed"] = [
                note if note is None or isinstance(note, str) else UNKNOWN
                for note in self.state.schedules
            ]
        if self.state.spared:
            config["spared"] = True
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        for key in ("layer", "method", "shared"):
            if isinstance(config.get(key), dict):
                config[key] = keras.saving.deserialize_keras_object(
                    config[key], custom_objects=custom_objects
                )
        return cls(**config)


class _State:
    """State of a wrapper that Keras must not track."""

    def __init__(self, followed, spared):
        self.slots = {}
        self.updated = None
        self.reader = None
        # That it has followed, as callbacks note them: text, or None, can be
        # saved.
        self.schedules = list(followed)
        # The callbacks that update it, and their schedules, for them to meet.
        self.followers = weakref.WeakKeyDictionary()
        # Whether the model's optimizer was told not to decay what is learned.
        self.spared = spared
        self.losses = []


class _Reader(keras.layers.Layer):
    """Reads the inputs of a layer, as a layer, so that they keep their mask."""

    def __init__(self, method, slot):
        super().__init__(autocast=False, dtype="float32")
        self.supports_masking = True
        self.method = method
        self.slot = slot

    def call(self, inputs, training=False):
        return self.method.read(self.slot, inputs, training=training)


class _OfMasked:
    """A regularizer applied to the weight as scheduled methods leave it."""

    def __init__(self, regularizer, method, slot):
        self.regularizer = regularizer
        self.method = method
        self.slot = slot

    def __call__(self, value):
        kernel = keras.ops.convert_to_tensor(value)
        for method, part in self.method.parts(self.slot):
            if method.is_scheduled:
                kernel = method.effective_kernel(part, kernel, training=False)
        return self.regularizer(kernel)


class _Penalty:
    """A method's penalty, in the form of a regularizer of one variable."""

    def __init__(self, regularizer, method, slot):
        self.regularizer = regularizer
        self.method = method
        self.slot = slot

    def __call__(self, value):
        penalty = self.method.penalty(self.slot)
        if self.regularizer is not None:
            penalty = keras.ops.add(penalty, self.regularizer(value))
        # Keras adds up losses of the type that its own losses have.
        return keras.ops.cast(penalty, keras.config.floatx())


def find(model):
    """Returns all `PruningWrapper`s of a model and its nested models."""
    found = values_lib.layers(model)
    return [v for v in found if isinstance(v, PruningWrapper)]


def groups(model):
    """Groups the slots of a model by method.

    A `Chain` is split into its methods, each with its part of a slot.

    Returns:
        List of `(method, slots)`, in the order of the model.
    """
    found = []
    for wrapper in find(model):
        for slot in wrapper.slots.values():
            for method, part in wrapper.method.parts(slot):
                _members(found, method).append(part)
    return found


def figures(model):
    """Returns the figures of a model's methods for the training logs.

    Methods of one class have the same figures, so they are measured together.
    """
    classes = {}
    for method, slots in groups(model):
        _, members = classes.setdefault(type(method), (method, []))
        members.extend(slots)
    found = {}
    for method, slots in classes.values():
        found.update(method.figures(model, slots))
    return found


def _members(found, method):
    for known, members in found:
        if known == method:
            return members
    found.append((method, []))
    return found[-1][1]


def learned(model):
    """Returns the trainable variables that methods added to a model."""
    found = {}
    for wrapper in find(model):
        for slot in wrapper.slots.values():
            for variable in slot.variables.values():
                if variable.trainable:
                    found.setdefault(id(variable), variable)
    return list(found.values())


def note_spared(model):
    """Notes that the model's optimizer spares what methods learn."""
    for wrapper in find(model):
        wrapper.state.spared = True


def sparsity(model):
    """Returns the fraction of zeros among all weights that methods act on."""
    zeros = total = 0
    for wrapper in find(model):
        for values in wrapper.folded().values():
            zeros += np.count_nonzero(values == 0)
            total += values.size
    return float(zeros / total) if total else 0.0
