import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from tfprune.export.edit import lean
from tfprune.export.file import weight_ops
from tfprune_test.export import hand_made

RNG = np.random.default_rng(0)


def op(rows, name="out", kind="CONV_2D"):
    rows = None if rows is None else np.asarray(rows, "float32")
    return weight_ops.WeightOp(kind, name, "float32", "float32", rows)


class ReadTest(absltest.TestCase):
    def test_a_file_without_names(self):
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", (1, 3))
        w = sketch.constant("w", np.ones((2, 3), "float32"))
        y, z = sketch.tensor("y", (1, 2)), sketch.tensor("z", (1, 2))
        sketch.op("FULLY_CONNECTED", [x, w, -1], [y])
        sketch.op("NEG", [y], [z])
        data = lean.without_notes(sketch.data([x], [z]))
        (found,) = weight_ops.read(data)
        self.assertEqual(found.output, "")
        floats = dict.fromkeys(("x", "", "z"), "float32")
        self.assertEqual(weight_ops.computed_tensors(data), floats)

    def test_the_rows_of_kernels(self):
        sketch = hand_made.Sketch()
        x = sketch.tensor("x", (1, 5, 5, 3))
        conv = RNG.normal(size=(4, 2, 2, 3)).astype("float32")
        depthwise = RNG.normal(size=(1, 2, 2, 4)).astype("float32")
        tensors = [x]
        for name, kernel in (("conv", conv), ("dw", depthwise)):
            w = sketch.constant(f"{name}/w", kernel)
            y = sketch.tensor(name, (1, 4, 4, 4))
            kind = "CONV_2D" if name == "conv" else "DEPTHWISE_CONV_2D"
            sketch.op(kind, [tensors[-1], w], [y])
            tensors.append(y)
            sketch.op("RELU", [y], [y])
        found = weight_ops.read(sketch.data([x], tensors[-1:]))
        self.assertEqual([o.output for o in found], ["conv", "dw"])
        np.testing.assert_array_equal(found[0].rows[3], conv[3].ravel())
        np.testing.assert_array_equal(
            found[1].rows[3], depthwise[0, ..., 3].ravel()
        )

    def test_a_kernel_that_is_not_in_float_or_is_computed_has_no_rows(self):
        (found,) = weight_ops.read(
            hand_made.dense(np.ones((2, 3), np.int8), "int16")
        )
        self.assertIsNone(found.rows)
        self.assertEqual((found.dtype, found.inputs_dtype), ("int8", "int16"))
        sketch = hand_made.Sketch()
        x, w = sketch.tensor("x", (1, 3)), sketch.tensor("w", (2, 3))
        y = sketch.tensor("y", (1, 2))
        sketch.op("FULLY_CONNECTED", [x, w], [y])
        (found,) = weight_ops.read(sketch.data([x, w], [y]))
        self.assertIsNone(found.rows)


class TensorsTest(absltest.TestCase):
    def test_a_scale_for_each_channel(self):
        kernel = np.ones((2, 3), np.int8)
        for steps, expected in (
            (None, {}),
            (([0.5], [0]), {}),
            (([0.5, 0.25], [0, 0]), {"out": "int16"}),
        ):
            found = weight_ops.channelwise_dense(
                hand_made.dense(kernel, "int16", steps)
            )
            self.assertEqual(found, expected)

    def test_computed_tensors(self):
        data = hand_made.dense(np.ones((2, 3), "float32"))
        floats = dict.fromkeys(("in", "out"), "float32")
        self.assertEqual(weight_ops.computed_tensors(data), floats)
        data = hand_made.dense(np.ones((2, 3), "int8"), "int8")
        wanted = dict.fromkeys(("in", "out"), "int8")
        self.assertEqual(weight_ops.computed_tensors(data), wanted)

    def test_what_a_loop_leaves_unread_is_not_computed(self):
        sketch = hand_made.Sketch()
        x, w = (
            sketch.tensor("x", (1, 4)),
            sketch.constant("w", np.ones(4, "int8")),
        )
        names = ("spare", "result", "half", "other")
        spare, result, half, other = (sketch.tensor(n, (1, 4)) for n in names)
        sketch.op("WHILE", [x, w], [spare, result])
        # An op that computes two tensors computes both, read or not.
        sketch.op("SPLIT", [result], [half, other])
        sketch.tensor("note", (0,))
        found = weight_ops.computed_tensors(sketch.data([x], [half]))
        self.assertEqual(list(found), ["x", "result", "half", "other"])


class MatchTest(parameterized.TestCase):
    def match(self, kernels, ops):
        layer = keras.layers.Conv2D(1, 1)
        return weight_ops.match(
            {
                key: (layer, "kernel", np.asarray(values, "float32"))
                for key, values in kernels.items()
            },
            ops,
        )

    def test_kernels_are_known_by_their_directions(self):
        a, b = RNG.normal(size=(2, 3, 3, 2, 4))
        # The converter has scaled each channel, one by nothing.
        scaled = np.moveaxis(b, -1, 0).reshape(4, -1)
        scaled = scaled * np.array([[2], [-3], [0.001], [1]])
        plain = np.moveaxis(a, -1, 0).reshape(4, -1)
        self.assertEqual(
            self.match({"a": a, "b": b}, [op(None), op(scaled), op(plain)]),
            {"a": 2, "b": 1},
        )

    def test_a_channel_of_zeros_fits_zeros_alone(self):
        kernel = np.array([[1.0, 0], [2, 0]])
        rows = np.array([[1, 2], [0, 0]])
        self.assertEqual(self.match({"a": kernel}, [op(rows)]), {"a": 0})
        filled = np.array([[1, 2], [0, 1]])
        self.assertEqual(self.match({"a": kernel}, [op(filled)]), {})
        # A channel that a normalisation multiplies with 0 is one too, which
        # tells nothing against the rest.
        self.assertEqual(
            self.match({"a": np.array([[1.0, 3], [2, 4]])}, [op(rows)]), {}
        )

    def test_equal_kernels_are_given_out_in_order(self):
        kernel = RNG.normal(size=(3, 2))
        ops = [op(kernel.T), op(kernel.T)]
        self.assertEqual(
            self.match({"a": kernel, "b": kernel, "c": kernel}, ops),
            {"a": 0, "b": 1},
        )

    def test_other_shapes_do_not_fit(self):
        self.assertEqual(
            self.match({"a": np.ones((3, 2))}, [op(np.ones((3, 2)))]), {}
        )

    @parameterized.parameters(
        (keras.layers.DepthwiseConv2D(3, depth_multiplier=2), "kernel"),
        (keras.layers.SeparableConv2D(4, 3), "depthwise_kernel"),
    )
    def test_depthwise_kernels(self, layer, name):
        values = RNG.normal(size=(3, 3, 4, 2)).astype("float32")
        rows = [values[:, :, i, j].ravel() for i in range(4) for j in range(2)]
        found = weight_ops.match({1: (layer, name, values)}, [op(rows)])
        self.assertEqual(found, {1: 0})


if __name__ == "__main__":
    absltest.main()
