"""Functions of TensorFlow in old files, against numpy and TensorFlow."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.operations import tf_functions

X = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]], "float32")
Y = np.array([[2.0, 1.0, 0.5], [1.0, 2.0, 3.0]], "float32")
_TARGET = ("target_height", "target_width")


def run(name, *args, **kwargs):
    found = tf_functions.FUNCTIONS[name](*args, **kwargs)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, found)


class OperandsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("__operators__.add", X + Y),
        ("math.subtract", X - Y),
        ("math.truediv", X / Y),
        ("math.squared_difference", (X - Y) ** 2),
        ("math.maximum", np.maximum(X, Y)),
    )
    def test_two_operands(self, name, expected):
        np.testing.assert_allclose(run(name, X, Y), expected, rtol=1e-6)

    @parameterized.parameters("__operators__.add", "math.add")
    def test_an_array_of_rows(self, name):
        rows, x = np.float32([[1], [2], [3]]), np.ones((2, 3, 3), "float32")
        inputs = keras.Input((3, 3))
        made = tf_functions.FUNCTIONS[name](inputs, rows.tolist())
        model = keras.Model(inputs, made)
        np.testing.assert_array_equal(model(x), x + rows)

    @parameterized.parameters("__operators__.add", "math.add")
    def test_an_array_along_a_last_axis_of_one(self, name):
        array, x = np.arange(3.0, dtype="float32"), np.ones((2, 3, 1), "f")
        inputs = keras.Input((3, 1))
        made = tf_functions.FUNCTIONS[name](inputs, array.tolist())
        model = keras.Model(inputs, made)
        np.testing.assert_array_equal(model(x), x + array)

    @parameterized.parameters(
        ("math.abs", np.abs(X)),
        ("math.square", X**2),
        ("nn.relu6", np.clip(X, 0, 6)),
        ("identity", X),
    )
    def test_one_operand(self, name, expected):
        np.testing.assert_allclose(run(name, X), expected, rtol=1e-6)

    @parameterized.parameters(
        ({"axis": [0, 1]}, X.sum()),
        ({"axis": 1, "keepdims": True}, X.sum(1, keepdims=True)),
        ({}, X.sum()),
    )
    def test_reductions(self, kwargs, expected):
        found = run("math.reduce_sum", X, **kwargs)
        np.testing.assert_allclose(found, expected)

    @parameterized.parameters(
        # A number of parts, or the size of each.
        (3, [1, 1, 1]),
        ([2, 1], [2, 1]),
        ([1, 1, 1], [1, 1, 1]),
    )
    def test_split(self, how, widths):
        found = run("split", X, how, axis=1)
        self.assertEqual([part.shape[1] for part in found], widths)
        np.testing.assert_array_equal(np.concatenate(found, 1), X)

    @parameterized.product(a=(False, True), b=(False, True))
    def test_matmul(self, a, b):
        left, right = (X.T if a else X), (Y if b else Y.T)
        found = run("linalg.matmul", left, right, transpose_a=a, transpose_b=b)
        np.testing.assert_allclose(found, X @ Y.T, rtol=1e-6)

    def test_a_slice_as_it_is_written(self):
        spec = [
            {"start": None, "stop": None, "step": None},
            {"start": 1, "stop": None, "step": None},
        ]
        found = run("__operators__.getitem", X, spec)
        np.testing.assert_array_equal(found, X[:, 1:])
        found = run("__operators__.getitem", X, [spec[0], 2])
        np.testing.assert_array_equal(found, X[:, 2])

    def test_defaults_are_those_of_tensorflow(self):
        found = run("nn.leaky_relu", X)
        np.testing.assert_allclose(found, np.where(X > 0, X, 0.2 * X))
        found = run("nn.silu", X, beta=2.0)
        np.testing.assert_allclose(
            found, X / (1 + np.exp(-2 * X)), rtol=1e-5, atol=1e-7
        )
        found = run("clip_by_value", X, -1.0, 3.0)
        np.testing.assert_array_equal(found, np.clip(X, -1, 3))

    def test_numbers_of_sizes_can_be_saved(self):
        x, call = keras.Input((4, 6, 3)), tf_functions.FUNCTIONS
        y = call["image.resize"](x, call["shape"](x)[1:3] * 2)
        y = call["clip_by_value"](y, 0, np.float32(call["shape"](x)[3]))
        y = call["math.scalar_mul"](np.float32(2), y)
        keras.Model(x, y).get_config()

    def test_a_resize_without_a_fixed_size_is_refused(self):
        inputs = keras.Input((None, 4, 3))
        resize = tf_functions.FUNCTIONS["image.resize"]
        with self.assertRaisesRegex(ValueError, "from a fixed size"):
            resize(inputs, (4, 4), preserve_aspect_ratio=True)

    @parameterized.parameters((24, 24), (90, 11), (5, 70))
    def test_images_that_keep_their_aspect_ratio(self, *size):
        import tensorflow as tf

        x = np.random.default_rng(0).normal(size=(1, 50, 33, 2)).astype("f")
        for name, given in (
            ("resize", {"size": size, "preserve_aspect_ratio": True}),
            ("resize_with_pad", dict(zip(_TARGET, size, strict=True))),
        ):
            found = run(f"image.{name}", x, method="bicubic", **given)
            wanted = getattr(tf.image, name)(x, method="bicubic", **given)
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)

    @parameterized.product(
        method=("bilinear", "nearest"), size=((4, 5), (1, 7), (17, 13))
    )
    def test_boxes_of_images(self, method, size):
        import tensorflow as tf

        x = np.random.default_rng(0).normal(size=(2, 9, 7, 3)).astype("f")
        boxes = [[0, 0, 1, 1], [0.1, 0.2, 1.2, 0.9], [1, 0.7, 0.1, -0.1]]
        given = {"boxes": np.float32(boxes), "box_indices": [1, 0, 1]}
        given |= {"crop_size": size, "method": method}
        given["extrapolation_value"] = 2.0
        found = run("image.crop_and_resize", x, **given)
        wanted = tf.image.crop_and_resize(x, **given)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)

    @parameterized.product(
        method=("gaussian", "mitchellcubic"), antialias=(False, True)
    )
    def test_a_resize_by_what_keras_lacks(self, method, antialias):
        import tensorflow as tf

        x = np.random.default_rng(0).normal(size=(2, 8, 7, 3)).astype("float32")
        resize = tf_functions.FUNCTIONS["image.resize"]
        found = resize(x, [3, 9], method, antialias=antialias)
        wanted = tf.image.resize(x, [3, 9], method, antialias=antialias)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)

    def test_a_resize_of_half_precision_gives_floats(self):
        inputs = keras.Input((4, 4, 1), dtype="float16")
        for name in ("image.resize", "image.resize_bilinear"):
            outputs = tf_functions.FUNCTIONS[name](inputs, size=[3, 3])
            self.assertEqual(outputs.dtype, "float32")

    @parameterized.parameters("image.resize", "image.resize_bilinear")
    def test_a_resize_of_whole_numbers_does_not_round(self, name):
        # Falls from 255, so that differences are below 0.
        x = np.arange(255, -1, -17).astype("uint8").reshape(1, 4, 4, 1)
        inputs = keras.Input((4, 4, 1), dtype="uint8")
        outputs = tf_functions.FUNCTIONS[name](inputs, size=[3, 3])
        found = keras.Model(inputs, outputs)(x)
        wanted = tf_functions.FUNCTIONS[name](x.astype("float32"), [3, 3])
        np.testing.assert_allclose(found, wanted, rtol=1e-5)

    @parameterized.parameters("uint8", "int8", "int32")
    def test_a_mean_of_whole_numbers_is_one(self, kind):
        x = np.array([[1, 2, 4], [100, 100, 121], [7, 7, 7]], kind)
        x[1] *= -1 if kind != "uint8" else 1
        inputs = keras.Input((3,), dtype=kind)
        mean = tf_functions.FUNCTIONS["math.reduce_mean"]
        outputs = [mean(inputs, 1), mean(inputs, [0, 1], True)]
        for_rows, for_all = keras.Model(inputs, outputs)(x)
        large = 107 if kind == "uint8" else -107
        self.assertEqual(np.asarray(for_rows).dtype, kind)
        np.testing.assert_array_equal(for_rows, [2, large, 7])
        np.testing.assert_array_equal(for_all, [[int(x.sum(dtype=int) / 9)]])

    @parameterized.parameters("uint8", "int8", "int16")
    def test_images_of_whole_numbers_are_adjusted_in_their_type(self, kind):
        import tensorflow as tf

        info = np.iinfo(kind)
        x = np.random.default_rng(0).integers(
            *(info.min, info.max), (1, 4, 4, 3), endpoint=True
        )
        x = x.astype(kind)
        inputs = keras.Input((4, 4, 3), dtype=kind)
        for name, kwargs in (
            ("adjust_brightness", {"delta": 0.3}),
            ("adjust_brightness", {"delta": -0.6}),
            ("adjust_contrast", {"contrast_factor": 2.0}),
            ("rgb_to_grayscale", {}),
        ):
            outputs = tf_functions.FUNCTIONS[f"image.{name}"](inputs, **kwargs)
            found = keras.Model(inputs, outputs)(x)
            wanted = getattr(tf.image, name)(x, **kwargs)
            self.assertEqual(np.asarray(found).dtype, kind)
            np.testing.assert_allclose(found, wanted, atol=1)
            self.assertGreater(np.mean(np.asarray(found) == wanted), 0.9)

    def test_gray_images_of_half_precision_stay_in_it(self):
        import tensorflow as tf

        x = np.random.default_rng(0).uniform(size=(1, 4, 4, 3))
        x = x.astype("float16")
        inputs = keras.Input((4, 4, 3), dtype="float16")
        gray = tf_functions.FUNCTIONS["image.rgb_to_grayscale"]
        found = keras.Model(inputs, gray(inputs))(x)
        self.assertEqual(np.asarray(found).dtype, "float16")
        wanted = tf.image.rgb_to_grayscale(x)
        np.testing.assert_allclose(found, wanted, rtol=1e-3)


U = np.random.default_rng(0).uniform(0.2, 0.9, (2, 4, 3)).astype("float32")
V = np.random.default_rng(1).uniform(0.2, 0.9, (2, 4, 3)).astype("float32")


def unit(x, axis):
    return x / np.sqrt((x**2).sum(axis, keepdims=True))


class FunctionsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("math.greater", {"y": V}, U > V),
        ("math.floordiv", {"y": V}, U // V),
        ("math.floormod", {"y": V}, U % V),
        ("math.divide_no_nan", {"y": 0 * V}, 0 * U),
        ("math.log1p", {}, np.log1p(U)),
        ("math.round", {}, np.round(U)),
        ("math.reduce_std", {"axis": [1, 2]}, U.std((1, 2))),
        ("math.reduce_variance", {"axis": 1}, U.var(1)),
        (
            "math.reduce_logsumexp",
            {"axis": 1},
            np.log(np.exp(U).sum(1)),
        ),
        ("math.reduce_euclidean_norm", {"axis": 1}, np.linalg.norm(U, axis=1)),
        ("norm", {"axis": -1}, np.linalg.norm(U, axis=-1)),
        ("norm", {"axis": -1, "ord": 1}, np.abs(U).sum(-1)),
        ("math.l2_normalize", {"axis": -1}, unit(U, -1)),
        ("gather", {"indices": [2, 0], "axis": 1}, U[:, [2, 0]]),
        ("math.argmax", {"axis": -1}, U.argmax(-1)),
        ("math.cumsum", {"axis": 1}, U.cumsum(1)),
        ("reverse", {"axis": [1]}, U[:, ::-1]),
        ("unstack", {"axis": 1}, np.moveaxis(U, 1, 0)),
        ("nn.swish", {}, U / (1 + np.exp(-U))),
        (
            "nn.softmax",
            {"axis": None},
            np.exp(U) / np.exp(U).sum(-1)[..., None],
        ),
        ("__operators__.eq", {"other": float(U[0, 0, 0])}, U == U[0, 0, 0]),
        ("__operators__.ne", {"other": V}, U != V),
    )
    def test_functions(self, name, kwargs, wanted):
        x = keras.ops.convert_to_tensor(U)
        got = tf_functions.FUNCTIONS[name](x, **kwargs)
        got = [np.asarray(g) for g in got] if isinstance(got, list) else got
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)

    def test_functions_of_other_first_arguments(self):
        where = tf_functions.FUNCTIONS["where"](U > V, U, V)
        np.testing.assert_array_equal(where, np.maximum(U, V))
        total = tf_functions.FUNCTIONS["math.add_n"]([U, V, U])
        np.testing.assert_allclose(total, 2 * U + V, rtol=1e-6)
        hot = tf_functions.FUNCTIONS["one_hot"](
            np.array([2, 0]), 3, on_value=5.0, off_value=1.0
        )
        np.testing.assert_array_equal(hot, [[1, 1, 5], [5, 1, 1]])
        with self.assertRaisesRegex(ValueError, "batch_dims=1"):
            tf_functions.FUNCTIONS["gather"](U, [0], batch_dims=1)

    @parameterized.parameters(True, False)
    def test_sums_without_the_last_and_from_the_end(self, exclusive):
        found = run("math.cumsum", X, 1, exclusive=exclusive, reverse=True)
        wanted = X[:, ::-1].cumsum(1)[:, ::-1]
        np.testing.assert_allclose(found, wanted - X if exclusive else wanted)
        found = run("math.cumprod", X, axis=0, exclusive=True)
        np.testing.assert_allclose(found, [[1, 1, 1], X[0]])

    def test_a_gather_for_each_sample(self):
        x, places = keras.Input((4, 3)), np.int32([[3, 1], [0, 0]])
        at = keras.Input((2,), dtype="int32")
        gather = tf_functions.FUNCTIONS["gather"]
        model = keras.Model([x, at], gather(x, at, batch_dims=1))
        np.testing.assert_array_equal(
            model([U, places]), [U[0][[3, 1]], U[1][[0, 0]]]
        )

    def test_a_gather_along_the_last_axis(self):
        gather = tf_functions.FUNCTIONS["gather"]
        found = gather(X, np.int32([[2, 0], [1, 1]]), batch_dims=1, axis=-1)
        np.testing.assert_array_equal(found, [X[0][[2, 0]], X[1][[1, 1]]])

    @parameterized.parameters(1, 2, 3)
    def test_a_gather_by_one_index_for_each_axis(self, depth):
        import tensorflow as tf

        x = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype("f")
        at = np.random.default_rng(1).integers(0, 2, (3, 6, depth))
        inputs = keras.Input((4, 5, 2))
        places = keras.Input((6, depth), dtype="int32")
        gather = tf_functions.FUNCTIONS["gather_nd"]
        outputs = [gather(inputs, places, batch_dims=n) for n in (0, 1)]
        found = keras.Model([inputs, places], outputs)([x, at])
        for n in (0, 1):
            wanted = tf.gather_nd(x, at, batch_dims=n)
            np.testing.assert_array_equal(found[n], wanted)
        with self.assertRaisesRegex(ValueError, "batch_dims=2"):
            gather(inputs, places, batch_dims=2)

    def test_limits_that_the_model_computes(self):
        x, low = keras.Input((3,)), keras.Input((1,))
        clip = tf_functions.FUNCTIONS["clip_by_value"]
        model = keras.Model([x, low], clip(x, low, 3.5))
        wanted = np.clip(X, [[0], [4.5]], 3.5)
        wanted[1] = 4.5  # TensorFlow's lower limit comes last.
        found = model([X, np.float32([[0], [4.5]])])
        np.testing.assert_array_equal(found, wanted)

    def test_a_list_for_each_sample(self):
        x = keras.Input((2, 3))
        count = tf_functions.FUNCTIONS["shape"](x)[0]
        spread = tf_functions.FUNCTIONS["broadcast_to"]
        token = spread([[[1.0, 2.0, 3.0]]], np.array([count, 1, 3], object))
        found = keras.Model(x, token)(np.ones((4, 2, 3), "float32"))
        np.testing.assert_array_equal(found, [[[1, 2, 3]]] * 4)

    @parameterized.parameters(*range(-2, 5))
    def test_turns_of_images_that_are_no_squares(self, k):
        turned = tf_functions.FUNCTIONS["image.rot90"]
        images = np.arange(48.0).reshape(2, 4, 2, 3)
        for x in (images, images[0]):
            axes = (x.ndim - 3, x.ndim - 2)
            np.testing.assert_array_equal(turned(x, k), np.rot90(x, k, axes))

    @parameterized.parameters(
        ("uint8", "int8", [0, 100, 127]),
        ("int32", "uint8", [0, 100, 200]),
        ("int32", "uint32", [0, 100, 200]),
        ("int32", "int64", [-300, 100, 200]),
        ("int32", "float16", [-300, 100, 200]),
        ("float32", "float16", [-300, 100, 200]),
        ("float32", "int8", [-128, 100, 127]),
        ("float16", "int16", [-300, 100, 200]),
    )
    def test_the_limits_of_both_types_hold(self, kind, dtype, wanted):
        x = np.array([-300 if kind != "uint8" else 0, 100, 200], kind)
        found = tf_functions.FUNCTIONS["dtypes.saturate_cast"](x, dtype)
        np.testing.assert_array_equal(found, wanted)

    @parameterized.parameters(
        ("float32", "float16", 65504),
        ("float32", "bfloat16", 255 * 2.0**120),
        ("float32", "int32", 2**31 - 128),
        ("float16", "int16", 32767),
    )
    def test_what_is_beyond_a_type_is_its_limit(self, kind, dtype, limit):
        x = np.array([np.finfo(kind).max, -np.inf], kind)
        found = tf_functions.FUNCTIONS["dtypes.saturate_cast"](x, dtype)
        found = np.asarray(keras.ops.cast(found, "float64"))
        self.assertEqual(found[0], limit)
        self.assertTrue(np.isfinite(found).all())

    def test_infinity_stays_where_it_is(self):
        x = np.float32([np.inf, 2])
        found = tf_functions.FUNCTIONS["linalg.diag"](x)
        np.testing.assert_array_equal(found, [[np.inf, 0], [0, 2]])
        found = tf_functions.FUNCTIONS["math.polyval"]([1.0, 2.0], x)
        np.testing.assert_array_equal(found, [np.inf, 4])

    def test_an_equality_without_its_second_tensor(self):
        entry = {"name": "a", "config": {"function": "__operators__.eq"}}
        with self.assertRaisesRegex(ValueError, "layer 'a', of which Keras 2"):
            tf_functions.call(entry, (U,), {})


class TensorFlowTest(parameterized.TestCase):
    @parameterized.parameters(*tf_functions.FUNCTIONS)
    def test_each_means_what_tensorflow_means(self, name):
        if keras.backend.backend() != "tensorflow":
            self.skipTest("compares with TensorFlow")
        import tensorflow as tf

        x = np.random.default_rng(0).uniform(0.2, 0.9, (2, 4, 4, 3))
        x = tf.constant(x.astype("float32"))
        args, kwargs = ARGUMENTS.get(name, ((None,), {}))
        if name in BINARY:
            args, kwargs = (None,), {"y": x + 0.5}
        if name in BOOLEAN:
            x = x > 0.5
            kwargs = (
                {"y": ~x}
                if name.startswith("math.logical_") and "not" not in name
                else {}
            )
        args = [x if a is None else [x, x] if a is PAIR else a for a in args]
        args = [
            tf.constant(a) if isinstance(a, np.ndarray) else a for a in args
        ]
        got = tf_functions.FUNCTIONS[name](*args, **kwargs)
        if name == "__operators__.getitem":
            want = x[:, 1:, :, :2]
        else:
            want = ORIGINALS.get(name) or _look_up(tf, name)
            want = want(*args, **kwargs)
        pairs = zip(tf.nest.flatten(got), tf.nest.flatten(want), strict=True)
        for a, b in pairs:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def _look_up(tf, name):
    found = tf.compat.v1 if name == "nn.conv2d" else tf
    for part in name.split("."):
        found = getattr(found, part, None)
    return found or _look_up(tf.compat.v1, name)


PAIR = "pair"
BINARY = {
    "__operators__.add",
    *("math.add", "math.subtract", "math.multiply", "math.truediv"),
    *("math.divide", "math.maximum", "math.minimum", "math.pow"),
    *("math.squared_difference", "math.equal", "math.not_equal"),
    *("math.greater", "math.greater_equal", "math.less", "math.less_equal"),
    *("math.floordiv", "math.floormod", "math.mod"),
    *("math.divide_no_nan", "floor_div"),
    *("math.multiply_no_nan", "math.xdivy", "math.xlogy"),
}
BOOLEAN = {
    *("math.logical_and", "math.logical_or", "math.logical_not"),
    "math.logical_xor",
    *("math.reduce_all", "math.reduce_any"),
}
ORIGINALS = {
    "__operators__.eq": lambda self, other: self == other,
    "__operators__.ne": lambda self, other: self != other,
    "__operators__.add": lambda x, y: x + y,
    "keras.backend.print_tensor": lambda x: x,
    "keras.backend.batch_flatten": lambda x: np.reshape(x, (2, -1)),
}
FILTERS = np.random.default_rng(3).normal(size=(3, 3, 3, 2)).astype("float32")
BOX = {"offset_height": 1, "offset_width": 0}
KERNEL = np.random.default_rng(1).normal(size=(3, 2, 3, 2)).astype("float32")
SQUARES = {"ksize": [1, 3, 3, 1], "strides": [1, 2, 2, 1], "padding": "SAME"}
LINES = {"ksize": 2, "strides": 2, "padding": "VALID"}
# Of another rank than the images that the other functions get.
SEQUENCE = np.random.default_rng(2).normal(size=(2, 5, 3)).astype("float32")
CUBES = np.random.default_rng(2).normal(size=(1, 4, 4, 4, 2)).astype("float32")
ARGUMENTS = {
    "__operators__.eq": ((None,), {"other": 0.5}),
    "__operators__.ne": ((None,), {"other": 0.5}),
    "batch_to_space_nd": (
        (CUBES[0],),
        {"block_shape": [2, 2], "crops": [[0, 1], [1, 2]]},
    ),
    "gather_nd": ((None,), {"indices": [[1, 2], [0, 3]]}),
    "image.crop_and_resize": (
        (None,),
        {
            "boxes": np.float32([[0, 0, 0.5, 0.6]]),
            **{"box_indices": [1], "crop_size": [2, 3]},
        },
    ),
    "image.resize_with_pad": (
        (None,),
        {"target_height": 7, "target_width": 3},
    ),
    "linalg.det": ((CUBES[0, ..., 0],), {}),
    "linalg.inv": ((CUBES[0, ..., 0] + 3 * np.eye(4, dtype="f"),), {}),
    "nn.conv1d": (
        (SEQUENCE,),
        {"filters": FILTERS[0], "stride": 2, "padding": "SAME"},
    ),
    "nn.conv1d_transpose": (
        (SEQUENCE,),
        {
            "filters": FILTERS[0].swapaxes(1, 2),
            **{"output_shape": [2, 9, 2], "strides": 2},
        },
    ),
    "nn.conv2d_transpose": (
        (None,),
        {
            "filters": FILTERS.swapaxes(2, 3),
            **{"output_shape": [2, 10, 9, 2], "strides": [1, 2, 2, 1]},
            "padding": "VALID",
        },
    ),
    "nn.conv3d": (
        (CUBES,),
        {
            "filters": np.ones((2, 2, 2, 2, 3), "f"),
            **{"strides": [1, 2, 2, 2, 1], "padding": "SAME"},
        },
    ),
    "nn.conv3d_transpose": (
        (CUBES,),
        {
            "filters": np.ones((2, 3, 2, 1, 2), "f"),
            **{"output_shape": [1, 8, 8, 8, 1], "strides": 2},
        },
    ),
    "nn.convolution": (
        (None,),
        {"filters": FILTERS, "padding": "SAME", "dilations": [2, 2]},
    ),
    "nn.pool": (
        (None,),
        {"window_shape": [2, 3], "pooling_type": "AVG", "strides": [2, 1]},
    ),
    "nn.separable_conv2d": (
        (None,),
        {
            "depthwise_filter": FILTERS,
            "pointwise_filter": np.ones((1, 1, 6, 4), "f"),
            **{"strides": [1, 2, 2, 1], "padding": "SAME"},
        },
    ),
    "signal.frame": ((SEQUENCE,), {"frame_length": 2, "frame_step": 1}),
    "space_to_batch_nd": (
        (None,),
        {"block_shape": [2, 3], "paddings": [[1, 1], [0, 2]]},
    ),
    "boolean_mask": (
        (None,),
        {"mask": [True, False, True, True], "axis": 1},
    ),
    "dtypes.saturate_cast": ((300 * SEQUENCE,), {"dtype": "uint8"}),
    "image.adjust_gamma": ((None,), {"gamma": 0.5, "gain": 2}),
    "image.adjust_hue": ((None,), {"delta": 0.3}),
    "image.adjust_saturation": ((None,), {"saturation_factor": 1.5}),
    "image.extract_patches": (
        (None,),
        {
            **{"sizes": [1, 2, 3, 1], "strides": [1, 2, 1, 1]},
            **{"rates": [1, 1, 1, 1], "padding": "SAME"},
        },
    ),
    "image.resize_images": ((None,), {"size": [7, 3], "align_corners": True}),
    "image.rot90": ((None,), {"k": 3}),
    "linalg.cross": ((None,), {"b": np.ones((2, 4, 4, 3), "float32")}),
    "linalg.trace": ((CUBES,), {}),
    "math.accumulate_n": ((PAIR,), {}),
    "math.polyval": (([1.0, 2.0, 3.0], None), {}),
    "argsort": ((None,), {"axis": 1, "direction": "DESCENDING"}),
    "broadcast_to": ((SEQUENCE[:, :1],), {"shape": [2, 4, 3]}),
    "clip_by_norm": ((None,), {"clip_norm": 0.7, "axes": [3]}),
    "ensure_shape": ((None,), {"shape": [None, 4, 4, 3]}),
    "fill": (([2, 3],), {"value": 0.5}),
    "image.adjust_brightness": ((None,), {"delta": 0.1}),
    "image.adjust_contrast": ((None,), {"contrast_factor": 2.0}),
    "image.central_crop": ((None,), {"central_fraction": 0.5}),
    "image.convert_image_dtype": ((None,), {"dtype": "float32"}),
    "image.crop_to_bounding_box": (
        (None,),
        {**BOX, "target_height": 2, "target_width": 3},
    ),
    "image.grayscale_to_rgb": ((CUBES[0, :, :, :, :1],), {}),
    "image.pad_to_bounding_box": (
        (None,),
        {**BOX, "target_height": 6, "target_width": 7},
    ),
    "image.resize_bilinear": (
        (None,),
        {"size": [7, 3], "align_corners": True},
    ),
    "image.resize_nearest_neighbor": ((None,), {"size": [7, 3]}),
    "image.resize_with_crop_or_pad": (
        (None,),
        {"target_height": 7, "target_width": 3},
    ),
    "linalg.band_part": ((None,), {"num_lower": 1, "num_upper": 0}),
    "math.top_k": ((None,), {"k": 2}),
    "nn.avg_pool": ((None,), SQUARES),
    "nn.avg_pool1d": ((SEQUENCE,), LINES),
    "nn.avg_pool2d": ((None,), SQUARES),
    "nn.avg_pool3d": ((CUBES,), LINES),
    "nn.bias_add": ((None,), {"bias": [1.0, 2.0, 3.0]}),
    "nn.conv2d": (
        (None,),
        {"filter": KERNEL, "strides": [1, 2, 2, 1], "padding": "SAME"},
    ),
    "nn.depth_to_space": ((CUBES[0].repeat(2, -1),), {"block_size": 2}),
    "nn.depthwise_conv2d": (
        (None,),
        {"filter": KERNEL, "strides": [1, 1, 1, 1], "padding": "VALID"},
    ),
    "nn.embedding_lookup": ((SEQUENCE[0],), {"ids": [3, 1]}),
    "nn.local_response_normalization": (
        (None,),
        {"depth_radius": 1, "bias": 1.5, "alpha": 0.3, "beta": 0.75},
    ),
    "nn.max_pool": ((None,), SQUARES),
    "nn.max_pool1d": ((SEQUENCE,), LINES),
    "nn.max_pool2d": ((None,), SQUARES),
    "nn.max_pool3d": ((CUBES,), LINES),
    "nn.space_to_depth": ((None,), {"block_size": 2}),
    "nn.top_k": ((None,), {"k": 1}),
    "ones": (([2, 3],), {}),
    "range": ((2,), {"limit": 9, "delta": 3}),
    "repeat": ((None,), {"repeats": 2, "axis": 1}),
    "roll": ((None,), {"shift": [1, 2], "axis": [1, 3]}),
    "sequence_mask": (([1, 3],), {"maxlen": 4}),
    "slice": ((None,), {"begin": [0, 1, 0, 0], "size": [-1, 2, 3, -1]}),
    "sort": ((None,), {"axis": 1, "direction": "DESCENDING"}),
    "squeeze": ((SEQUENCE[:, None, :, :1],), {"axis": [1, -1]}),
    "tensordot": ((None,), {"b": KERNEL[0, 0].tolist(), "axes": 1}),
    "zeros": (([2, 3],), {}),
    "__operators__.getitem": (
        (None,),
        {
            "slice_spec": [
                {"start": a, "stop": b, "step": None}
                for a, b in ((None, None), (1, None), (None, None), (None, 2))
            ]
        },
    ),
    "gather": ((None,), {"indices": [2, 0], "axis": -1}),
    "one_hot": (([0, 3, 1],), {"depth": 4, "on_value": 5, "off_value": 1}),
    "reverse": ((None,), {"axis": [1]}),
    "where": (([[True, False]],), {"x": [[1.0, 2.0]], "y": [[3.0, 4.0]]}),
    "math.atan2": ((None,), {"x": np.full((2, 4, 4, 3), 0.7, "float32")}),
    "math.scalar_mul": ((3.0,), {"x": np.ones((2, 3), "float32")}),
    "math.reduce_mean": ((None,), {"axis": [1, 2], "keepdims": True}),
    "math.reduce_sum": ((None,), {"axis": -1}),
    "cast": ((None,), {"dtype": "int32"}),
    "clip_by_value": (
        (None,),
        {"clip_value_min": 0.3, "clip_value_max": 0.5},
    ),
    "concat": ((PAIR,), {"axis": -1}),
    "stack": ((PAIR,), {"axis": 1}),
    "expand_dims": ((None,), {"axis": 1}),
    "image.resize": ((None,), {"size": [8, 8], "method": "bilinear"}),
    "linalg.matmul": ((None,), {"b": np.ones((2, 4, 3, 5), "float32")}),
    "nn.leaky_relu": ((None,), {"alpha": 0.3}),
    "nn.softmax": ((None,), {"axis": -1}),
    "pad": ((None,), {"paddings": [[0, 0], [1, 2], [0, 1], [0, 0]]}),
    "reshape": ((None,), {"shape": [-1, 12]}),
    "split": ((None,), {"num_or_size_splits": [1, 2], "axis": -1}),
    "tile": ((None,), {"multiples": [1, 2, 1, 1]}),
    "transpose": ((None,), {"perm": [0, 3, 1, 2]}),
}


if __name__ == "__main__":
    absltest.main()
