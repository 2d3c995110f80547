"""Models in states that people have: what goes, what stays and why, how exact.

python benchmarks/model_states.py --table=docs/results/model_states.md
"""

import pathlib
import sys

import keras
import results
from absl import app
from absl import flags

# Masks at random are in the tests, which are not installed.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfprune.core import tables
from tfprune_test import exactness

FLAGS = flags.FLAGS
flags.DEFINE_list("only", [], "names of rows; empty means all")
flags.DEFINE_integer("seed", 0, "seed of the weights and the masks")
flags.DEFINE_string("table", "", "also write the table to this file")

LAYERS, OPS = keras.layers, keras.ops
STEPS, IMAGE, WORDS = (6, 5), (16, 16, 3), (7,)
ROWS = {}


def state(name, shape, dtype="float32"):
    """Registers a function from an input to the features of a state."""

    def add(function):
        ROWS[name] = shape, dtype, function
        return function

    return add


def _words(x):
    return LAYERS.Embedding(20, 6, mask_zero=True)(x)


@keras.saving.register_keras_serializable("states")
class MyConv(LAYERS.Conv2D):
    """Computes what its base does."""


@keras.saving.register_keras_serializable("states")
class MyCell(LAYERS.GRUCell):
    """Computes what its base does."""


@keras.saving.register_keras_serializable("states")
class Scale(LAYERS.Layer):
    """A weight for each channel, and no rule."""

    def build(self, shape):
        self.factor = self.add_weight((shape[-1],), "ones", name="factor")

    def call(self, x):
        return x * self.factor


@keras.saving.register_keras_serializable("states")
class Mix(LAYERS.Layer):
    """Weights that mix channels, and no rule."""

    def build(self, shape):
        self.kernel = self.add_weight((shape[-1],) * 2, name="kernel")

    def call(self, x):
        return OPS.matmul(x, self.kernel)


@keras.saving.register_keras_serializable("states")
class Residual(LAYERS.Layer):
    """A block of Keras layers, written as a class."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.wide = LAYERS.Dense(2 * units, activation="relu")
        self.narrow = LAYERS.Dense(units)

    def call(self, x):
        return x + self.narrow(self.wide(x))

    def get_config(self):
        return super().get_config() | {"units": self.units}


@state("a convolution, and Flatten", IMAGE)
def _flattened(x):
    return LAYERS.Flatten()(LAYERS.Conv2D(8, 3, 2)(x))


@state("a model inside a model", IMAGE)
def _nested(x):
    conv = LAYERS.Conv2D(8, 3, padding="same")
    inner = keras.Sequential([keras.Input(x.shape[1:]), conv])
    return LAYERS.GlobalAveragePooling2D()(inner(x))


@state("a layer called twice", IMAGE)
def _shared(x):
    conv = LAYERS.Conv2D(8, 3, padding="same", activation="relu")
    x = LAYERS.Conv2D(8, 1)(x)
    return LAYERS.GlobalAveragePooling2D()(conv(conv(x)))


@state("a subclass of Conv2D", IMAGE)
def _subclass(x):
    return LAYERS.GlobalAveragePooling2D()(MyConv(8, 3)(x))


@state("a block that is a class", STEPS)
def _opened(x):
    return LAYERS.Flatten()(Residual(5)(x))


@state("own weights, channel by channel", IMAGE)
def _own_scale(x):
    return LAYERS.GlobalAveragePooling2D()(Scale()(LAYERS.Conv2D(8, 3)(x)))


@state("own weights that mix channels", IMAGE)
def _own_mix(x):
    return LAYERS.GlobalAveragePooling2D()(Mix()(LAYERS.Conv2D(8, 3)(x)))


@state("channel shuffle", IMAGE)
def _shuffle(x):
    x = LAYERS.Conv2D(8, 3)(x)
    rows, columns, _ = x.shape[1:]
    x = LAYERS.Reshape((rows, columns, 2, 4))(x)
    x = LAYERS.Permute((1, 2, 4, 3))(x)
    x = LAYERS.Reshape((rows, columns, 8))(x)
    return LAYERS.GlobalAveragePooling2D()(LAYERS.Conv2D(6, 1)(x))


@state("extract_patches", IMAGE)
def _patches(x):
    x = LAYERS.Conv2D(6, 3, padding="same")(x)
    x = LAYERS.Dense(8)(OPS.image.extract_patches(x, 4))
    return LAYERS.GlobalAveragePooling2D()(x)


@state("a learned position (Embedding of arange)", WORDS, "int32")
def _positions(x):
    places = LAYERS.Embedding(7, 6)(OPS.arange(7))
    return LAYERS.Flatten()(LAYERS.Dense(8)(_words(x) + places))


@state("mask_zero before both directions", WORDS, "int32")
def _masked(x):
    return LAYERS.Bidirectional(LAYERS.LSTM(6))(_words(x))


@state("Masking before two recurrent layers", STEPS)
def _masking(x):
    x = LAYERS.GRU(6, return_sequences=True)(LAYERS.Masking()(x))
    return LAYERS.LSTM(4)(x)


@state("stacked cells", STEPS)
def _cells(x):
    return LAYERS.RNN([LAYERS.LSTMCell(6), LAYERS.GRUCell(4)])(x)


@state("a subclass of GRUCell", STEPS)
def _cell(x):
    return LAYERS.RNN(MyCell(6))(x)


@state("states from one LSTM to another", STEPS)
def _states(x):
    _, *states = LAYERS.LSTM(6, return_state=True)(x)
    return LAYERS.LSTM(6)(x, initial_state=states)


@state("attention between encoder and decoder", STEPS)
def _attention(x):
    memory, *states = LAYERS.LSTM(6, return_sequences=True, return_state=True)(
        x
    )
    query = LAYERS.LSTM(6, return_sequences=True)(x, initial_state=states)
    context = LAYERS.Attention()([query, memory])
    return LAYERS.Flatten()(LAYERS.Dense(8)(context))


@state("TimeDistributed over a Sequential model", (4, *IMAGE))
def _in_time(x):
    inner = keras.Sequential(
        [
            keras.Input(IMAGE),
            LAYERS.Conv2D(8, 3),
            LAYERS.Conv2D(6, 3),
            LAYERS.GlobalAveragePooling2D(),
        ]
    )
    return LAYERS.LSTM(4)(LAYERS.TimeDistributed(inner)(x))


@state("TimeDistributed over MobileNet", (2, 32, 32, 3))
def _network_in_time(x):
    inner = keras.applications.MobileNet(
        (32, 32, 3), 0.25, include_top=False, weights=None, pooling="avg"
    )
    return LAYERS.LSTM(4)(LAYERS.TimeDistributed(inner)(x))


@state("multi-head attention", STEPS)
def _heads(x):
    return LAYERS.Flatten()(LAYERS.MultiHeadAttention(3, 4)(x, x))


@state("an average over channels (LayerNormalization)", STEPS)
def _normalized(x):
    return LAYERS.Flatten()(LAYERS.LayerNormalization()(LAYERS.Dense(8)(x)))


@state("LoRA enabled", STEPS)
def _adapted(x):
    dense = LAYERS.Dense(8)
    x = LAYERS.Flatten()(dense(x))
    dense.enable_lora(2)
    return x


@state("quantized to int8", STEPS)
def _quantized(x):
    dense = LAYERS.Dense(8)
    x = LAYERS.Flatten()(dense(x))
    dense.quantize("int8")
    return x


@state("bfloat16", IMAGE)
def _bfloat16(x):
    conv = LAYERS.Conv2D(8, 3, dtype="mixed_bfloat16")
    return LAYERS.GlobalAveragePooling2D()(conv(x))


@state("frozen weights", IMAGE)
def _frozen(x):
    conv = LAYERS.Conv2D(8, 3, trainable=False)
    return LAYERS.GlobalAveragePooling2D()(conv(x))


def row(name):
    """The cells of a state's row."""
    keras.utils.set_random_seed(FLAGS.seed)
    shape, dtype, features = ROWS[name]
    inputs = keras.Input(shape, dtype=dtype)
    outputs = LAYERS.Dense(3)(LAYERS.Dense(10)(features(inputs)))
    model = keras.Model(inputs, outputs)
    found = exactness.strip_masked(model, seed=FLAGS.seed)
    graph = found.graph
    own = {"its output", "an input of the model"}
    reasons = {reason for _, _, reason in graph.reasons} - own
    return (
        name,
        "; ".join(sorted(reasons)) or "-",
        f"{int(graph.removable.sum()):,} of {graph.size:,}",
        f"{model.count_params():,} -> {found.small.count_params():,}",
        f"{found.error:.0e}",
    )


def main(_):
    rows = []
    for name in FLAGS.only or ROWS:
        rows.append(row(name))
        print(*rows[-1], sep="  ", flush=True)
    header = (
        "state",
        "what holds channels",
        "removable channels",
        "parameters",
        "difference",
    )
    text = (
        "# Models in a state\n\n"
        "A small model of each kind, with two dense layers behind. Half of the "
        "removable channels are masked at random, and the model is stripped. "
        "`difference`: the largest difference of outputs before and after, "
        "relative to the largest output. The channels of inputs and outputs "
        f"always stay. Seed {FLAGS.seed}.\n\n"
        f"{tables.Table(header, tuple(rows), left=2).to_markdown()}\n"
        f"{results.footer('model_states.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
