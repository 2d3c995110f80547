import pathlib

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.export.convert import tflite
from tfprune.export.edit import lean
from tfprune.export.file import model_file
from tfprune.export.micro import compression
from tfprune.export.micro.arena import measured_arena
from tfprune.export.run import interpreter
from tfprune_test.export import small_models


def sparse():
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, keras.layers.Conv2D(32, 3)(inputs))
    kernel, bias = model.get_weights()
    kernel[np.random.default_rng(0).random(kernel.shape) < 0.9] = 0
    model.set_weights([kernel, bias])
    return model


class LeanTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def both(self, path):
        """The file at `path` and the one without notes."""
        small = self.folder / "lean.tflite"
        small.write_bytes(lean.without_notes(path.read_bytes()))
        return model_file.read(path), model_file.read(small)

    def check(self, before, after):
        x = interpreter.random_inputs(before, 5)
        found = (interpreter.stored(file, x) for file in (before, after))
        for a, b in zip(*found, strict=True):
            np.testing.assert_array_equal(a, b)
        self.assertEqual(*measured_arena.arenas([before.path, after.path]))
        self.assertEqual(before.inputs, after.inputs)
        self.assertEqual(before.outputs, after.outputs)
        self.assertEqual(before.ops, after.ops)

    @parameterized.product(
        build=(
            small_models.residual,
            small_models.two_in_two_out,
            lambda: small_models.lstm(unroll=True),
        ),
        mode=("float32", "int8", "int16x8"),
    )
    def test_less_flash_and_the_same_outputs(self, build, mode):
        model = build()
        path = self.folder / "model.tflite"
        data = small_models.samples(model, 20)
        small_models.export(model, path, mode, data if "int" in mode else None)
        before, after = self.both(path)
        self.assertLess(after.file_bytes, before.file_bytes)
        self.check(before, after)

    @pytest.mark.slow  # Exports twice.
    def test_compressed_weights_stay_as_they_are(self):
        model = sparse()
        path = self.folder / "model.tflite"
        x = np.random.default_rng(0).normal(size=(20, 8, 8, 4))
        tflite.export_tflite(model, path, "int8", x.astype("float32"))
        done = compression.compress_tflite(path, self.folder / "small.tflite")
        self.assertTrue(any(weight.chosen for weight in done.weights))
        before, after = self.both(self.folder / "small.tflite")
        # They come without notes already.
        self.assertEqual(after.file_bytes, before.file_bytes)
        self.check(before, after)

    def test_weights_still_begin_at_multiples_of_16(self):
        path = self.folder / "model.tflite"
        model = small_models.large()
        small_models.export(model, path)
        data = lean.without_notes(path.read_bytes())
        kernels = [w for w in model.get_weights() if w.ndim == 2]
        self.assertNotEmpty(kernels)
        for kernel in kernels:
            start = data.find(kernel.T.tobytes())
            self.assertGreater(start, 0)
            self.assertEqual(start % 16, 0)
