"""Sizes that old models compute with, as their files hold them."""

import keras
import numpy as np
from absl.testing import absltest

from tfprune.legacy import building
from tfprune.legacy.operations import sizes
from tfprune_test.legacy.loading_test import after
from tfprune_test.legacy.loading_test import config
from tfprune_test.legacy.loading_test import entry

X = np.random.default_rng(0).normal(size=(3, 4, 6)).astype("float32")


def call(name, of, source, **kwargs):
    kind = "SlicingOpLambda" if of.endswith("getitem") else "TFOpLambda"
    node = source if isinstance(source, list) else [source, 0, 0, kwargs]
    return entry(name, kind, [node], function=of)


def size(name, axis, of="x"):
    """`tf.shape(of)[axis]`."""
    return (
        call(f"{name}.all", "compat.v1.shape", of, out_type="int32"),
        call(name, "__operators__.getitem", f"{name}.all", slice_spec=axis),
    )


def ref(name):
    return [name, 0, 0]


def built(*entries, last, shape=(None, 4, 6)):
    found = building.Builder().model(config(*entries, last=last, shape=shape))
    return found.layers[0]


class SizesTest(absltest.TestCase):
    def check(self, wanted, *entries, shape=(None, 4, 6)):
        model = built(*entries, last=entries[-1]["name"], shape=shape)
        np.testing.assert_allclose(model(X), wanted, rtol=1e-6)
        clone = keras.Model.from_config(model.get_config())
        np.testing.assert_allclose(clone(X), wanted, rtol=1e-6)

    def test_a_batch_flattened_by_its_size(self):
        y = call("y", "reshape", "x", shape=[ref("batch"), -1])
        self.check(X.reshape(3, -1), *size("batch", 0), y)
        y = call("y", "reshape", "x", shape=[ref("batch"), -1, 2])
        self.check(X.reshape(3, -1, 2), *size("batch", 0), y, shape=(None,) * 3)

    def test_steps_as_samples_and_back(self):
        flat = call("flat", "reshape", "x", shape=[-1, ref("units")])
        y = call("y", "reshape", "flat", shape=[ref("batch"), ref("time"), 6])
        self.check(
            X, *size("batch", 0), *size("time", 1), *size("units", 2), flat, y
        )

    def test_a_size_times_a_number(self):
        twice = call("twice", "math.multiply", "batch", y=2)
        y = call("y", "reshape", "x", shape=[ref("twice"), -1, 6])
        with self.assertRaisesRegex(ValueError, "sizes .* fixed"):
            built(*size("batch", 0), twice, y, last="y", shape=(None,) * 3)
        y = call("y", "reshape", "x", shape=[ref("twice"), 2, 6])
        self.check(X.reshape(6, 2, 6), *size("batch", 0), twice, y)

    def test_the_batch_of_another_tensor(self):
        pool = entry("pool", "GlobalAveragePooling1D", after("x"))
        y = call("y", "reshape", "pool", shape=[ref("batch"), -1, 2])
        self.check(X.mean(1).reshape(3, 3, 2), *size("batch", 0), pool, y)
        flat = call("flat", "reshape", "x", shape=[-1, 6])
        y = call("y", "reshape", "flat", shape=[ref("batch"), -1, 2])
        with self.assertRaisesRegex(ValueError, "sizes .* fixed"):
            built(*size("batch", 0), flat, y, last="y")

    def test_constants_as_large_as_the_batch(self):
        part = [["batch", 0, 0, {"value": 2.0}]]
        part += [["_CONSTANT_VALUE", -1, n, {"value": 2.0}] for n in (4, 1)]
        fill = call("fill", "fill", part)
        join = [["x", 0, 0, {"axis": -1}], ["fill", 0, 0, {"axis": -1}]]
        y = call("y", "concat", join)
        wanted = np.concatenate([X, np.full((3, 4, 1), 2)], -1)
        self.check(wanted, *size("batch", 0), fill, y)
        grid = np.arange(8).reshape(1, 4, 2).astype("float32")
        times = {"multiples": [ref("batch"), 1, 1]}
        tile = call(
            "fill", "tile", ["_CONSTANT_VALUE", -1, grid.tolist(), times]
        )
        wanted = np.concatenate([X, grid.repeat(3, 0)], -1)
        self.check(wanted, *size("batch", 0), tile, y)

    def test_positions_that_a_layer_embeds(self):
        places = call("places", "range", "time")
        embed = entry(
            "embed", "Embedding", after("places"), input_dim=9, output_dim=6
        )
        y = call("y", "__operators__.add", "x", y=ref("embed"))
        for length in (4, None):
            shape = (None, length, 6)
            model = built(
                *size("time", 1), places, embed, y, last="y", shape=shape
            )
            # The weights come after the model is built.
            table = np.random.default_rng(1).normal(size=(9, 6))
            model.get_layer("embed").set_weights([table])
            np.testing.assert_allclose(model(X), X + table[:4], rtol=1e-5)

    def test_a_size_that_is_open_is_named(self):
        y = call("y", "image.resize", "x", size=[ref("rows"), 3])
        with self.assertRaisesRegex(ValueError, "size 1 of a tensor of"):
            built(*size("rows", 1), y, last="y", shape=(None, None, 6, 3))

    def test_sizes(self):
        x = keras.Input((None, 6))
        found = sizes.shape(x)
        self.assertTrue(sizes.are_open([found]))
        self.assertTrue(found[0].is_batch)
        self.assertEqual((found[1] * 6 // 3).times, 2)
        self.assertEqual(sizes.shape(np.zeros((2, 3))).tolist(), [2, 3])


class ListsTest(absltest.TestCase):
    def test_a_function_of_a_list_of_one(self):
        y = call("y", "stack", [["x", 0, 0, {"axis": 1}]])
        model = built(y, last="y")
        np.testing.assert_array_equal(model(X), X[:, None])

    def test_a_list_of_numbers_beside_a_tensor(self):
        y = call("y", "math.multiply", "x", y=[1.0, 2, 3, 4, 5, 6])
        np.testing.assert_allclose(built(y, last="y")(X), X * np.arange(1, 7))
        y = call(
            "y",
            "gather",
            [
                "_CONSTANT_VALUE",
                -1,
                [[1.0], [2.0]],
                {"indices": ref("near"), "axis": 0},
            ],
        )
        near = call("near", "cast", "x", dtype="int32")
        got = built(near, y, last="y")(np.abs(X) / 3)
        np.testing.assert_allclose(got[..., 0], 1 + (np.abs(X) // 3), rtol=1e-6)

    def test_an_ellipsis(self):
        spec = [
            {"class_name": "__ellipsis__"},
            {"start": -2, "stop": None, "step": None},
        ]
        y = call("y", "__operators__.getitem", "x", slice_spec=spec)
        np.testing.assert_array_equal(built(y, last="y")(X), X[..., -2:])

    def test_an_equation_without_its_tensors(self):
        y = call("y", "einsum", ["_CONSTANT_VALUE", -1, "ab,bc->ac", {}])
        with self.assertRaisesRegex(ValueError, "only the equation"):
            built(y, last="y")


if __name__ == "__main__":
    absltest.main()
