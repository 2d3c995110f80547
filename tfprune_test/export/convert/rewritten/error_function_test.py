import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models

OPS = keras.ops
X = np.random.default_rng(0).normal(size=(100, 6)).astype("float32")
ROOT = np.float32(np.sqrt(0.5))
MODES = {"float32": 1e-5, "int8": 0.05, "int16x8": 0.02}


def shared(x):
    """What would be a GELU, if nothing else read erf."""
    found = OPS.erf(x * ROOT)
    return 0.5 * x * (1 + found) - found


class ErrorFunctionTest(parameterized.TestCase):
    def exported(self, function, mode):
        """The ops of a file whose outputs are those of the model."""
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6,))
        x = keras.layers.Dense(8)(inputs)
        model = keras.Model(inputs, function(x))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        calibration = [] if mode == "float32" else [X]
        file = small_models.export(model, path, mode, *calibration)
        (wanted,) = small_models.predictions(model, [X])
        runtime = "tflite" if mode == "float32" else "micro"
        found = interpreter.run(path, X, runtime)
        np.testing.assert_allclose(found, wanted, atol=MODES[mode])
        return file.ops

    @parameterized.product(
        function=[
            OPS.erf,
            lambda x: OPS.erf(x / 10) * 10,
            lambda x: OPS.erf(0.3 * x * x),
            lambda x: x * (0.5 * (1 + OPS.erf(x / 1.4))),
            shared,
            lambda x: 0.5 * x * (1 + OPS.erf(x * ROOT)) - OPS.tanh(x * 0.5),
            lambda x: 0.5 * x * (1 + OPS.erf(x * ROOT)) - OPS.tanh(x * ROOT),
        ],
        mode=sorted(MODES),
    )
    def test_it_is_written_by_other_ops(self, function, mode):
        ops = self.exported(function, mode)
        self.assertNotIn("GELU", ops)

    def test_int8_has_a_table(self):
        ops = self.exported(OPS.erf, "int8")
        self.assertEqual(
            ops, {"FULLY_CONNECTED": 1, "CAST": 1, "ADD": 1, "GATHER": 1}
        )

    @parameterized.parameters(
        lambda x: OPS.gelu(x, approximate=False),
        lambda x: 0.5 * x * (1 + OPS.erf(x / np.sqrt(np.float32(2)))),
        lambda x: x * 0.5 * (OPS.erf(x * ROOT) + 1),
    )
    def test_gelu_stays_one_op(self, function):
        ops = self.exported(function, "float32")
        self.assertEqual(ops, {"FULLY_CONNECTED": 1, "GELU": 1})

    def test_both_in_one_model(self):
        ops = self.exported(
            lambda x: OPS.erf(x) + OPS.gelu(x, approximate=False), "float32"
        )
        self.assertEqual(ops["GELU"], 1)


if __name__ == "__main__":
    absltest.main()
