import itertools
import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.file import model_file
from tfprune.export.micro.arena import flat_ops
from tfprune.export.run import interpreter
from tfprune.graph.lowering import few_axes
from tfprune_test.export import small_models

LAYERS = keras.layers
SHAPE = 2, 3, 2, 4, 2


def permuted(order):
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, LAYERS.Permute(order)(LAYERS.ReLU()(inputs)))


def shuffled():
    """Channels of two groups take turns, as in ShuffleNet."""
    inputs = keras.Input((6, 6, 3))
    x = LAYERS.Conv2D(8, 1)(inputs)
    x = LAYERS.Permute((1, 2, 4, 3))(LAYERS.Reshape((6, 6, 2, 4))(x))
    return keras.Model(
        inputs, LAYERS.Conv2D(2, 3)(LAYERS.Reshape((6, 6, 8))(x))
    )


class TranspositionsTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")

    def transpositions(self, model, mode="int8"):
        """Exports, compares outputs, and returns all TRANSPOSE ops."""
        x = small_models.samples(model)
        data = None if mode == "float32" else x
        small_models.export(model, self.path, mode, data)
        wanted = small_models.predictions(model, x)[0]
        for runtime in ("tflite", "reference", "micro"):
            found = interpreter.run(self.path, x, runtime)
            np.testing.assert_allclose(found, wanted, atol=0.08)
        (graph,) = flat_ops.read(self.path.read_bytes())
        found = [op for op in graph.ops if op.kind == "TRANSPOSE"]
        for op in found:
            self.assertLessEqual(len(op.inputs[0].shape), few_axes.MOST_AXES)
        return found

    @parameterized.product(
        order=(
            (1, 2, 3, 5, 4),
            (4, 5, 1, 2, 3),
            (2, 1, 4, 3, 5),
            (3, 1, 5, 2, 4),
            (5, 4, 3, 2, 1),
        ),
        mode=("float32", "int8"),
    )
    def test_no_more_than_four_axes(self, order, mode):
        self.transpositions(permuted(order), mode)

    def test_axes_that_stay_neighbors_are_one(self):
        (op,) = self.transpositions(permuted((4, 5, 1, 2, 3)))
        self.assertEqual(op.inputs[0].shape, (12, 8))

    def test_the_reshapes_of_a_shuffle_are_used(self):
        (op,) = self.transpositions(shuffled())
        self.assertEqual(op.inputs[0].shape, (36, 2, 4))
        self.assertEqual(model_file.read(self.path).ops["RESHAPE"], 2)

    def test_what_others_read_remains(self):
        inputs = keras.Input((8, 6))
        parts = LAYERS.Reshape((2, 4, 3, 2))(LAYERS.ReLU()(inputs))
        turned = LAYERS.Permute((3, 2, 1, 4))(parts)
        both = [LAYERS.ReLU()(parts), turned, LAYERS.Reshape((48,))(turned)]
        model = keras.Model(inputs, both)
        x = small_models.samples(model)
        small_models.export(model, self.path, "int8", x)
        wanted = small_models.predictions(model, x)
        found = interpreter.run(self.path, x, "micro")
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, atol=0.08)

    def test_every_order_of_up_to_six_axes(self):
        for rank in range(2, 7):
            shape = (3, 1, 2, 2, 3, 2)[:rank]
            x = np.arange(np.prod(shape)).reshape(shape)
            for order in itertools.permutations(range(rank)):
                made = x
                for groups, axes in few_axes.transpositions(shape, order):
                    sizes = [np.prod([shape[a] for a in g]) for g in groups]
                    sizes = np.array(sizes, int)
                    self.assertLessEqual(len(sizes), few_axes.MOST_AXES)
                    made = made.reshape(sizes).transpose(axes)
                wanted = x.transpose(order)
                np.testing.assert_array_equal(
                    made.reshape(wanted.shape), wanted
                )


class FewerAxesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")

    def exported(self, model, kind, mode="int8", **kwargs):
        """Exports, compares outputs, and returns the only op of a kind."""
        x = small_models.samples(model)
        data = None if mode == "float32" else x
        small_models.export(model, self.path, mode, data, **kwargs)
        exact = small_models.predictions(model, x)[0]
        for runtime in ("tflite", "reference", "micro"):
            found = interpreter.run(self.path, x, runtime)
            np.testing.assert_allclose(found, exact, atol=0.2)
        (graph,) = flat_ops.read(self.path.read_bytes())
        (op,) = [op for op in graph.ops if op.kind == kind]
        return op

    @parameterized.parameters(
        ((3, 4, 2, 5), (3, 4, 2, 5), (120,)),
        ((3, 4, 2, 5), (1, 1, 1, 5), (24, 5)),
        ((3, 4, 2, 5), (3, 4, 1, 1), (12, 10)),
        ((3, 4, 2, 5), (1, 4, 2, 1), (3, 8, 5)),
        ((3, 1, 2, 5), (1, 4, 2, 5), (3, 4, 10)),
        ((3, 4, 2, 5), (3, 1, 2, 1), (3, 4, 2, 5)),
    )
    def test_a_maximum(self, one, other, wanted):
        a, b = keras.Input(one), keras.Input(other)
        model = keras.Model([a, b], keras.ops.maximum(a, b))
        op = self.exported(model, "MAXIMUM")
        self.assertEqual(op.outputs[0].shape, wanted)

    def test_a_minimum_with_a_constant(self):
        inputs = keras.Input((3, 4, 2, 5))
        limits = np.linspace(-1, 1, 10, dtype="float32").reshape(2, 5)
        model = keras.Model(inputs, keras.ops.minimum(inputs, limits))
        op = self.exported(model, "MINIMUM")
        self.assertEqual(op.outputs[0].shape, (12, 10))
        self.assertTrue(op.inputs[1].constant)

    @parameterized.parameters((5,), (3, 4, 2, 5))
    def test_a_maximum_with_a_number(self, *shape):
        inputs = keras.Input(shape)
        layer = LAYERS.ReLU()(inputs)
        model = keras.Model(inputs, keras.ops.maximum(layer, 0.25))
        op = self.exported(model, "MAXIMUM")
        self.assertLessEqual(len(op.outputs[0].shape), few_axes.MOST_AXES)

    @parameterized.parameters(
        ((3, 4, 2, 5), (3, 4, 5, 6), (12, 2, 6)),
        ((3, 4, 2, 5), (1, 1, 5, 6), (12, 2, 6)),
        ((3, 1, 2, 5), (3, 4, 5, 6), (3, 4, 2, 6)),
        ((1, 1, 2, 5), (1, 1, 5, 6), (1, 2, 6)),
    )
    def test_products(self, one, other, wanted):
        a, b = keras.Input(one), keras.Input(other)
        model = keras.Model([a, b], keras.ops.matmul(a, b))
        op = self.exported(model, "BATCH_MATMUL")
        self.assertEqual(op.outputs[0].shape, wanted)

    def test_of_numbers(self):
        a, b = keras.Input((1, 1, 1, 1)), keras.Input((1, 1, 1, 1))
        model = keras.Model([a, b], keras.ops.maximum(a, b))
        op = self.exported(model, "MAXIMUM")
        self.assertEqual(op.outputs[0].shape, (1,))

    def test_a_tensor_with_itself(self):
        inputs = keras.Input((24, 5))
        x = LAYERS.Reshape((3, 4, 2, 5))(LAYERS.ReLU()(inputs))
        product = keras.ops.matmul(x, keras.ops.swapaxes(x, -1, -2))
        model = keras.Model(inputs, LAYERS.Reshape((12, 4))(product))
        op = self.exported(model, "BATCH_MATMUL")
        self.assertEqual(op.outputs[0].shape, (12, 2, 2))

    @parameterized.parameters("float32", "int8", "int16x8")
    def test_dense(self, mode):
        inputs = keras.Input((3, 2, 4, 5))
        model = keras.Model(inputs, LAYERS.Dense(6, "relu")(inputs))
        op = self.exported(model, "FULLY_CONNECTED", mode)
        self.assertEqual(op.outputs[0].shape, (1, 24, 6))

    @parameterized.parameters(
        # Depth, units, scales and the shape of the op's output.
        (8, 1, "channel", (20, 1)),
        (8, 3, "tensor", (20, 3)),
        (8, 3, "channel", (1, 5, 4, 3)),
        (6, 1, "channel", (1, 5, 4, 1)),
        (6, 3, "tensor", (1, 5, 4, 3)),
    )
    def test_a_dense_layer_with_one_scale(self, depth, units, scales, wanted):
        inputs = keras.Input((5, 4, depth))
        model = keras.Model(inputs, LAYERS.Dense(units)(inputs))
        for mode, shape in (("int8", wanted), ("int16x8", (1, 5, 4, units))):
            op = self.exported(
                model, "FULLY_CONNECTED", mode, dense_scales=scales
            )
            self.assertEqual(op.outputs[0].shape, shape)

    def test_dense_layers_with_one_scale_in_a_row(self):
        inputs = keras.Input((5, 8))
        x = LAYERS.Dense(4, activation="relu")(inputs)
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        x = small_models.samples(model)
        file = small_models.export(
            model, self.path, "int8", x, dense_scales="tensor"
        )
        self.assertEqual(file.ops, {"RESHAPE": 2, "FULLY_CONNECTED": 2})
        exact = small_models.predictions(model, x)[0]
        found = interpreter.run(self.path, x, "micro")
        np.testing.assert_allclose(found, exact, atol=0.2)


if __name__ == "__main__":
    absltest.main()
