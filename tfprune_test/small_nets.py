"""Networks so small that scores can be worked out by hand."""

import keras
import numpy as np

from tfprune.graph import read
from tfprune.graph import rulebook

layers = keras.layers

# JAX would otherwise compile each op by itself; elsewhere compiling costs more
# than a few steps do.
JIT = keras.config.backend() == "jax"


def chain(readers=1):
    """`y = sum of x` by way of two channels that are the two inputs.

    With `loss = mean(y)` the gate of channel c has the gradient mean(x_c).

    Args:
        readers: `int`, how many layers read the channels.
    """
    inputs = keras.Input((2,))
    x = layers.Dense(2, use_bias=False, name="writer")(inputs)
    read_by = [
        layers.Dense(1, use_bias=False, name=f"reader{i}")
        for i in range(readers)
    ]
    outputs = [layer(x) for layer in read_by]
    model = keras.Model(
        inputs, layers.Add()(outputs) if readers > 1 else outputs[0]
    )
    model.get_layer("writer").kernel.assign(np.eye(2))
    for layer in read_by:
        layer.kernel.assign(np.ones((2, 1)))
    return model


@keras.saving.register_keras_serializable("small_nets")
class Projection(layers.Layer):
    """A dense layer whose weights are drawn once and never trained."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.units),
            initializer="ones",
            trainable=False,
        )

    def call(self, x):
        return keras.ops.matmul(x, self.kernel)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@rulebook.rule("small_nets>Projection")
def _projection(call):
    outputs = call.fresh(call.config["units"])
    call.bind("kernel", 0, call.channels(-1), "reads", input_axis=-1)
    call.bind("kernel", 1, outputs, "writes")
    call.count("units", outputs)
    return call.spread(outputs)


def projected():
    """Two trained layers, `writer` and `reader`, around a `Projection`."""
    inputs = keras.Input((2,))
    x = layers.Dense(2, name="writer")(inputs)
    x = Projection(3, name="projection")(x)
    return keras.Model(inputs, layers.Dense(1, name="reader")(x))


def mean_output(_, outputs):
    """A loss that is the model's output."""
    return keras.ops.mean(outputs, -1)


def pair(first, second=((1.0, 1.0, 1.0),), **kwargs):
    """Two convolutions 1x1 of given weights, `(outputs, inputs)` each."""
    first, second = np.asarray(first), np.asarray(second)
    inputs = keras.Input((4, 4, first.shape[1]))
    x = layers.Conv2D(len(first), 1, name="first", **kwargs)(inputs)
    x = layers.Conv2D(len(second), 1, name="second")(x)
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(x)))
    model.get_layer("first").kernel.assign(first.T[None, None])
    model.get_layer("second").kernel.assign(second.T[None, None])
    return model


def mixed():
    """A residual group, a depthwise convolution, flatten and dense."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU()(x)
    y = layers.Conv2D(8, 3, padding="same", name="inner")(x)
    y = layers.BatchNormalization(name="inner_bn")(y)
    y = layers.ReLU()(y)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y)
    y = layers.Conv2D(6, 1, name="outer")(y)
    x = layers.ReLU(name="sum")(layers.Add()([x, y]))
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(5, 3, 2, padding="same", activation="relu", name="down")(
        x
    )
    x = layers.Dense(7, activation="relu", name="hidden")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(3, name="logits")(x))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(True))
    rng = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.normal(size=layer.beta.shape) / 4)
            layer.moving_mean.assign(rng.normal(size=layer.beta.shape) / 4)
    return model


def samples(count=32, seed=0):
    """Images and labels for `mixed`."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 8, 8, 3)).astype("float32")
    return x, rng.integers(0, 3, count)


def group(model, name, graph=None):
    """The removable group that a layer writes, and the graph."""
    graph = graph or read.channel_graph(model)
    (found,) = [g for g in graph.groups if name in g.writers and not g.frozen]
    return found, graph
