"""Methods: how a wrapped layer changes its weights, inputs or outputs.

A method is a frozen record, so it can be saved in a model's config. Its state
is in variables that it adds to a `Slot`; there is one slot for each weight that
it acts on, one for the inputs and one for the outputs.
"""

import copy
import zlib

import keras

from tfprune.core import records
from tfprune.core import registry
from tfprune.sparsity import weights

METHODS = registry.Registry("method")
INPUTS = "inputs"
OUTPUTS = "outputs"
SIGNALS = (INPUTS, OUTPUTS)


def register(name):
    """Class decorator that registers a method and makes it serializable."""

    def add(cls):
        METHODS.register(name)(cls)
        return keras.saving.register_keras_serializable("tfprune")(cls)

    return add


class Slot:
    """One place where a method acts: a layer's weight, inputs or outputs.

    Attributes:
        name: `str`, the path of the weight's attribute (`"kernel"`), or
            `"inputs"`, or `"outputs"`.
        layer: the layer inside the wrapper.
        kernel: the `keras.Variable` of the weight, otherwise `None`.
        axes: `patterns.Axes` of the weight, otherwise `None`.
        shape: tuple, shape of the weight, inputs or outputs (`None` for
            unknown sizes).
        variables: `dict` from names to the variables that methods added.
        learned: set of the names of those that were added as trainable, also
            while the layer is frozen.
        prefix: `str`, prefix of the names that this method adds; see `part`.
    """

    def __init__(self, name, wrapper, shape):
        self.name = name
        self.layer = wrapper.layer
        self.kernel = weights.variable(wrapper.layer, name)
        self.axes = None
        if self.kernel is not None:
            self.axes = weights.axes(wrapper.layer, name)
        self.shape = shape
        self.variables = {}
        self.learned = set()
        self.prefix = ""
        self._wrapper = wrapper
        self._noise = {}

    @property
    def path(self):
        """`str`, layer and weight: `"conv1/kernel"`."""
        return f"{self.layer.name}/{self.name}"

    def add_weight(self, name, shape=(), **kwargs):
        """Adds a variable of the method to the wrapper.

        It keeps its dtype, `float32` by default, under mixed precision.

        Args:
            name: `str`; access it as `slot[name]`.
            shape: tuple.
            **kwargs: arguments of `keras.Layer.add_weight` (`initializer`,
                `trainable`, `dtype`, `constraint`, `regularizer`, ...).
        """
        path = f"{self.name}.{self.prefix}{name}".replace(".", "_")
        kwargs.setdefault("dtype", "float32")
        self._note(self.prefix + name, **kwargs)
        self.variables[self.prefix + name] = self._wrapper.add_weight(
            shape=shape, name=path, autocast=False, **kwargs
        )
        return self[name]

    def add_shared(self, name, **kwargs):
        """Adds a variable shared by all layers of one `wrap`.

        Args:
            name: `str`, a key of `Method.shared_shapes`.
            **kwargs: as for `add_weight`.

        Raises:
            ValueError: If the layer was wrapped on its own.
        """
        if self._wrapper.shared is None:
            raise ValueError(
                "A shared variable needs all of its layers wrapped together. "
                f"Received: layer {self.layer.name!r}, wrapped on its own with "
                f"{self._wrapper.method}. Use `tfprune.wrap(model, method)`."
            )
        kwargs.setdefault("dtype", "float32")
        full = self.prefix + name
        self._note(full, **kwargs)
        self.variables[full] = self._wrapper.shared.variable(full, **kwargs)
        return self[name]

    def _note(self, name, trainable=True, **_):
        if trainable:
            self.learned.add(name)

    def add_noise(self, seed=None):
        """Adds a random seed generator, available as `slot.noise`.

        Args:
            seed: `int`, from which each slot derives its own numbers, or
                `None` for a random seed.
        """
        if seed is not None:
            place = f"{self.path}.{self.prefix}".encode()
            seed = (seed + zlib.crc32(place)) % 2**31
        source = keras.random.SeedGenerator(seed)
        name = f"{self.name}.{self.prefix}noise".replace(".", "_")
        # As an attribute of the layer, so that Keras tracks its state.
        setattr(self._wrapper, name, source)
        self._noise[self.prefix] = source
        return source

    @property
    def noise(self):
        """The `keras.random.SeedGenerator` of this method."""
        return self._noise[self.prefix]

    def add_mask(self, name="mask"):
        """Adds a boolean variable of the slot's shape, true everywhere."""
        return self.add_weight(
            name, self.shape, initializer="ones", trainable=False, dtype="bool"
        )

    def mask_zeros(self, name="mask"):
        """Initializes a mask that is still full with the weight's zeros.

        Weights pruned earlier stay pruned. A weight that is all zeros counts
        as not trained yet.
        """
        if keras.ops.convert_to_numpy(self[name]).all():
            self[name].assign(self.nonzero)

    @property
    def nonzero(self):
        """Bool array of the weight's shape, true where it is not zero.

        True everywhere for a weight that is all zeros.
        """
        nonzero = keras.ops.convert_to_numpy(self.kernel) != 0
        return nonzero if nonzero.any() else ~nonzero

    def part(self, key):
        """Returns a view of this slot for one of several methods.

        Args:
            key: `str`; a variable added as `name` is `slot[f"{key}.{name}"]`.
        """
        part = copy.copy(self)
        part.prefix = f"{self.prefix}{key}."
        return part

    @property
    def own(self):
        """Returns a `dict` of this method's variables by full name."""
        return {
            name: variable
            for name, variable in self.variables.items()
            if name.startswith(self.prefix)
        }

    def __getitem__(self, name):
        return self.variables[self.prefix + name]


class Method(records.Record):
    """Base class of methods; a subclass is a frozen, registered dataclass.

    Hooks that a method does not override change nothing. Hooks compute with
    `keras.ops` on `slot[name]` and `kernel`, in the dtype of the variables,
    whatever the layer's compute dtype is.
    """

    def sites(self, layer):
        """Returns where the method acts on a built layer.

        Returns:
            Tuple of names of weights (`weights.names`), with
            `method.INPUTS` for a method that overrides `read`, and
            `method.OUTPUTS` for one that overrides `gate`.
        """
        return weights.names(layer)

    def parts(self, slot):
        """Returns a list of `(method, slot)`: itself, or its components."""
        return [(self, slot)]

    def mapped(self, change):
        """Returns `change(self)`; a composite changes each component."""
        return change(self)

    def shared_shapes(self, model):
        """Returns the variables that all layers of one `wrap` share.

        Args:
            model: the model before it is wrapped.

        Returns:
            `dict` from names to shapes; empty if there are none.
        """
        return {}

    def build(self, slot):
        """Adds the method's variables to a slot."""

    def prepare(self, model, slots):
        """Initializes variables that depend on the whole model.

        `wrap` calls it once; results must be in variables, which are saved.
        Calling it again gives the same values.

        Args:
            model: the wrapped model.
            slots: list of the model's `Slot`s of this method.
        """

    def effective_kernel(self, slot, kernel, training=False):
        """Computes the weight that the layer uses.

        Args:
            slot: the `Slot`.
            kernel: tensor, the trained weight.
            training: `bool`.

        Returns:
            Tensor of the same shape.
        """
        return kernel

    def read(self, slot, inputs, training=False):
        """Transforms the layer's inputs, with the same shape and dtype."""
        return inputs

    def gate(self, slot, outputs, training=False):
        """Transforms the layer's outputs, with the same shape and dtype."""
        return outputs

    def penalty(self, slot):
        """Returns a scalar to add to the loss, once per slot, or `None`."""
        return None

    def scores(self, slot):
        """Scores the importance of each weight (or channel, for outputs).

        Returns:
            Non-negative array of the slot's shape; one value per channel for
            outputs. Not called for inputs.
        """
        return abs(self.fold(slot))

    def fold(self, slot):
        """Computes what a plain layer needs for the same inference outputs.

        Returns:
            Array: the weight; for outputs, one factor per channel, along
            `channel_axis`. Not called for inputs, which a plain layer reads
            unchanged.
        """
        kernel = self.effective_kernel(slot, slot.kernel.value, training=False)
        return keras.ops.convert_to_numpy(kernel)

    def channel_axis(self, slot):
        """The axis of a layer's outputs that `fold` has factors for, an `int`.

        By default that of the layer's `data_format`, that which it normalizes,
        or the last one.
        """
        if isinstance(slot.layer, keras.layers.BatchNormalization):
            return slot.layer.axis
        form = getattr(slot.layer, "data_format", None)
        return 1 if form == "channels_first" else -1

    @property
    def is_scheduled(self):
        """Whether `update` sets the sparsity; other methods learn theirs."""
        return type(self).update is not Method.update

    # Whether `update` changes a penalty alone, beside which another method can
    # meet a budget.
    only_penalizes = False

    def update(self, model, slots, sparsity, budget=None, data=None):
        """Prunes to a sparsity; called when a scheduled update falls due.

        Args:
            model: the wrapped model.
            slots: list of `Slot`s of the model that share the sparsity.
            sparsity: `float`, the fraction to prune; with a `budget`, the
                fraction of the way to it.
            budget: a `tfprune.Budget`, or `None`.
            data: data for criteria that need them, or `None`.
        """
        raise ValueError(
            "A schedule needs a method that can be set to a sparsity. "
            f"Received: {type(self).__name__}, which learns its own. Drop "
            "the schedule, or use `Masked`."
        )

    def check(self, sparsity, budget=None):
        """Raises a `ValueError` if `update` would not support this."""

    def check_training(self, model, slots, sparsity, budget=None, data=None):
        """Raises a `ValueError` if updates cannot go with this training.

        Called before training, with a compiled model and the schedule's
        highest sparsity; see `update`.
        """

    def figures(self, model, slots):
        """Returns figures for the training logs, a `dict` of `float`s.

        Args:
            model: the wrapped model.
            slots: list of the model's `Slot`s of all methods of this class.
        """
        return {}
