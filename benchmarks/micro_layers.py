"""Layers and ops in int8 on TFLite Micro: which run, by which ops, how exactly.

python benchmarks/micro_layers.py --table=docs/results/micro_layers.md
"""

import pathlib
import tempfile

import keras
import numpy as np
import results
from absl import app
from absl import flags

from tfprune.core import tables
from tfprune.export.convert import tflite
from tfprune.export.run import interpreter

FLAGS = flags.FLAGS
flags.DEFINE_list("only", [], "names of rows; empty means all")
flags.DEFINE_string("table", "", "also write a table to this file")

LAYERS, OPS = keras.layers, keras.ops
_SAMPLES = 100


def _dense(x):
    return LAYERS.Dense(8)(x)


def _words(x, **kwargs):
    values = keras.initializers.RandomUniform(-1, 1, seed=0)
    return LAYERS.Embedding(9, 4, values, **kwargs)(x)


def _patches(x):
    return OPS.image.extract_patches(x, 2)


# For each row, the shape and the dtype of the input, and the layer or op.
VECTOR, STEPS, IMAGE = (6,), (8, 4), (8, 8, 3)
ROWS = {
    **{
        name: (
            VECTOR,
            "float32",
            lambda x, n=name: LAYERS.Activation(n)(_dense(x)),
        )
        for name in (
            "relu relu6 leaky_relu elu selu celu gelu softplus softsign mish "
            "exponential sigmoid hard_sigmoid log_sigmoid silu hard_silu tanh "
            "hard_tanh tanh_shrink soft_shrink squareplus softmax log_softmax "
            "sparsemax"
        ).split()
    },
    "PReLU": (VECTOR, "float32", lambda x: LAYERS.PReLU()(_dense(x))),
    "Conv1D": (STEPS, "float32", lambda x: LAYERS.Conv1D(4, 3)(x)),
    "Conv2D": (IMAGE, "float32", lambda x: LAYERS.Conv2D(4, 3)(x)),
    "Conv3D": ((4, 4, 4, 2), "float32", lambda x: LAYERS.Conv3D(4, 3)(x)),
    "DepthwiseConv2D": (
        IMAGE,
        "float32",
        lambda x: LAYERS.DepthwiseConv2D(3)(x),
    ),
    "Conv2DTranspose": (
        IMAGE,
        "float32",
        lambda x: LAYERS.Conv2DTranspose(4, 3, 2)(x),
    ),
    "UpSampling2D, bilinear": (
        IMAGE,
        "float32",
        lambda x: LAYERS.UpSampling2D(2, interpolation="bilinear")(x),
    ),
    "LayerNormalization": (
        STEPS,
        "float32",
        lambda x: LAYERS.LayerNormalization()(_dense(x)),
    ),
    "UnitNormalization": (
        VECTOR,
        "float32",
        lambda x: LAYERS.UnitNormalization()(_dense(x)),
    ),
    "MultiHeadAttention": (
        STEPS,
        "float32",
        lambda x: LAYERS.MultiHeadAttention(2, 4)(x, x),
    ),
    "LSTM": (STEPS, "float32", lambda x: LAYERS.LSTM(6)(x)),
    "LSTM, both ways": (
        STEPS,
        "float32",
        lambda x: LAYERS.Bidirectional(LAYERS.LSTM(4))(x),
    ),
    "LSTM behind Masking": (
        STEPS,
        "float32",
        lambda x: LAYERS.LSTM(6)(LAYERS.Masking()(x)),
    ),
    "GRU": (STEPS, "float32", lambda x: LAYERS.GRU(6)(x)),
    "SimpleRNN": (STEPS, "float32", lambda x: LAYERS.SimpleRNN(6)(x)),
    "Embedding": (VECTOR, "int32", _words),
    "Embedding, mask_zero, LSTM": (
        VECTOR,
        "int32",
        lambda x: LAYERS.LSTM(4)(_words(x, mask_zero=True)),
    ),
    "one_hot": (VECTOR, "int32", lambda x: OPS.one_hot(x, 9)),
    "argmax": (VECTOR, "float32", lambda x: OPS.argmax(_dense(x), -1)),
    "sqrt": (VECTOR, "float32", lambda x: OPS.sqrt(OPS.relu(_dense(x)) + 0.1)),
    "extract_patches": (IMAGE, "float32", _patches),
    "slice of five axes": (
        (4, 4, 4, 2),
        "float32",
        lambda x: x[:, 1:, :, ::2],
    ),
    "input of uint8": (IMAGE, "uint8", lambda x: LAYERS.Rescaling(1 / 255)(x)),
    "input of uint16": (VECTOR, "uint16", lambda x: LAYERS.Rescaling(0.1)(x)),
    "input of int64": (VECTOR, "int64", _words),
    "float16": (
        IMAGE,
        "float32",
        lambda x: LAYERS.Conv2D(4, 3, dtype="float16")(x),
    ),
}


def row(name, folder):
    """The cells of a row."""
    keras.utils.set_random_seed(0)
    shape, dtype, function = ROWS[name]
    rng = np.random.default_rng(0)
    x = (
        rng.integers(0, 9, (_SAMPLES, *shape)).astype(dtype)
        if "int" in dtype
        else rng.normal(size=(_SAMPLES, *shape)).astype(dtype)
    )
    inputs = keras.Input(shape, dtype=dtype)
    model = keras.Model(inputs, function(inputs))
    path = pathlib.Path(folder, "model.tflite")
    try:
        file = tflite.export_tflite(model, path, "int8", x)
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("Received: ")[2].partition(". ")[0]
        return name, "refused", reason, "", ""
    found = interpreter.run(path, x[:20], "micro")
    wanted = np.asarray(model(x[:20])).astype("float32")
    spread = wanted.std() or 1.0
    error = np.abs(found - wanted).max() / spread
    kinds = ", ".join(file.ops)
    return name, "runs", kinds, f"{file.file_bytes:,}", f"{error:.1%}"


def main(_):
    names = FLAGS.only or list(ROWS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            rows.append(row(name, folder))
            print(*rows[-1], flush=True)
    header = ("layer", "int8", "ops", "bytes", "largest error")
    count = sum(cells[1] == "runs" for cells in rows)
    text = (
        "# Layers on TFLite Micro\n\n"
        "Models of a single layer or op with random weights, exported as int8 "
        f"and run on TFLite Micro: {count} of {len(rows)} run. The error is "
        "the largest one relative to the standard deviation of the outputs, "
        "on 20 of the 100 random inputs used for calibration.\n\n"
        f"{tables.Table(header, tuple(rows), left=3).to_markdown()}\n"
        f"{results.footer('micro_layers.py')}\n"
    )
    results.publish(text, FLAGS.table)


if __name__ == "__main__":
    app.run(main)
