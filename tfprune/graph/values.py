"""The layers of a model, and weights and inputs as numpy arrays."""

import keras
import numpy as np

# The dtypes that numpy reads from the buffer of a tensor.
_BUFFERS = ("float16", "float32", "float64", "int8", "int32", "int64", "uint8")


def numpy(variable, exact=False):
    """The value of a variable or tensor as a numpy array.

    The array may share the memory of the variable and be read-only: copy it
    before a change.

    Args:
        variable: a Keras variable, a tensor or a numpy array.
        exact: `bool`, whether half precision stays as it is; else it becomes
            float32, with which numpy can calculate.
    """
    if isinstance(variable, np.ndarray):
        array = variable
    else:
        array = _array(variable)
    narrow = array.dtype.itemsize < 4 and array.dtype.kind not in "biu"
    return array.astype(np.float32) if narrow and not exact else array


def _array(variable):
    backend = keras.backend.backend()
    if backend == "jax":
        # Making a tensor of it would compile a program for each shape.
        is_variable = isinstance(variable, keras.Variable)
        return np.asarray(variable.value if is_variable else variable)
    tensor = keras.ops.convert_to_tensor(variable)
    if backend == "tensorflow":
        return _tensorflow(tensor)
    return keras.ops.convert_to_numpy(tensor)


def _tensorflow(tensor):
    """A view of a tensor's buffer where it has one, which copies nothing."""
    if isinstance(tensor, keras.Variable):
        tensor = keras.ops.convert_to_tensor(tensor.value)
    if hasattr(tensor, "read_value"):  # A variable of TensorFlow.
        tensor = tensor.read_value()
    if keras.backend.standardize_dtype(tensor.dtype) in _BUFFERS:
        return np.asarray(memoryview(tensor))
    return np.asarray(tensor)


def own(value, dtype=None):
    """A value as a new variable may take it: in memory of its own.

    Args:
        value: tensor or numpy array.
        dtype: `str`, what it becomes; by default it stays.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        array = numpy(value, exact=True)
        if dtype and array.dtype.name != dtype:
            array = array.astype(dtype)
        # Unlike `jax.numpy.asarray`, this compiles nothing.
        return jax.device_put(array, may_alias=False)
    if dtype and keras.backend.standardize_dtype(value.dtype) != dtype:
        value = keras.ops.cast(value, dtype)
    if backend == "tensorflow":
        return value  # Variables copy what they share before they change it.
    # A variable takes the array itself, and training would change that of the
    # old model.
    return np.array(numpy(value, exact=True))


def given(array):
    """An array that nobody else has, as a tensor if on TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        return array
    return keras.ops.convert_to_tensor(_Given(array))


class _Given:
    """What has an array; TensorFlow takes its memory instead of copying it."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._array, dtype)


def check_model(model):
    """Raises a `TypeError` if something is no Keras model."""
    if not isinstance(model, keras.Model):
        raise TypeError(
            "A built keras.Model is required. Received: model="
            f"{model!r} of type {type(model).__name__}. Load a file "
            "with keras.saving.load_model(path)."
        )


def check_finite(model, but=()):
    """Raises a `ValueError` if a weight of a model is NaN or infinite.

    Args:
        model: a `keras.Model`.
        but: list of variables that may be.
    """
    passed = {id(v) for v in but}
    checked = [v for v in model.variables if id(v) not in passed]
    bad = [v.path for v in checked if not _is_finite(v)]
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise ValueError(
            "Finite weights are required. Received: NaN or infinity in "
            f"{', '.join(bad[:5])}{more} of model={model.name!r}. Restore a "
            "checkpoint from before training diverged."
        )


def _is_finite(variable):
    array = numpy(variable)
    if array.dtype.kind in "biu":
        return True
    # A sum is faster than testing each number, and finite only if all are.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


# What unknown sizes are where kernels and strides leave nothing of the usual.
_LONG = 1024, 16384


def random_inputs(model, seed=0, batch=2):
    """Random inputs for a model, in its input structure.

    Args:
        model: a Functional or Sequential model.
        seed: `int`.
        batch: as for `random`.
    """
    rng = np.random.default_rng(seed)
    structure = (
        model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    )
    size = open_size(model, structure)
    return keras.tree.map_structure(
        lambda x: random(rng, x, batch=batch, size=size), structure
    )


def open_size(model, inputs):
    """What the unknown sizes of a model's inputs can be.

    Args:
        model: a `keras.Model`.
        inputs: its inputs, tensors in its input structure.

    Returns:
        `int`, or `None` if the usual sizes leave something to compute, or
        nothing is unknown.
    """
    if not any(None in x.shape[1:] for x in keras.tree.flatten(inputs)):
        return None
    for size in (None, *_LONG):
        try:
            model.compute_output_spec(
                keras.tree.map_structure(
                    lambda x, size=size: keras.KerasTensor(
                        _known(x.shape, 1, size), x.dtype
                    ),
                    inputs,
                )
            )
        except ValueError:
            continue
        return size
    return None


def _known(shape, scale=1, size=None):
    """A shape with sizes where they are unknown, but for the batch's."""
    usual = 64 if len(shape) >= 4 else 16
    return (shape[0], *(n or scale * (size or usual) for n in shape[1:]))


def random(rng, tensor, scale=1, batch=2, size=None):
    """Random values for an input of a model.

    Args:
        rng: `numpy.random.Generator`.
        tensor: anything with `shape` and `dtype`. Integers are 0 or 1, strings
            "a" or "b".
        scale: `int`; an unknown size becomes `64 * scale` for images,
            `16 * scale` otherwise.
        batch: `int`, the number of samples where the shape leaves it open.
        size: `int`, in place of 64 and 16.
    """
    shape = _known((tensor.shape[0] or batch, *tensor.shape[1:]), scale, size)
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if dtype == "string":
        return rng.choice(["a", "b"], shape)
    if "float" in dtype:
        return rng.normal(size=shape).astype("float32")
    return rng.integers(0, 2, shape).astype(dtype)


_PROJECTIONS = ("query_dense", "key_dense", "value_dense", "output_dense")


def sublayers(layer):
    """The layers that a model or layer holds in public attributes.

    Those in lists and `dict`s, too, such as the cells of an RNN, and in those
    within.
    """
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    public = [v for k, v in vars(layer).items() if not k.startswith("_")]
    # Those of attention are properties.
    public += [getattr(layer, name, None) for name in _PROJECTIONS]
    return [v for v in _flat(public) if isinstance(v, keras.layers.Layer)]


def _flat(value):
    """What a value is, or holds in lists and `dict`s."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        return [value]
    return [found for part in value for found in _flat(part)]


def layers(model):
    """A model and all layers inside, each once, those of nested ones too."""
    seen, waiting = set(), [model]
    while waiting:
        layer = waiting.pop()
        if id(layer) not in seen:
            seen.add(id(layer))
            yield layer
            waiting.extend(reversed(sublayers(layer)))


def drop_activity_penalties(model):
    """Takes the activity regularizers from all layers of a model, in place.

    Not every layer has its own as an argument: `ActivityRegularization` makes
    one.
    """
    for layer in layers(model):
        if getattr(layer, "activity_regularizer", None) is not None:
            layer.activity_regularizer = None


def layers_of(model):
    """All layers of a model and of the models nested in it, once each."""
    seen, found = set(), []

    def visit(layers):
        for layer in layers:
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            found.append(layer)
            if isinstance(layer, keras.Model):
                visit(layer.layers)

    visit(model.layers)
    return found


def leaves(model, path=()):
    """Paths and layers of a model, nested models opened."""
    for layer in model.layers:
        here = path + (layer.name,)
        if hasattr(layer, "operations") or isinstance(layer, keras.Sequential):
            yield from leaves(layer, here)
        else:
            yield here, layer


def states(layer):
    """What a layer, or those within, keeps from one call to the next.

    Keras does not list the states of `stateful=True` among the variables.
    """
    found = {}
    for inner in layers(layer):
        if getattr(inner, "stateful", False):
            for state in keras.tree.flatten(getattr(inner, "states", None)):
                if isinstance(state, keras.Variable):
                    found[id(state)] = state
    return list(found.values())


def quantization(layer):
    """The mode that `model.quantize` gave a layer or one within, or `None`."""
    if not isinstance(layer, keras.layers.Layer):
        return None
    modes = (getattr(x, "quantization_mode", None) for x in layers(layer))
    return next((mode for mode in modes if mode), None)
