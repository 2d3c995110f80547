"""Tiny models of every kind, and conversions without a process each."""

import contextlib
import warnings
from unittest import mock

import keras
import numpy as np

from tfprune.core.processes import child
from tfprune.export.convert import converter
from tfprune.export.convert import tflite
from tfprune.export.run import litert_runner
from tfprune.export.run import micro_runner


class Doubling(keras.layers.Layer):
    """A layer of the user's own, with a variable that Keras knows not."""

    def build(self, shape):
        import tensorflow as tf

        self.kernel = self.add_weight(shape=(shape[-1], 3), name="kernel")
        self.factor = tf.Variable(np.float32(2.0))

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel) * self.factor


class Subclassed(keras.Model):
    """A model by call, from a dict."""

    def __init__(self):
        super().__init__()
        self.left = keras.layers.Dense(3, activation="tanh")
        self.right = keras.layers.Dense(3)

    def call(self, inputs):
        return self.left(inputs["b"]) - self.right(inputs["a"])


def dense():
    inputs = keras.Input((6,))
    return keras.Model(inputs, keras.layers.Dense(3)(inputs))


def large():
    """Enough weights for each mode to have its size."""
    inputs = keras.Input((64,))
    return keras.Model(inputs, keras.layers.Dense(256)(inputs))


def gelu():
    """A built-in op that TFLite Micro has no kernel for."""
    inputs = keras.Input((6,))
    return keras.Model(inputs, keras.layers.Dense(3, "gelu")(inputs))


def residual():
    """A convolution, batch norm with statistics, a residual, two classes."""
    inputs = keras.Input((8, 8, 2), name="image")
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs)
    norm = keras.layers.BatchNormalization()
    x = keras.layers.ReLU()(norm(x))
    norm.moving_mean.assign(np.linspace(-0.5, 0.5, 8))
    norm.moving_variance.assign(np.linspace(0.5, 2.0, 8))
    y = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(x + y)
    outputs = keras.layers.Dense(4, name="classes")(x)
    return keras.Model(inputs, outputs)


def squeeze_and_excite():
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2DTranspose(4, 3, 2)(inputs)
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = keras.layers.Dense(4, activation="sigmoid")(gate)
    return keras.Model(inputs, x * gate)


def dead_branch():
    """A gate that no input opens: a tensor that is always zero."""
    inputs = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    shut = keras.initializers.Constant(-50.0)
    gate = keras.layers.Conv2D(4, 1, activation="relu", bias_initializer=shut)(
        gate
    )
    gate = keras.layers.Conv2D(4, 1, activation="sigmoid")(gate)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x * gate))


def sequential():
    return keras.Sequential(
        [
            keras.Input((5, 2)),
            keras.layers.Conv1D(3, 2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2),
        ]
    )


def custom_layer():
    inputs = keras.Input((6,))
    return keras.Model(inputs, Doubling()(inputs))


def normalized():
    inputs = keras.Input((6,))
    norm = keras.layers.Normalization(mean=np.arange(6.0), variance=np.ones(6))
    return keras.Model(inputs, keras.layers.Dense(3)(norm(inputs)))


def embedded():
    inputs = keras.Input((7,), dtype="int32", name="tokens")
    x = keras.layers.Flatten()(keras.layers.Embedding(5, 4)(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def two_in_two_out():
    """Nested, shared, named against the order of the alphabet."""
    shared = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    left = keras.Input((6,), name="left")
    above = keras.Input((6,), name="above")
    return keras.Model(
        [left, above],
        [
            keras.layers.ReLU(name="sum")(shared(left) + shared(above)),
            keras.layers.Dense(2, name="part")(shared(left)),
        ],
    )


def subclassed():
    model = Subclassed()
    model({"a": np.zeros((1, 5), "float32"), "b": np.zeros((1, 4), "float32")})
    return model


def lstm(unroll):
    inputs = keras.Input((4, 3))
    x = keras.layers.LSTM(2, unroll=unroll)(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


class Scan(keras.layers.Layer):
    """Adds up time steps in a loop of its own."""

    def call(self, x):
        def step(total, value):
            total = keras.ops.tanh(total + value)
            return total, total

        steps = keras.ops.transpose(x, (1, 0, 2))
        return keras.ops.scan(step, x[:, 0], steps)[0]

    def compute_output_shape(self, input_shape):
        return input_shape[0], input_shape[2]


def loop():
    inputs = keras.Input((4, 3))
    return keras.Model(inputs, Scan()(inputs))


def without_kernel():
    inputs = keras.Input((4, 4, 2))
    odd = keras.ops.erfinv
    x = keras.layers.Conv2D(2, 1, activation=odd, name="odd")(inputs)
    return keras.Model(inputs, x)


def samples(model, count=20):
    """Random inputs, an array `(count, ...)` for each input, in order."""
    rng = np.random.default_rng(0)
    tensors = getattr(model, "inputs", None)
    shapes = (
        [(t.shape[1:], t.dtype) for t in tensors]
        if tensors
        else [((5,), "float32"), ((4,), "float32")]
    )
    return [
        rng.integers(0, 5, (count, *shape)).astype(dtype)
        if "int" in dtype
        else rng.normal(size=(count, *shape)).astype(dtype)
        for shape, dtype in shapes
    ]


def predictions(model, arrays):
    """What Keras says: an array for each output."""
    if getattr(model, "inputs", None):
        outputs = model(arrays if len(arrays) > 1 else arrays[0])
    else:
        outputs = model(dict(zip("ab", arrays, strict=True)))
    return [np.asarray(y) for y in keras.tree.flatten(outputs)]


class SameProcess(child.Child):
    """Answers as the process of a script would, without its start."""

    def __enter__(self):
        scripts = converter, litert_runner, micro_runner
        (self.module,) = (m for m in scripts if m.__file__ == self.script)
        return self

    def __exit__(self, *_):
        pass

    def ask(self, request):
        result, error = None, None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                result = self.module.handle(request)
            except Exception as raised:
                error = f"{type(raised).__name__}: {raised}"
        return child.Answer(result, error, crashed=False, log="")


@contextlib.contextmanager
def in_process():
    """Within it, `export_tflite` converts in this process."""
    with mock.patch.object(tflite.child, "Child", SameProcess):
        yield


def export(model, path, *args, **kwargs):
    """`export_tflite`, converting in this process."""
    with in_process():
        return tflite.export_tflite(model, path, *args, **kwargs)
