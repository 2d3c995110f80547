"""Weights of old layers in the shapes and the order of Keras 3."""

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.layers import arrays

RNG = np.random.default_rng(0)


def converted(name, given, config=(), version="2.2.4", backend="tensorflow"):
    convert = arrays.converter(name, dict(config), version, backend)
    before = [a.copy() for a in given]
    found = convert(given)
    for a, b in zip(before, given, strict=True):  # They are not changed.
        np.testing.assert_array_equal(a, b)
    return found


class ConverterTest(parameterized.TestCase):
    def assert_equal(self, found, expected):
        self.assertLen(found, len(expected))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)

    @parameterized.parameters("Dense", "Conv2D", "GRU", "BatchNormalization")
    def test_nothing_is_nothing(self, name):
        self.assertEqual(converted(name, [], version="1.2.2"), [])

    def test_most_layers_of_keras_2_stay(self):
        given = [RNG.normal(size=(3, 3, 2, 4)), np.ones(4)]
        self.assert_equal(converted("Conv2D", given), given)

    def test_theano_turned_its_kernels(self):
        kernel = np.arange(9.0).reshape(3, 3, 1, 1)
        found = converted("Conv2D", [kernel, np.ones(1)], backend="theano")
        np.testing.assert_array_equal(
            found[0][..., 0, 0], [[8, 7, 6], [5, 4, 3], [2, 1, 0]]
        )
        given = [RNG.normal(size=(2, 2, 3, 8)) for _ in range(2)] + [np.ones(8)]
        self.assert_equal(
            converted("ConvLSTM2D", given, backend="theano"),
            [given[0][::-1, ::-1], given[1][::-1, ::-1], given[2]],
        )
        dense = [RNG.normal(size=(3, 4))]
        self.assert_equal(converted("Dense", dense, backend="theano"), dense)
        self.assertTrue(arrays.turns("Conv1D", "theano"))
        self.assertFalse(arrays.turns("Conv1D", "tensorflow"))
        self.assertFalse(arrays.turns("DepthwiseConv2D", "theano"))

    @parameterized.parameters(("LSTM", 4, (0, 2, 1, 3)), ("GRU", 3, (0, 1, 2)))
    def test_keras_1_had_arrays_for_each_gate(self, name, gates, order):
        # Of gate g the kernel is full of g, the next ones of 10+g, 20+g.
        given = []
        for gate in range(gates):
            given += [
                np.full((2, 3), gate),
                np.full((3, 3), 10 + gate),
                np.full(3, 20 + gate),
            ]
        kernel, recurrent, bias = converted(name, given, version="1.2.2")
        self.assertEqual(kernel.shape, (2, 3 * gates))
        self.assertEqual(kernel[0, ::3].tolist(), list(order))
        self.assertEqual(recurrent.shape, (3, 3 * gates))
        self.assertEqual(recurrent[0, ::3].tolist(), [10 + g for g in order])
        self.assertEqual(bias[::3].tolist(), [20 + g for g in order])

    @parameterized.parameters("channels_first", "channels_last")
    def test_keras_1_had_images_for_each_gate(self, data_format):
        # As many filters as rows, so that the shape does not tell the order.
        shapes = ((3, 3, 2, 3), (3, 3, 3, 3))
        if data_format == "channels_first":
            shapes = ((3, 2, 3, 3), (3, 3, 3, 3))
        given = [
            np.full(shape, gate) for gate in range(4) for shape in (*shapes, 3)
        ]
        config = {"data_format": data_format}
        kernel, recurrent, bias = converted("ConvLSTM2D", given, config, "1.2")
        self.assertEqual(kernel.shape, (3, 3, 2, 12))
        self.assertEqual(recurrent.shape, (3, 3, 3, 12))
        for array in (kernel[0, 0, 0], recurrent[0, 0, 0], bias):
            self.assertEqual(array[::3].tolist(), [0, 2, 1, 3])

    @parameterized.parameters(
        # Keras 1: (filters, channels, rows, columns) in Theano's order.
        ("Conv2D", (4, 2, 3, 5), (3, 5, 2, 4), "channels_first"),
        ("Conv3D", (4, 2, 3, 5, 6), (3, 5, 6, 2, 4), "channels_first"),
        ("Conv2D", (3, 5, 2, 4), (3, 5, 2, 4), "channels_last"),
        ("Conv2DTranspose", (4, 2, 3, 5), (3, 5, 4, 2), "channels_first"),
        ("Conv2DTranspose", (3, 5, 2, 4), (3, 5, 4, 2), "channels_last"),
    )
    def test_kernels_of_keras_1(self, name, shape, expected, data_format):
        kernel = RNG.normal(size=shape)
        found, bias = converted(
            *(name, [kernel, np.ones(4)], {"data_format": data_format}, "1.2"),
        )
        self.assertEqual(found.shape, expected)
        np.testing.assert_array_equal(bias, np.ones(4))
        if data_format == "channels_first":
            moved = np.moveaxis(kernel, (0, 1), (-1, -2))
            if name == "Conv2DTranspose":
                moved = np.moveaxis(kernel, (0, 1), (-2, -1))
            np.testing.assert_array_equal(found, moved)

    def test_a_series_of_keras_1_was_an_image(self):
        config = {"kernel_size": [3]}
        kernel = RNG.normal(size=(3, 1, 2, 4))
        (found,) = converted("Conv1D", [kernel], config, "1.2.2")
        np.testing.assert_array_equal(found, kernel[:, 0])
        older = kernel.transpose(3, 2, 0, 1)
        (found,) = converted("Conv1D", [older], config, "1.0.1")
        np.testing.assert_array_equal(found, kernel[:, 0])

    @parameterized.parameters(("CuDNNLSTM", 4), ("CuDNNGRU", 3))
    def test_cudnn_multiplies_from_the_left(self, name, gates):
        inputs, units = 3, 2
        x, h = RNG.normal(size=inputs), RNG.normal(size=units)
        # What cuDNN stores of each gate: matrices that are multiplied with a
        # column, one behind the other in memory.
        kernels = RNG.normal(size=(gates, units, inputs))
        recurrents = RNG.normal(size=(gates, units, units))
        given = [
            np.concatenate([k.reshape(inputs, units) for k in kernels], 1),
            np.concatenate(list(recurrents), 1),
            np.arange(2.0 * gates * units),
        ]
        kernel, recurrent, bias = converted(name, given)
        np.testing.assert_allclose(
            x @ kernel, np.concatenate([k @ x for k in kernels])
        )
        np.testing.assert_allclose(
            h @ recurrent, np.concatenate([r @ h for r in recurrents])
        )
        both = np.arange(2.0 * gates * units).reshape(2, -1)
        np.testing.assert_array_equal(
            bias, both.sum(0) if name == "CuDNNLSTM" else both
        )

    @parameterized.parameters("LSTM", "GRU")
    def test_plain_recurrent_layers_stay(self, name):
        gates = {"LSTM": 4, "GRU": 3}[name]
        given = [
            RNG.normal(size=(3, 2 * gates)),
            RNG.normal(size=(2, 2 * gates)),
            RNG.normal(size=2 * gates),
        ]
        self.assert_equal(converted(name, given), given)
        self.assert_equal(converted(name, given[:2]), given[:2])

    def test_batch_normalization(self):
        given = [np.full((1, 1, 3), i) for i in range(7)]
        config = {"renorm": True, "center": True, "scale": False}
        found = converted("BatchNormalization", given, config)
        self.assert_equal(found, [np.full(3, i) for i in range(3)])
        self.assert_equal(
            converted("BatchNormalization", given[:4]),
            [np.full(3, i) for i in range(4)],
        )


class CountsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("LSTM", {}, "1.2.2", (12, 0)),
        ("GRU", {}, "1.0", (9, 0)),
        ("LSTM", {"consume_less": "gpu"}, "1.2.2", None),
        ("LSTM", {}, "2.1", None),
        (
            "Bidirectional",
            {"layer": {"class_name": "LSTM", "config": {}}},
            *("1.2.2", (24, 0)),
        ),
        (
            "Bidirectional",
            {"layer": {"class_name": "LSTM", "config": {}}},
            *("2.1", None),
        ),
        ("Dense", {}, "1.2.2", None),
        (
            "BatchNormalization",
            {"renorm": True, "center": True, "scale": False},
            *("2.4", (1, 5)),
        ),
        ("BatchNormalization", {"renorm": False}, "2.4", None),
    )
    def test_counts(self, name, config, version, expected):
        self.assertEqual(arrays.counts(name, config, version), expected)

    def test_both_ways(self):
        convert = arrays.bidirectional(lambda half: [a + 1 for a in half])
        self.assertEqual(convert([1, 2, 3, 4]), [2, 3, 4, 5])
        calls = []
        arrays.bidirectional(lambda half: calls.append(half) or half)(
            [1, 2, 3, 4]
        )
        self.assertEqual(calls, [[1, 2], [3, 4]])


if __name__ == "__main__":
    absltest.main()
