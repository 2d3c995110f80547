"""Ops of TensorFlow's graphs in old files, against numpy."""

import base64

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.operations import op_layers

X = np.random.default_rng(0).uniform(0.2, 0.9, (2, 4, 3)).astype("float32")
Y = np.random.default_rng(1).uniform(0.2, 0.9, (2, 4, 3)).astype("float32")


def node(op, *inputs, constants=None, **attributes):
    """Calls an op as a `TensorFlowOpLayer` writes it."""
    config = {
        "node_def": {"op": op, "attr": attributes},
        "constants": constants,
    }
    inputs = [keras.ops.convert_to_tensor(x) for x in inputs]
    return op_layers.call({"name": "t", "config": config}, inputs)


def rebuilt(function, shape):
    """A model of the ops that a function of TensorFlow adds to a graph."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder("float32", [None, *shape])
        y = function(tf, x)
    inputs = keras.Input(shape)
    values = {x.name: inputs}
    for op in graph.get_operations():
        if op.type in ("Placeholder", "Const"):
            continue
        fixed, given = {}, []
        for i, tensor in enumerate(op.inputs):
            if tensor.op.type == "Const":
                fixed[str(i)] = tf.get_static_value(tensor)
            else:
                given.append(values[tensor.name])
        data = op.node_def.SerializeToString()
        config = {"node_def": data, "constants": fixed}
        found = op_layers.call({"name": op.name, "config": config}, given)
        found = keras.tree.flatten(found)
        for tensor, value in zip(op.outputs, found, strict=True):
            values[tensor.name] = value
    return keras.Model(inputs, values[y.name])


KERNEL = np.random.default_rng(2).normal(size=(3, 3, 3, 4)).astype("float32")
MAPS, ROWS = (6, 6, 3), (4, 6)


class GraphTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("rows", ROWS, lambda tf, x: tf.reshape(x, [tf.shape(x)[0], -1])),
        ("same", ROWS, lambda tf, x: tf.reshape(x * 2, tf.shape(x))),
        (
            "heads",
            *(ROWS, lambda tf, x: tf.reshape(x, (tf.shape(x)[0], -1, 2, 3))),
        ),
        (
            "product",
            ROWS,
            lambda tf, x: tf.reshape(x, [-1, tf.shape(x)[1] * tf.shape(x)[2]]),
        ),
        (
            "first",
            ROWS,
            lambda tf, x: tf.concat(
                [tf.tile(tf.ones((1, 1, 6)), [tf.shape(x)[0], 1, 1]), x], 1
            ),
        ),
        ("zeros", ROWS, lambda tf, x: x + tf.fill([tf.shape(x)[0], 1, 1], 2.0)),
        (
            "places",
            ROWS,
            lambda tf, x: (
                x + tf.cast(tf.range(tf.shape(x)[1]), "float32")[:, None]
            ),
        ),
        (
            "scale",
            ROWS,
            lambda tf, x: x / tf.sqrt(tf.cast(tf.shape(x)[-1], "float32")),
        ),
        ("spread", ROWS, lambda tf, x: tf.broadcast_to(x[:, :1], [2, 4, 6])),
        ("dot", MAPS, lambda tf, x: tf.tensordot(x, KERNEL[0, 0], 1)),
        ("sorted", ROWS, lambda tf, x: tf.sort(x)),
        ("repeated", ROWS, lambda tf, x: tf.repeat(x, 2, axis=1)),
        (
            "permuted",
            ROWS,
            lambda tf, x: tf.gather(
                x, tf.argsort(x[:, :, 0]), batch_dims=1, axis=1
            ),
        ),
        ("picked", ROWS, lambda tf, x: tf.gather_nd(x, [[0, 1], [1, 2]])),
        ("band", ROWS, lambda tf, x: tf.linalg.band_part(x, 1, 0)),
        ("diagonal", ROWS, lambda tf, x: tf.linalg.diag_part(x)),
        ("rolled", ROWS, lambda tf, x: tf.roll(x, [1, 2], [1, 2])),
        ("gelu", ROWS, lambda tf, x: tf.nn.gelu(x)),
        ("xlogy", ROWS, lambda tf, x: tf.math.xlogy(tf.nn.relu(x), x * x)),
        ("conv", MAPS, lambda tf, x: tf.nn.conv2d(x, KERNEL, 2, "SAME")),
        (
            "gaps",
            *(MAPS, lambda tf, x: tf.nn.conv2d(x, KERNEL, 1, "SAME", None, 2)),
        ),
        (
            "ends",
            MAPS,
            lambda tf, x: tf.nn.conv2d(
                x, KERNEL, 1, [[0, 0], [1, 1], [2, 0], [0, 0]]
            ),
        ),
        (
            "depthwise",
            MAPS,
            lambda tf, x: tf.nn.depthwise_conv2d(
                x, KERNEL[..., :2], [1, 1, 1, 1], "VALID"
            ),
        ),
        (
            "transposed",
            MAPS,
            lambda tf, x: tf.nn.conv2d_transpose(
                x,
                KERNEL.swapaxes(2, 3),
                tf.stack([tf.shape(x)[0], 12, 11, 4]),
                2,
            ),
        ),
        ("largest", MAPS, lambda tf, x: tf.nn.max_pool2d(x, 2, 2, "SAME")),
        ("means", MAPS, lambda tf, x: tf.nn.avg_pool2d(x, 3, 2, "VALID")),
        (
            "cubic",
            *(MAPS, lambda tf, x: tf.image.resize(x, (9, 7), "bicubic")),
        ),
        (
            "sizes",
            MAPS,
            lambda tf, x: tf.image.resize(x[:, ::2], tf.shape(x)[1:3]),
        ),
        (
            "ends_of_a_transposed_one",
            MAPS,
            lambda tf, x: tf.nn.conv2d_transpose(
                *(x, KERNEL.swapaxes(2, 3), [2, 11, 12, 4], 2),
                [[0, 0], [1, 1], [0, 1], [0, 0]],
            ),
        ),
        (
            "places_between",
            ROWS,
            lambda tf, x: (
                x + tf.range(0.0, tf.cast(tf.shape(x)[2], "float32") / 2, 0.5)
            ),
        ),
        (
            "limits",
            ROWS,
            lambda tf, x: tf.raw_ops.ClipByValue(
                t=x, clip_value_min=-0.5, clip_value_max=1.0
            ),
        ),
        (
            "whole_numbers",
            ROWS,
            lambda tf, x: tf.raw_ops.Div(x=tf.cast(x * 9, "int32"), y=-4),
        ),
        (
            "a_number_first",
            ROWS,
            lambda tf, x: (
                tf.math.squared_difference(0.5, x)
                + tf.math.divide_no_nan(2.0, x)
                + tf.math.xlogy(2.0, x * x)
            ),
        ),
    )
    def test_what_tensorflow_makes_of_it(self, shape, function):
        import tensorflow as tf

        x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
        wanted = function(tf, tf.constant(x))
        model = rebuilt(function, shape)
        found = model(x)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
        self.assertEqual(found.dtype, wanted.dtype)
        model.get_config()  # What cannot be saved has none.


class NodeOpsTest(parameterized.TestCase):
    def test_ops_of_several_tensors(self):
        np.testing.assert_allclose(node("AddV2", X, Y), X + Y, rtol=1e-6)
        np.testing.assert_allclose(
            node("Mul", X, constants={"0": 2.0}), 2 * X, rtol=1e-6
        )
        joined = node("ConcatV2", X, Y, constants={"2": -1})
        np.testing.assert_array_equal(joined, np.concatenate([X, Y], -1))
        packed = node("Pack", X, Y, axis={"i": "1"})
        np.testing.assert_array_equal(packed, np.stack([X, Y], 1))
        product = node("BatchMatMulV2", X, Y, adj_y={"b": True})
        np.testing.assert_allclose(product, X @ Y.swapaxes(1, 2), rtol=1e-5)

    @parameterized.parameters(
        ("Transpose", {"1": [0, 2, 1]}, {}, X.swapaxes(1, 2)),
        ("Reshape", {"1": [-1, 3]}, {}, X.reshape(-1, 3)),
        ("ExpandDims", {"1": 1}, {}, X[:, None]),
        ("Mean", {"1": [1]}, {"keep_dims": {"b": True}}, X.mean(1)[:, None]),
        ("Sum", {"1": -1}, {}, X.sum(-1)),
        ("Pad", {"1": [[0, 0], [1, 0], [0, 2]]}, {}, None),
        ("Slice", {"1": [0, 1, 0], "2": [-1, 2, -1]}, {}, X[:, 1:3]),
        ("Tile", {"1": [1, 2, 1]}, {}, np.tile(X, (1, 2, 1))),
        ("GatherV2", {"1": [1, 0], "2": 2}, {}, X[..., [1, 0]]),
        ("ArgMax", {"1": 2}, {}, X.argmax(2)),
        ("Cast", {}, {"DstT": {"type": "DT_INT32"}}, X.astype(int)),
        ("Cast", {}, {"DstT": {"type": "DT_HALF"}}, X.astype("float16")),
        ("LeakyRelu", {}, {"alpha": {"f": 0.3}}, X),
        ("Relu", {}, {}, X),
        ("ArgMin", {"1": 2}, {}, X.argmin(2)),
        ("Einsum", {}, {"equation": {"s": "YmlqLT5i"}}, X.sum((1, 2))),
        ("ReverseV2", {"1": [1]}, {}, X[:, ::-1]),
        ("Cumsum", {"1": 1}, {"reverse": {"b": True}}, None),
        ("Cumprod", {"1": 2}, {"exclusive": {"b": False}}, X.cumprod(2)),
        ("Expm1", {}, {}, np.expm1(X)),
        ("Atan2", {"1": Y}, {}, np.arctan2(X, Y)),
    )
    def test_ops_of_one_tensor(self, op, constants, attributes, wanted):
        if op == "Pad":
            wanted = np.pad(X, [(0, 0), (1, 0), (0, 2)])
        if op == "Cumsum":
            wanted = X[:, ::-1].cumsum(1)[:, ::-1]
        got = node(op, X, constants=constants, **attributes)
        np.testing.assert_allclose(got, wanted, rtol=1e-5)

    def test_a_condition_of_one_axis_chooses_rows(self):
        square = np.arange(9.0).reshape(3, 3).astype("float32")
        rows = np.array([True, False, True])
        got = node("Select", rows, square, -square)
        wanted = np.where(rows[:, None], square, -square)
        np.testing.assert_array_equal(got, wanted)
        got = node("Select", X > 0.5, X, Y)
        np.testing.assert_array_equal(got, np.where(X > 0.5, X, Y))

    def test_ops_with_attributes(self):
        squeezed = node(
            "Squeeze", X[:, :1], squeeze_dims={"list": {"i": ["1"]}}
        )
        np.testing.assert_array_equal(squeezed, X[:, 0])
        mode = base64.b64encode(b"SYMMETRIC").decode()
        padded = node(
            "MirrorPad",
            X,
            constants={"1": [[0, 0], [1, 1], [0, 0]]},
            mode={"s": mode},
        )
        wanted = np.pad(X, [(0, 0), (1, 1), (0, 0)], mode="symmetric")
        np.testing.assert_array_equal(padded, wanted)
        parts = node("SplitV", X, constants={"1": [1, 2], "2": 2})
        np.testing.assert_array_equal(parts[0], X[..., :1])
        np.testing.assert_array_equal(parts[1], X[..., 1:])
        first, *rest = node("Unpack", X, num={"i": "4"}, axis={"i": "1"})
        np.testing.assert_array_equal(first, X[:, 0])
        self.assertLen(rest, 3)

    def test_ops_of_channels(self):
        x = X[:, :, None, :] * np.ones((2, 1), "float32")
        blocks = node("SpaceToDepth", x, block_size={"i": "2"})
        self.assertEqual(blocks.shape, (2, 2, 1, 12))
        back = node("DepthToSpace", blocks, block_size={"i": "2"})
        np.testing.assert_array_equal(back, x)
        found = node("LRN", x, depth_radius={"i": "0"}, bias={"f": 2})
        np.testing.assert_allclose(found, x / np.sqrt(2 + x**2), rtol=1e-5)
        values, places = node("TopKV2", X, constants={"1": 1})
        np.testing.assert_array_equal(values[..., 0], X.max(2))
        np.testing.assert_array_equal(places[..., 0], X.argmax(2))
        numbers = {"1": 3, "2": 5.0, "3": 1.0}
        hot = node("OneHot", np.int32([2, 0]), constants=numbers)
        np.testing.assert_array_equal(hot, [[1, 1, 5], [5, 1, 1]])

    def test_a_part_that_takes_the_rest(self):
        parts = node("SplitV", X, constants={"1": [-1, 1], "2": 1})
        np.testing.assert_array_equal(parts[0], X[:, :3])
        np.testing.assert_array_equal(parts[1], X[:, 3:])

    @parameterized.parameters("Add", "AddV2")
    def test_an_array_of_rows(self, op):
        x, rows = np.concatenate([X, X[..., :1]], -1), np.float32([[1], [2]])
        rows = np.concatenate([rows, rows + 2])  # As many as columns.
        found = node(op, x, constants={"1": rows})
        np.testing.assert_allclose(found, x + rows, rtol=1e-6)

    def test_a_bias_of_channels(self):
        first = {"s": base64.b64encode(b"NCHW").decode()}
        x, bias = X[..., None] * np.ones(4, "float32"), np.arange(4.0)
        found = node("BiasAdd", x, constants={"1": bias}, data_format=first)
        np.testing.assert_allclose(found, x + bias[:, None, None], rtol=1e-6)
        last = {"s": base64.b64encode(b"NHWC").decode()}
        found = node("BiasAdd", x, constants={"1": bias}, data_format=last)
        np.testing.assert_allclose(found, x + bias, rtol=1e-6)

    @parameterized.product(
        op=["ResizeBilinear", "ResizeNearestNeighbor"],
        corners=[(False, False), (True, False), (False, True)],
    )
    def test_resizing_by_where_pixels_lie(self, op, corners):
        import tensorflow as tf

        names = ("align_corners", "half_pixel_centers")
        attributes = dict(zip(names, corners, strict=True))
        given = {name: {"b": on} for name, on in attributes.items()}
        x = X[..., None]
        found = node(op, x, constants={"1": [7, 5]}, **given)
        wanted = getattr(tf.raw_ops, op)(images=x, size=[7, 5], **attributes)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)

    @parameterized.parameters(
        # Bits from the right are axes from the left.
        ({}, X[0:1, 1:3, 0:2]),
        ({"begin_mask": 2}, X[0:1, :3, 0:2]),
        ({"end_mask": 4}, X[0:1, 1:3, 0:]),
        ({"shrink_axis_mask": 1}, X[0, 1:3, 0:2]),
        ({"shrink_axis_mask": 6}, X[0:1, 1, 0]),
        ({"new_axis_mask": 1}, X[None, 1:3, 0:2]),
        ({"ellipsis_mask": 2}, X[0:1, ..., 0:2]),
    )
    def test_slices_with_masks(self, masks, wanted):
        got = node(
            "StridedSlice",
            X,
            constants={"1": [0, 1, 0], "2": [1, 3, 2], "3": [1, 1, 1]},
            **{name: {"i": str(mask)} for name, mask in masks.items()},
        )
        np.testing.assert_array_equal(got, wanted)

    def test_slices_that_step(self):
        got = node(
            "StridedSlice",
            X,
            constants={"1": [0, -1], "2": [2, 0], "3": [1, -2]},
            end_mask={"i": "2"},
        )
        np.testing.assert_array_equal(got, X[0:2, ::-2])

    def test_all_axes_of_one_go(self):
        got = node("Squeeze", X[:1, :, :1])
        self.assertEqual(tuple(got.shape), (4,))
        got = node(
            "Squeeze", X[:1, :, :1], squeeze_dims={"list": {"i": ["-1"]}}
        )
        self.assertEqual(tuple(got.shape), (1, 4))

    def test_a_constant_goes_to_its_place(self):
        got = node("Sub", X, constants={"0": 1.0})
        np.testing.assert_allclose(got, 1 - X, rtol=1e-6)
        got = node("Sub", X, constants={"1": 1.0})
        np.testing.assert_allclose(got, X - 1, rtol=1e-6)
        # After the tenth comes the second in the order of texts.
        constants = {str(i): [[float(i)]] for i in range(11)} | {"11": 0}
        got = node("ConcatV2", constants=constants)
        np.testing.assert_array_equal(np.ravel(got), np.arange(11))

    def test_a_message_is_read_as_json_is(self):
        import tensorflow as tf

        message = tf.compat.v1.NodeDef(name="n", op="MatMul")
        message.attr["transpose_b"].b = True
        message.attr["T"].type = tf.float32.as_datatype_enum
        config = {"node_def": message.SerializeToString(), "constants": None}
        got = op_layers.call({"name": "t", "config": config}, [X[0], Y[0]])
        np.testing.assert_allclose(got, X[0] @ Y[0].T, rtol=1e-6)
        message = tf.compat.v1.NodeDef(name="n", op="Cast")
        message.attr["DstT"].type = tf.int32.as_datatype_enum
        config = {"node_def": message.SerializeToString()}
        got = op_layers.call({"name": "t", "config": config}, 9 * X)
        np.testing.assert_array_equal(got, (9 * X).astype("int32"))

    def test_an_op_that_nobody_knows(self):
        with self.assertRaisesRegex(
            ValueError, "layer 't' has no translation. Received: .*'Fft'; known"
        ):
            node("Fft", X)
        with self.assertRaisesRegex(ValueError, "batch_dims=1"):
            node(
                "GatherV2",
                X,
                constants={"1": [0], "2": 1},
                batch_dims={"i": "1"},
            )


if __name__ == "__main__":
    absltest.main()
