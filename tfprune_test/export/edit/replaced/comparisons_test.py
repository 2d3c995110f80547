import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.edit.replaced import substitutes
from tfprune.export.file import model_file
from tfprune.export.file import packing
from tfprune.export.run import interpreter
from tfprune_test.export import hand_made
from tfprune_test.export import small_models

OPS = keras.ops


class ComparisonTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")

    @parameterized.parameters((0.75, "int8"), (300.0, "float32"))
    def test_a_constant_to_compare_with(self, value, dtype):
        """Beyond the range of an int8 tensor nothing equals it."""
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", (1, 3), "int8", ([0.5], [0]))
        y, z = sketch.tensor("y", (1, 3)), sketch.tensor("z", (1, 3))
        constant = sketch.constant("c", np.float32(value))
        sketch.op("DEQUANTIZE", [x], [y])
        sketch.op("EQUAL", [y, constant], [z])
        model = packing.unpacked(sketch.data([x], [z]))
        substitutes.substitute(model)
        (graph,) = model.subgraphs
        compared = graph.tensors[graph.operators[-1].inputs[1]]
        self.assertEqual(compared.type, hand_made.TYPES[dtype])

    @parameterized.product(
        equal=[OPS.equal, OPS.not_equal], mode=["int8", "int16x8"]
    )
    def test_equal_numbers_of_two_scales(self, equal, mode):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6,))
        x, y = (keras.layers.Dense(6)(inputs) for _ in range(2))
        found = equal(x, OPS.maximum(x, 3 * y))
        model = keras.Model(inputs, OPS.where(found, x, 3 * y))
        data = np.random.default_rng(0).normal(size=(100, 6))
        data = data.astype("float32")
        small_models.export(model, self.path, mode, data)
        found = interpreter.run(self.path, data, "micro")
        (wanted,) = small_models.predictions(model, [data])
        off = np.abs(found - wanted) > 0.03 * np.ptp(wanted)
        self.assertLess(off.mean(), 0.01)

    @parameterized.parameters("int8", "int16x8")
    def test_a_number_between_two_steps(self, mode):
        """Signs have 255 steps from -1 to 1, so that 1 is none of them."""
        inputs = keras.Input((6,))
        found = OPS.equal(OPS.sign(inputs), 1.0)
        model = keras.Model(inputs, OPS.cast(found, "float32"))
        data = np.random.default_rng(0).normal(size=(100, 6))
        data = data.astype("float32")
        small_models.export(model, self.path, mode, data)
        for runtime in ("tflite", "micro"):
            found = interpreter.run(self.path, data, runtime)
            off = np.abs(found - (data > 0)) > 0.01
            self.assertLess(off.mean(), 0.02)

    @parameterized.product(
        largest=[0.01, 1000.0],
        compared=[OPS.greater, OPS.less_equal, OPS.not_equal],
        constant=[False, True],
    )
    def test_small_and_large_numbers(self, largest, compared, constant):
        """Kernels of int8 count in units of 1 / 256, up to steps of 1."""
        inputs = [keras.Input((16,)) for _ in range(2 - constant)]
        limit = 0.0 if compared is OPS.not_equal else largest / 3
        found = compared(inputs[0], limit if constant else inputs[1])
        ends = inputs if len(inputs) > 1 else inputs[0]
        model = keras.Model(ends, OPS.cast(found, "float32"))
        rng = np.random.default_rng(0)
        data = [
            (rng.uniform(0, largest, (50, 16)) * rng.integers(0, 2, (50, 16)))
            for _ in inputs
        ]
        data = [x.astype("float32") for x in data]
        small_models.export(model, self.path, "int8", data)
        (wanted,) = small_models.predictions(model, data)
        for runtime in ("tflite", "micro"):
            found = interpreter.run(self.path, data, runtime)
            off = np.abs(found - wanted) > 0.01
            self.assertLess(off.mean(), 0.02)
        again = self.path.with_name("again.tflite")
        again.write_bytes(substitutes.substituted(self.path.read_bytes()))
        ops = [model_file.read(path).ops for path in (self.path, again)]
        self.assertEqual(*ops)

    @parameterized.product(
        compared=[OPS.greater, OPS.greater_equal, OPS.less, OPS.less_equal],
        constant=[2.0, np.array(4 * [0, 5], "float32")],
        mode=["int8", "int16x8"],
    )
    def test_whole_numbers_equal_constants(self, compared, constant, mode):
        """3 of 7 is stored as a little less, where nothing is a half."""
        rng = np.random.default_rng(0)
        inputs = keras.Input((8,))
        both = compared(inputs, constant), compared(constant, inputs)
        both = [OPS.cast(found, "float32") for found in both]
        model = keras.Model(inputs, OPS.concatenate(both, axis=1))
        for largest in (3, 7):
            data = rng.integers(0, largest + 1, (50, 8)).astype("float32")
            data[0] = largest
            small_models.export(model, self.path, mode, data)
            (wanted,) = small_models.predictions(model, [data])
            for runtime in ("tflite", "micro"):
                found = interpreter.run(self.path, data, runtime)
                np.testing.assert_allclose(found, wanted, atol=0.01)

    @parameterized.parameters("int8", "int16x8")
    def test_unequal_to_each_of_several(self, mode):
        inputs = keras.Input((6,))
        constants = np.array([0, 1, 0, 1, 0, 90], "float32")
        found = OPS.not_equal(inputs, constants)
        model = keras.Model(inputs, OPS.cast(found, "float32"))
        data = np.random.default_rng(0).integers(0, 8, (50, 6))
        data = data.astype("float32")
        small_models.export(model, self.path, mode, data)
        found = interpreter.run(self.path, data, "micro")
        np.testing.assert_allclose(found, data != constants, atol=0.01)
