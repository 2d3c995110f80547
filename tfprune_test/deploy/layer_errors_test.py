import pathlib
import tempfile

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.deploy import layer_errors
from tfprune.export.convert import tflite
from tfprune_test.export import hand_made

LAYERS = keras.layers


class QuantizationErrorTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        keras.utils.set_random_seed(0)
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        model = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                LAYERS.Conv2D(8, 3, activation="relu", name="first"),
                LAYERS.Conv2D(8, 3, activation="relu", name="second"),
                LAYERS.GlobalAveragePooling2D(),
                LAYERS.Dense(4, name="scores"),
            ]
        )
        # One channel is so large that the others get few steps.
        kernel = np.array(keras.ops.convert_to_numpy(model.layers[1].kernel))
        kernel[..., 0] *= 300
        model.layers[1].kernel.assign(kernel)
        rng = np.random.default_rng(0)
        cls.x = rng.normal(size=(40, 8, 8, 3)).astype("float32")
        cls.paths = f"{folder}/int8.tflite", f"{folder}/float.tflite"
        tflite.export_tflite(model, cls.paths[0], "int8", cls.x)
        tflite.export_tflite(model, cls.paths[1])
        cls.errors = layer_errors.quantization_error(*cls.paths, cls.x)

    def test_every_layer_has_a_row_in_order(self):
        names = [tensor.name for tensor in self.errors.tensors]
        found = [
            layer
            for name in names
            for layer in ("first", "second", "scores")
            if layer in name
        ]
        self.assertContainsSubsequence(found, ["first", "second"], names)

    def test_ratios_are_those_of_the_errors(self):
        for tensor in self.errors.tensors:
            self.assertAlmostEqual(
                tensor.sqnr, -20 * np.log10(tensor.error), places=6
            )
            self.assertBetween(tensor.sqnr, 10, 80)
            self.assertBetween(tensor.clipped, 0, 0.2)

    def test_clipped_is_what_lies_beyond_a_range(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        paths = folder / "int8.tflite", folder / "float.tflite"
        for path, dtype in zip(paths, ("int8", "float32"), strict=True):
            sketch = hand_made.Sketch()
            steps = ([0.5], [0]) if dtype == "int8" else None
            x, y = (sketch.tensor(n, (1, 6), dtype, steps) for n in "xy")
            sketch.op("RELU", [x], [y])
            path.write_bytes(sketch.data([x], [y]))
        # -64 to 63.5 can be held, and a quarter more is rounded to them.
        x = np.array([[-64.2, -70.0, 1.0, 63.5, 63.7, 80.0]], "float32")
        found = layer_errors.quantization_error(*paths, x)
        shares = {t.name: t.clipped for t in found.tensors}
        self.assertEqual(shares, {"x": 2 / 6, "y": 1 / 6})

    def test_files_of_two_models_or_swapped_are_refused(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        paths = {}
        for units in (4, 6):
            model = keras.Sequential(
                [
                    keras.Input((3,)),
                    LAYERS.Dense(units, activation="relu", name="hidden"),
                    LAYERS.Dense(2, name="out"),
                ],
                name="net",
            )
            path = paths[units] = folder / f"{units}.tflite"
            tflite.export_tflite(model, path)
        x = np.ones((4, 3), "float32")
        tflite.export_tflite(model, folder / "int8.tflite", "int8", x)
        error = layer_errors.quantization_error
        with self.assertRaisesRegex(ValueError, "hidden.* has shapes .*6.*4"):
            error(folder / "int8.tflite", paths[4], x)
        with self.assertRaisesRegex(ValueError, "inputs and outputs have"):
            error(folder / "int8.tflite", self.paths[1], x)
        with self.assertRaisesRegex(ValueError, "only the second.*Swap"):
            error(paths[6], folder / "int8.tflite", x)

    def test_an_op_that_the_reference_kernels_lack(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        inputs = keras.Input((4,))
        model = keras.Model(inputs, LAYERS.ELU(name="elu")(inputs))
        x = np.linspace(-3, 3, 32, dtype="float32").reshape(8, 4)
        paths = folder / "int8.tflite", folder / "float.tflite"
        tflite.export_tflite(model, paths[0], "int8", x)
        tflite.export_tflite(model, paths[1])
        (found,) = layer_errors.quantization_error(*paths, x).worst(1)
        self.assertGreater(found.sqnr, 20)

    def test_the_worst_are_named_first(self):
        worst = self.errors.worst(2)
        ratios = [tensor.sqnr for tensor in self.errors.tensors]
        self.assertEqual([t.sqnr for t in worst], sorted(ratios)[:2])
        self.assertIn(f"Worst: {worst[0].name} (", str(self.errors))

    @pytest.mark.slow  # Runs two files op by op.
    def test_a_file_beside_itself_has_no_errors(self):
        same = layer_errors.quantization_error(
            self.paths[1], self.paths[1], self.x, limit=3
        )
        self.assertEqual({t.error for t in same.tensors}, {0.0})
        self.assertEqual({t.sqnr for t in same.tensors}, {np.inf})

    @parameterized.parameters(LAYERS.LSTM, LAYERS.GRU)
    def test_loops_and_fused_ops_of_recurrent_layers(self, kind):
        model = keras.Sequential(
            [keras.Input((6, 3)), kind(4), LAYERS.Dense(2, name="scores")]
        )
        x = np.random.default_rng(0).normal(size=(16, 6, 3)).astype("float32")
        folder = self.create_tempdir().full_path
        paths = f"{folder}/int8.tflite", f"{folder}/float.tflite"
        tflite.export_tflite(model, paths[0], "int8", x)
        tflite.export_tflite(model, paths[1])
        errors = layer_errors.quantization_error(*paths, x)
        self.assertEqual(errors.tensors[-1].name, "output_0")
        for tensor in errors.tensors:
            self.assertBetween(tensor.sqnr, 15, 80)


if __name__ == "__main__":
    absltest.main()
