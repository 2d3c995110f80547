"""Methods: what a wrapped layer does to its weights, inputs or outputs.

A method is a frozen record, so it can be saved in a model's config. What it
learns or keeps lives in variables that it adds to a `Slot`; there is one slot
for each weight that it acts on, one for the inputs and one for the outputs.
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
    """A class decorator: files a method by name and lets Keras save it."""

    def add(cls):
        METHODS.register(name)(cls)
        return keras.saving.register_keras_serializable("tfprune")(cls)

    return add


class Slot:
    """One place where a method acts: a weight of a layer, or what it reads.

    Attributes:
        name: `str`, the path of the weight's attribute (`"kernel"`), or
            `"inputs"`, or `"outputs"`.
        layer: the layer inside the wrapper.
        kernel: the `keras.Variable` of the weight; else `None`.
        axes: `patterns.Axes` of the weight; else `None`.
        shape: tuple, of the weight, or of the inputs or outputs (`None` where
            unknown).
        variables: `dict`, what methods added, by name.
        prefix: `str` before the names of what this method adds; see `part`.
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
            name: `str`; it is found again as `slot[name]`.
            shape: tuple.
            **kwargs: those of `keras.Layer.add_weight` (`initializer`,
                `trainable`, `dtype`, `constraint`, `regularizer`, ...).
        """
        path = f"{self.name}.{self.prefix}{name}".replace(".", "_")
        kwargs.setdefault("dtype", "float32")
        self.variables[self.prefix + name] = self._wrapper.add_weight(
            shape=shape, name=path, autocast=False, **kwargs
        )
        return self[name]

    def add_shared(self, name, **kwargs):
        """Adds a variable that all layers of one `wrap` have in common.

        Args:
            name: `str`, one of those that `Method.shared_shapes` gave.
            **kwargs: as for `add_weight`.

        Raises:
            ValueError: If the layer was wrapped on its own.
        """
        if self._wrapper.shared is None:
            raise ValueError(
                "A variable that layers share needs all of these layers. "
                f"Received: layer {self.layer.name!r}, wrapped on its own with "
                f"{self._wrapper.method}. Use `tfprune.wrap(model, method)`."
            )
        kwargs.setdefault("dtype", "float32")
        full = self.prefix + name
        self.variables[full] = self._wrapper.shared.variable(full, **kwargs)
        return self[name]

    def add_noise(self, seed=None):
        """Adds a source of random numbers, found again as `slot.noise`.

        Args:
            seed: `int`, from which each place gets numbers of its own, or
                `None` for a seed drawn now.
        """
        if seed is not None:
            place = f"{self.path}.{self.prefix}".encode()
            seed = (seed + zlib.crc32(place)) % 2**31
        source = keras.random.SeedGenerator(seed)
        name = f"{self.name}.{self.prefix}noise".replace(".", "_")
        # Keras carries the state of what a layer has as an attribute.
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
        """Lets a mask that is still full begin with the weight's zeros.

        What was pruned before stays so. A weight of nothing but zeros is one
        that is still to be learned.
        """
        if keras.ops.convert_to_numpy(self[name]).all():
            self[name].assign(self.nonzero)

    @property
    def nonzero(self):
        """Bool array of the shape of the weight: where it is not zero.

        True everywhere for a weight of nothing but zeros.
        """
        nonzero = keras.ops.convert_to_numpy(self.kernel) != 0
        return nonzero if nonzero.any() else ~nonzero

    def part(self, key):
        """This slot for one of several methods, with names of its own.

        Args:
            key: `str`; what is added as `name` is `slot[f"{key}.{name}"]`.
        """
        part = copy.copy(self)
        part.prefix = f"{self.prefix}{key}."
        return part

    @property
    def own(self):
        """`dict`, what this method added, by its full name."""
        return {
            name: variable
            for name, variable in self.variables.items()
            if name.startswith(self.prefix)
        }

    def __getitem__(self, name):
        return self.variables[self.prefix + name]


class Method(records.Record):
    """Base of the methods; a subclass is a frozen, registered dataclass.

    A hook that a method does not override leaves things as they are. Hooks
    compute with `keras.ops` on `slot[name]` and `kernel`, in the dtype of the
    variables, whatever the layer computes in.
    """

    def sites(self, layer):
        """Where the method acts on a built layer.

        Returns:
            Tuple of names of weights (`weights.names`), with
            `method.INPUTS` for a method that overrides `read`, and
            `method.OUTPUTS` for one that overrides `gate`.
        """
        return weights.names(layer)

    def parts(self, slot):
        """List of `(method, slot)`: this one, or those that it is made of."""
        return [(self, slot)]

    def mapped(self, change):
        """`change(self)`; of several methods in one, each is changed."""
        return change(self)

    def shared_shapes(self, model):
        """The variables that all layers of one `wrap` are to share.

        Args:
            model: the model before it is wrapped.

        Returns:
            `dict` from names to shapes; empty if there are none.
        """
        return {}

    def build(self, slot):
        """Adds the method's variables to a slot."""

    def prepare(self, model, slots):
        """Writes into the variables what only the whole model tells.

        `wrap` calls it, so what it writes has to be in variables: they are
        saved. It gives the same values when it is called again.

        Args:
            model: the wrapped model.
            slots: list of the model's `Slot`s of this method.
        """

    def effective_kernel(self, slot, kernel, training=False):
        """The weight that the layer computes with.

        Args:
            slot: the `Slot`.
            kernel: tensor, the trained weight.
            training: `bool`.

        Returns:
            Tensor of the same shape.
        """
        return kernel

    def read(self, slot, inputs, training=False):
        """What the layer gets to read: same shape and dtype as `inputs`."""
        return inputs

    def gate(self, slot, outputs, training=False):
        """What becomes of the layer's outputs: same shape and dtype."""
        return outputs

    def penalty(self, slot):
        """A scalar that joins the loss, once for each slot, or `None`."""
        return None

    def scores(self, slot):
        """How much each weight (or channel, for outputs) matters.

        Returns:
            Non-negative array of the slot's shape; one value per channel for
            outputs. It is not asked for inputs.
        """
        return abs(self.fold(slot))

    def fold(self, slot):
        """What a plain layer needs to do the same in inference.

        Returns:
            Array: the weight; for outputs, one factor per channel. It is not
            asked for inputs, which a plain layer reads as they are.
        """
        kernel = self.effective_kernel(slot, slot.kernel.value, training=False)
        return keras.ops.convert_to_numpy(kernel)

    @property
    def is_scheduled(self):
        """Whether `update` sets the sparsity; others learn theirs."""
        return type(self).update is not Method.update

    def update(self, model, slots, sparsity, budget=None, data=None):
        """Prunes to a sparsity, now; called when a schedule falls due.

        Args:
            model: the wrapped model.
            slots: list of `Slot`s of the model that share the sparsity.
            sparsity: `float`, the fraction that goes; with a `budget`, how
                much of the way to it is done.
            budget: a `tfprune.Budget`, or `None`.
            data: what a criterion that looks at data needs, or `None`.
        """
        raise ValueError(
            "A schedule needs a method that can be set to a sparsity. "
            f"Received: {type(self).__name__}, which learns its own. Leave "
            "the schedule away, or use `Masked`."
        )

    def check(self, sparsity, budget=None):
        """Raises a `ValueError` if `update` could not do that."""

    def figures(self, model, slots):
        """What the logs of training get to see: `dict` of `float`s."""
        return {}
