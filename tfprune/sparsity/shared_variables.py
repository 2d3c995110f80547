"""Variables shared by several wrapped layers."""

import weakref

import keras


@keras.saving.register_keras_serializable("tfprune")
class Shared(keras.layers.Layer):
    """Holds the variables of a method once for all layers of one `wrap`.

    Every wrapper has it as an attribute, so Keras counts, trains and saves
    the variables once, as for any shared layer.

    Args:
        shapes: `dict` from names of variables to their shapes.
        members: `int`, number of wrappers.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(self, shapes, members, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self.members = members
        self.joined = 0
        self.wrappers = weakref.WeakSet()  # which Keras does not track
        self.built = True

    def join(self, wrapper):
        """Counts one more wrapper."""
        self.joined += 1
        self.wrappers.add(wrapper)

    @property
    def trainable(self):
        """Whether the variables are trained, as long as a wrapper is."""
        return super().trainable

    @trainable.setter
    def trainable(self, value):
        # A wrapper that is frozen hands that on to the layers that it holds,
        # but the other wrappers still learn from these variables.
        if len(self.wrappers):
            value = any(wrapper.trainable for wrapper in self.wrappers)
        keras.layers.Layer.trainable.fset(self, value)

    def variable(self, name, **kwargs):
        """Returns a variable, created by the wrapper that is built first.

        Args:
            name: `str`, a key of `shapes`.
            **kwargs: arguments of `keras.Layer.add_weight`.
        """
        for variable in self.weights:
            if variable.name == name:
                return variable
        return self.add_weight(
            shape=self.shapes[name], name=name, autocast=False, **kwargs
        )

    def check(self):
        """Raises a `ValueError` if copying has separated the wrappers."""
        if self.joined != self.members:
            raise ValueError(
                "Layers that share a variable must be copied together. "
                f"Received: {self.joined} of {self.members} layers around "
                f"{', '.join(self.shapes)}. Keras's `clone_model` and "
                "`from_config` copy layers one by one: use `tfprune.wrap` on "
                "the plain model, or save and load the wrapped one."
            )

    def get_config(self):
        config = super().get_config()
        return {**config, "shapes": self.shapes, "members": self.members}
