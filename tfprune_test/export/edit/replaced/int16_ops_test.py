import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

LAYERS, OPS = keras.layers, keras.ops
SHAPE = 6, 6, 4


def dense(x):
    return LAYERS.Dense(5)(x)


def branches(x):
    return OPS.where(x > 0, x * 3, x * 2.5 + 0.01)


def largest_row(x):
    position = OPS.argmax(2 * x, 1, keepdims=True)
    return OPS.cast(position, "float32") / 5


LACKING = {
    "elu": lambda x: LAYERS.Activation("elu")(dense(x)),
    "exp": lambda x: OPS.exp(LAYERS.ReLU(1.0)(dense(x))),
    "softplus": lambda x: LAYERS.Activation("softplus")(dense(x)),
    "mish": lambda x: LAYERS.Activation("mish")(dense(x)),
    "hard_silu": lambda x: LAYERS.Activation("hard_silu")(dense(x)),
    "log_softmax": lambda x: LAYERS.Activation("log_softmax")(dense(x)),
    "PReLU": lambda x: LAYERS.PReLU()(dense(x)),
    "gelu": lambda x: LAYERS.Activation("gelu")(dense(x)),
    "gelu by tanh": lambda x: OPS.gelu(dense(x), approximate=True),
    "equal to a number": lambda x: OPS.where(
        OPS.not_equal(y := LAYERS.ReLU()(dense(x)), 0), y, 0.05
    ),
    "finite": lambda x: OPS.where(OPS.isfinite(dense(x)), x[..., :1], 1.0),
    "logsumexp": lambda x: OPS.logsumexp(dense(x), -1, keepdims=True),
    "cube": lambda x: OPS.power(dense(x) / 2, 3.0),
    "root": lambda x: OPS.power(LAYERS.ReLU()(dense(x)), 0.7),
    "sign": lambda x: x[..., :1] * OPS.sign(OPS.relu(x[..., 1:] - 0.1)),
    "some rows": lambda x: OPS.take(dense(x), [0, 3, -1], axis=1),
    "layer norm": lambda x: LAYERS.LayerNormalization()(dense(x)),
    "maximum of a map": lambda x: LAYERS.GlobalMaxPooling2D()(dense(x)),
    "minimum of a map": lambda x: OPS.min(dense(x), (1, 2)),
    "bilinear": lambda x: LAYERS.UpSampling2D(2, interpolation="bilinear")(x),
    "reflect": lambda x: OPS.pad(
        dense(x), ((0, 0), (1, 1), (2, 0), (0, 0)), "reflect"
    ),
    "pad with ones": lambda x: OPS.pad(
        dense(x), ((0, 0), (1, 1), (0, 0), (0, 0)), constant_values=1.0
    ),
}
# What the converter gets wrong.
WRONG = {
    # A ReLU that lets next to nothing through, in 32 bits.
    "faint": lambda x: 3e4 * (OPS.relu(-OPS.abs(x)) + x * 1e-5),
    "soft_shrink": lambda x: LAYERS.Activation("soft_shrink")(dense(x)),
    "selu": lambda x: LAYERS.Activation("selu")(dense(x)),
    "where": lambda x: branches(dense(x)),
    "a sum": lambda x: OPS.sum(LAYERS.ReLU()(dense(x)), 1),
    "a sum of all": lambda x: OPS.sum(dense(x), (1, 2), keepdims=True) / 9,
    "a limit out of range": lambda x: OPS.normalize(dense(x)),
}


class Int16Test(parameterized.TestCase):
    def check(self, function, behind):
        """Exports a model whose op is the last one, or is followed by a layer.

        Returns:
            The ops of the file.
        """
        keras.utils.set_random_seed(0)
        inputs = keras.Input(SHAPE)
        outputs = function(inputs)
        model = keras.Model(inputs, dense(outputs) if behind else outputs)
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        x = small_models.samples(model)
        small_models.export(model, path, "int16x8", x)
        wanted = small_models.predictions(model, x)[0]
        for runtime in ("tflite", "micro"):
            found = interpreter.run(path, x, runtime)
            # Weights of eight bits remain.
            np.testing.assert_allclose(found, wanted, atol=0.1)
            self.assertLess(np.abs(found - wanted).mean(), 0.02)
        return model_file.read(path).ops

    @parameterized.product(name=sorted(LACKING), behind=(True, False))
    def test_ops_without_a_kernel(self, name, behind):
        self.check(LACKING[name], behind)

    @parameterized.product(
        function=(
            OPS.square,
            OPS.elu,
            OPS.exp,
            LAYERS.UnitNormalization(),
            lambda x: OPS.max(x, (1, 2), keepdims=True) * x,
            # Comparisons of two tensors of int16, which have two scales.
            OPS.soft_shrink,
            OPS.sparse_plus,
            OPS.sparse_sigmoid,
            largest_row,
        ),
        behind=(True, False),
    )
    def test_they_read_an_input_of_the_model(self, function, behind):
        self.check(function, behind)

    def test_an_output_of_float_is_told(self):
        with self.assertLogs("absl", "WARNING") as logs:
            self.check(LACKING["elu"], False)
        self.assertRegex("".join(logs.output), "These stay float32: activation")

    @parameterized.product(name=sorted(WRONG), behind=(True, False))
    def test_ops_of_two_scales_or_types(self, name, behind):
        self.check(WRONG[name], behind)

    @parameterized.parameters("micro", "tflite")
    def test_squared_differences_run_everywhere(self, runtime):
        inputs = keras.Input((6, 4))
        gap = OPS.square(inputs[:, 1:] - inputs[:, :-1])
        spread = OPS.std(inputs, -1, keepdims=True)
        model = keras.Model(inputs, [gap, spread])
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        x = np.random.default_rng(0).normal(size=(50, 6, 4)).astype("float32")
        small_models.export(model, path, "int16x8", x, runtime=runtime)
        wanted = small_models.predictions(model, [x])
        for each in ("micro", "tflite"):
            found = interpreter.run(path, x, each)
            for one, other in zip(found, wanted, strict=True):
                np.testing.assert_allclose(one, other, atol=0.005)

    def test_bytes_come_in(self):
        inputs = keras.Input((6,), dtype="uint8")
        model = keras.Model(inputs, LAYERS.Rescaling(1 / 9)(inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        x = np.random.default_rng(0).integers(0, 9, (50, 6)).astype("uint8")
        file = small_models.export(model, path, "int16x8", x)
        self.assertEqual(file.inputs[0].dtype, "uint8")
        found = interpreter.run(path, x, "micro")
        wanted = small_models.predictions(model, [x])[0]
        np.testing.assert_allclose(found, wanted, atol=0.01)

    def test_what_has_a_kernel_stays_in_int16(self):
        for function in (dense, LAYERS.ReLU(), LAYERS.Activation("tanh")):
            self.assertNotIn("DEQUANTIZE", self.check(function, True))


if __name__ == "__main__":
    absltest.main()
