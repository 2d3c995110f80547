"""Variables that several wrapped layers have in common."""

import keras


@keras.saving.register_keras_serializable("tfprune")
class Shared(keras.layers.Layer):
    """Holds variables of a method once for all layers of one `wrap`.

    Every wrapper has it as an attribute, so Keras counts, trains and saves
    the variables once, as it does for any layer that others share.

    Args:
        shapes: `dict` from names of variables to their shapes.
        members: `int`, how many wrappers there are.
        **kwargs: those of `keras.layers.Layer`.
    """

    def __init__(self, shapes, members, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self.members = members
        self.joined = 0
        self.built = True

    def join(self):
        """Counts one wrapper more."""
        self.joined += 1

    def variable(self, name, **kwargs):
        """The variable of that name, made by the wrapper that is built first.

        Args:
            name: `str`, one of `shapes`.
            **kwargs: those of `keras.Layer.add_weight`.
        """
        for variable in self.weights:
            if variable.name == name:
                return variable
        return self.add_weight(
            shape=self.shapes[name], name=name, autocast=False, **kwargs
        )

    def check(self):
        """Raises a `ValueError` if copying has torn the wrappers apart."""
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


class Renewed:
    """Gives copies of wrappers that share variables one new `Shared`.

    Called with each wrapper of a model and the copy's entry in the config of
    the new model, which it changes.
    """

    def __init__(self):
        self._copies = {}

    def __call__(self, wrapper, entry):
        old = wrapper.shared
        if old is None:
            return
        if id(old) not in self._copies:
            self._copies[id(old)] = Shared.from_config(old.get_config())
        entry["config"]["shared"] = self._copies[id(old)]
