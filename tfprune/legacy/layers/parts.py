"""Parts of the new model that replace layers of the old one."""

import re

import keras
import numpy as np

# Attributes of a model that hold its layers in an archive.
MODEL_LAYERS = ("layers", "_layer_checkpoint_dependencies")


class Part:
    """Layers of Keras 3 that replace one layer, called in sequence.

    Args:
        name: `str`, the layer's name in the file.
        layers: list of `keras.layers.Layer`.
        holders: the layers that take the weights in the file, in its order;
            by default all that have weights.
        convert: function from the arrays in the file to those of `holders`.
        call: function of `(*args, **kwargs)`, if the layers are not simply
            called in sequence.
        counts: `(trainable, others)`, numbers of arrays in the file, if they
            differ from the numbers of weights.

    Attributes:
        rounds: `bool`, whether its layers alone would round what they make of
            whole numbers.
    """

    rounds = False

    def __init__(
        self, name, layers, holders=None, convert=None, call=None, counts=None
    ):
        self.name = name
        self.layers = layers
        self._holders = layers if holders is None else holders
        self._convert = convert or (lambda arrays: arrays)
        self._call = call
        self._counts = counts

    @property
    def plain(self):
        """Returns whether a Sequential model can hold it."""
        return self._call is None

    def __call__(self, *args, **kwargs):
        if self._call is not None:
            return self._call(*args, **kwargs)
        for layer in self.layers:
            args, kwargs = (layer(*args, **kwargs),), {}
        return args[0]

    def calling(self, call):
        """Returns the same part with another call function."""
        self._call = call
        return self

    def followed_by(self, part):
        """Returns the same part with the layers of another one behind it."""
        self.layers = [*self.layers, *part.layers]
        self._holders = [*self._holders, *part.layers]
        return self

    def counts(self):
        """How many arrays of the file are trainable, and how many are not."""
        if self._counts is not None:
            number = sum(self._counts)
            frozen = self.layers and not self.layers[0].trainable
            return (0, number) if frozen else self._counts
        trainable = sum(len(x.trainable_weights) for x in self._holders)
        total = sum(len(x.weights) for x in self._holders)
        return trainable, total - trainable

    def assign(self, named):
        """Sets the weights.

        Args:
            named: list of `(name, array)`, trainable ones first.

        Raises:
            ValueError: If they do not fit.
        """
        variables = [
            v
            for layer in self._holders
            for v in [*layer.trainable_weights, *layer.non_trainable_weights]
        ]
        arrays = self._convert([np.asarray(array) for _, array in named])
        arrays = _by_name(named, arrays, variables)
        _check_shapes(self.name, [a.shape for a in arrays], variables)
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        for layer in self._holders:
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()

    def assign_in_order(self, named, inside=False):
        """Sets the weights from arrays that come layer by layer.

        Args:
            named: list of `(name, array)`.
            inside: `bool`, whether this also holds for models inside layers.
        """
        self.assign(named)


def _by_name(named, arrays, variables):
    """The arrays in the order of the variables, if their names tell it."""
    places = {_end(name): i for i, (name, _) in enumerate(named)}
    ends = [_end(variable.path) for variable in variables]
    unique = len(places) == len(named) == len(arrays)
    if not unique or set(places) != set(ends):
        return arrays
    return [arrays[places[end]] for end in ends]


def _end(name):
    """The layer and weight names at the end of a path."""
    return "/".join(name.split(":")[0].split("/")[-3:][-2:])


class Own(Part):
    """A layer of a user's class."""

    def assign(self, named):
        (layer,) = self.layers
        stores = {}
        for path, array in named:
            place, _, number = path.rpartition("/")
            if not number.isdigit():  # Only an archive has numbers.
                super().assign(named)
                return
            names = tuple(place.split("/")) if place else ()
            stores.setdefault(names, {})[number] = array
        firsts = {names[0] for names in stores if names}
        for names, store in stores.items():
            self._inside(layer, names, firsts).load_own_variables(store)

    def assign_in_order(self, named, inside=False):
        (layer,) = self.layers
        if inside or not isinstance(layer, keras.Model):
            self.assign(named)
            return
        # A SavedModel lists the weights of a model layer by layer.
        given = [np.shape(array) for _, array in named]
        _check_shapes(self.name, given, layer.weights)
        for variable, (_, array) in zip(layer.weights, named, strict=True):
            variable.assign(array)

    def _inside(self, found, names, firsts):
        """The layer in an attribute of a layer, or in a list of one.

        A model's list is of those layers that no attribute in `firsts` has.
        """
        for name in names:
            if isinstance(found, (list, tuple)):
                found = dict(_numbered(found)).get(name)
            elif name in MODEL_LAYERS and isinstance(found, keras.Model):
                others = [vars(found).get(first) for first in firsts]
                others = [id(layer) for layer in others]
                found = [x for x in found.layers if id(x) not in others]
            else:
                found = vars(found).get(name) if found else None
        if not isinstance(found, keras.layers.Layer):
            raise ValueError(
                "A custom class must hold its layers in attributes of the same "
                "names as the class that was saved. Received: weights of "
                f"{'.'.join(names)!r} of layer {self.name!r}, which has no "
                "such attribute."
            )
        return found


def _numbered(layers):
    """`(name, layer)` of a list, as Keras names them in an archive."""
    names = numbered(type(layer).__name__ for layer in layers)
    return zip(names, layers, strict=True)


def numbered(classes):
    """Yields the names that layers of these classes have in an archive."""
    seen = {}
    for name in map(snake, classes):
        number = seen[name] = seen.get(name, -1) + 1
        yield f"{name}_{number}" if number else name


def snake(name):
    """The name of a class as Keras 2 wrote it in an archive."""
    name = name.rpartition(">")[2]
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _check_shapes(name, given, variables):
    shapes = [tuple(v.shape) for v in variables]
    if shapes != given:
        raise ValueError(
            f"The weights in the file must fit layer {name!r}. "
            f"Received: shapes {given} instead of {shapes}."
        )


class Cropped(Part):
    """A cropping layer that may crop everything, which Keras 3 refuses."""

    def __call__(self, x, **kwargs):
        if len(self.layers) > 1:
            return super().__call__(x, **kwargs)
        layer = self.layers[0]
        cropping = np.reshape(layer.cropping, (-1, 2)).tolist()
        sizes = x.shape[1:-1]
        gone = any(
            n is not None and n <= sum(crop)
            for n, crop in zip(sizes, cropping, strict=True)
        )
        if not gone:
            return super().__call__(x, **kwargs)
        ends = [slice(a, -b if b else None) for a, b in cropping]
        return x[(slice(None), *ends)]


class Resized(Part):
    """A layer whose results are no whole numbers; Keras 3 would round them."""

    rounds = True

    def __call__(self, x, **kwargs):
        return super().__call__(floats(x), **kwargs)


class Buckets(Part):
    """A Discretization that learned where its buckets end."""

    def counts(self):
        return 0, 1

    def assign(self, named):
        (layer,), ((_, summary),) = self.layers, named
        layer.summary = np.asarray(summary)
        layer.finalize_state()


class Words(Part):
    """A layer that weighs words by numbers that its config has, too."""

    def counts(self):
        return 0, 1

    def assign(self, named):
        pass


class WithStates(Part):
    """A layer between transposes whose states have the channels first, too."""

    def __call__(self, x, initial_state=None, **kwargs):
        before, layer, after = self.layers
        if initial_state is not None:
            kwargs["initial_state"] = [
                keras.ops.moveaxis(state, 1, -1) for state in initial_state
            ]
        outputs = layer(before(x), **kwargs)
        if not isinstance(outputs, (list, tuple)):
            return after(outputs)
        y, *states = outputs
        return [after(y), *(keras.ops.moveaxis(s, -1, 1) for s in states)]


class Wrapped(Part):
    """A wrapper layer around a part that has the weights.

    Args:
        name: `str`, the outer layer's name in the file.
        layers: list with the outer layer.
        inner: `Part`.
        call: function, if the outer layer is only made when it is called.
    """

    def __init__(self, name, layers, inner, call=None):
        super().__init__(name, layers, call=call)
        self._inner = inner
        self.rounds = inner.rounds

    def __call__(self, x, *args, **kwargs):
        x = floats(x) if self.rounds else x
        return super().__call__(x, *args, **kwargs)

    def counts(self):
        return self._inner.counts()

    def assign(self, named):
        self._inner.assign(named)

    def assign_in_order(self, named, inside=False):
        if inside:
            self._inner.assign_in_order(named, inside)
        else:
            self.assign(named)


class Nested(Part):
    """A model that replaces a model.

    Args:
        name: `str`, the model's name in the file.
        model: `keras.Model`.
        parts: list of `Part` for the old layers, in order.
        masked: list of `bool`, whether each output has a mask.
        ends: list of `str`, the old layers that give the outputs.
    """

    def __init__(self, name, model, parts, masked=(), ends=()):
        super().__init__(name, [model])
        self.ends = ends
        self.parts = parts
        self.masked = masked

    def counts(self):
        pairs = [part.counts() for part in self.parts]
        return sum(t for t, _ in pairs), sum(n for _, n in pairs)

    def assign(self, named):
        trainable, others = self.counts()
        if len(named) != trainable + others:
            raise ValueError(
                f"The weights in the file must fit model {self.name!r}. "
                f"Received: {len(named)} arrays instead of "
                f"{trainable + others}."
            )
        first, second = list(named[:trainable]), list(named[trainable:])
        for part in self.parts:
            t, n = part.counts()
            part.assign(first[:t] + second[:n])
            del first[:t], second[:n]

    def assign_in_order(self, named, inside=False):
        wanted = sum(self.counts())
        if len(named) != wanted:
            raise ValueError(
                f"The weights in the file must fit model {self.name!r}. "
                f"Received: {len(named)} arrays instead of {wanted}."
            )
        rest = list(named)
        for part in self.parts:
            size = sum(part.counts())
            part.assign_in_order(rest[:size], inside)
            del rest[:size]

    def assign_by_layer(self, weights):
        """Sets the weights from a `dict` from layer names to lists of arrays.

        Layers with other names in the file are matched by order.
        """
        parts = [part for part in self.parts if sum(part.counts())]
        given = {name: found for name, found in weights.items() if found}
        inside = [p for p in parts if p.name not in given]
        branches = [p for p in inside if isinstance(p, Nested)]
        flat = [q for p in branches for q in p.parts if sum(q.counts())]
        if branches and all(q.name in given for q in flat):
            for part in branches:
                part.assign_by_layer(
                    {q.name: given.pop(q.name) for q in flat if q in part.parts}
                )
            parts = [part for part in parts if part not in branches]
        if {part.name for part in parts} != set(given):
            if len(parts) != len(given):
                raise ValueError(
                    "The weights in the file must match the layers. "
                    f"Received: weights of {sorted(given)} for the layers "
                    f"{[part.name for part in parts]}."
                )
            given = dict(
                zip((p.name for p in parts), given.values(), strict=True)
            )
        for part in parts:
            part.assign(given[part.name])


def floats(x):
    """A tensor of real numbers, or what whole numbers are as such."""
    kind = keras.backend.standardize_dtype(x.dtype)
    return x if "float" in kind else keras.ops.cast(x, "float32")


def around(part, name, axes, back, activation=None):
    """Puts a part between two transposes.

    Args:
        part: `Part`, called on one tensor.
        name: `str`, prefix of the names of the new layers.
        axes: list of `int`, axis order that the layer needs, from 1.
        back: the same for its output; `None` keeps it.
        activation: function or name of one that follows, or `None`.

    Returns:
        `part`.
    """
    permute = keras.layers.Permute
    part.layers = [permute(axes, name=f"{name}_channels_last"), *part.layers]
    if back is not None:
        part.layers.append(permute(back, name=f"{name}_channels_first"))
    if activation is not None:
        last = keras.layers.Activation(activation, name=f"{name}_activation")
        part.layers.append(last)
    return part
