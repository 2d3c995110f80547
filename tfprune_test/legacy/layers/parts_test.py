"""Weights of old layers that go into new ones."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.layers import parts

LAYERS = keras.layers


def dense(name, units=2, inputs=3):
    layer = LAYERS.Dense(units, name=name)
    layer.build((None, inputs))
    return parts.Part(name, [layer])


class Norms(LAYERS.Layer):
    """Two layers whose weights have the same shapes."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.second = LAYERS.BatchNormalization()
        self.firsts = [LAYERS.BatchNormalization() for _ in range(11)]

    def build(self, shape):
        for norm in (self.second, *self.firsts):
            norm.build(shape)
        self.built = True


class OwnTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        norms = Norms(name="norms")
        norms.build((None, 2))
        self.norms, self.part = norms, parts.Own("norms", [norms])

    def test_an_archive_names_attributes(self):
        norm, numbers = "firsts/batch_normalization", range(1, 11)
        places = [norm, *(f"{norm}_{i}" for i in numbers), "second"]
        self.part.assign(
            [
                (f"{place}/{i}", np.full(2, 4 * n + i, "float32"))
                for n, place in enumerate(places)
                for i in range(4)
            ]
        )
        last = self.norms.firsts[10]
        self.assertEqual(float(last.gamma[0]), 40)
        self.assertEqual(float(last.moving_variance[0]), 43)
        self.assertEqual(float(self.norms.second.moving_mean[0]), 46)

    def test_a_model_lists_what_no_attribute_has(self):
        class Net(keras.Model):
            def __init__(self):
                super().__init__()
                self.z = LAYERS.Dense(2)
                self.a = LAYERS.Dense(2)

        net = Net()
        net.z.build((None, 2))
        net.a.build((None, 2))
        places = ("layers/dense", "z")
        parts.Own("net", [net]).assign(
            [
                (f"{place}/{i}", np.full((2, 2) if i == 0 else 2, n))
                for n, place in enumerate(places)
                for i in range(2)
            ]
        )
        self.assertEqual(float(net.a.kernel[0, 0]), 0)
        self.assertEqual(float(net.z.kernel[0, 0]), 1)

    def test_an_attribute_of_another_name(self):
        with self.assertRaisesRegex(ValueError, "'third' of layer 'norms'"):
            self.part.assign([("third/0", np.zeros(2))])

    def test_other_formats_have_trainable_weights_first(self):
        variables = self.norms.trainable_weights
        variables = [*variables, *self.norms.non_trainable_weights]
        self.part.assign(
            [(f"x/{i}:0", np.full(2, i)) for i, _ in enumerate(variables)]
        )
        self.assertEqual([int(v[0]) for v in variables], list(range(48)))


def named(part, start=0):
    """Arrays as a file has them, each full of its number."""
    found = []
    for i, variable in enumerate(part.layers[0].weights):
        array = np.full(variable.shape, start + i, "float32")
        found.append((f"{part.name}/{variable.name}:0", array))
    return found


def numbers(part):
    """The first number of each variable."""
    return [
        float(np.ravel(keras.ops.convert_to_numpy(v))[0])
        for v in part.layers[0].weights
    ]


class PartTest(parameterized.TestCase):
    def test_layers_are_called_in_a_row(self):
        part = parts.Part("a", [LAYERS.Flatten(), LAYERS.ReLU()])
        x = np.array([[[-1.0], [2]]])
        np.testing.assert_array_equal(part(x), [[0, 2]])
        self.assertTrue(part.plain)
        part = part.calling(lambda x: x + 1)
        np.testing.assert_array_equal(part(x), x + 1)
        self.assertFalse(part.plain)

    def test_weights_by_their_order(self):
        part = dense("a")
        self.assertEqual(part.counts(), (2, 0))
        part.assign([("0", np.ones((3, 2))), ("1", np.full(2, 7))])
        self.assertEqual(numbers(part), [1, 7])

    def test_weights_by_their_names_in_whatever_order(self):
        part = dense("a", units=3)
        kernel, bias = named(part)
        part.assign([bias, kernel])
        self.assertEqual(numbers(part), [0, 1])
        # Both are found where shapes would not tell them apart.
        norm = LAYERS.BatchNormalization(name="n")
        norm.build((None, 3))
        part = parts.Part("n", [norm])
        self.assertEqual(part.counts(), (2, 2))
        part.assign(named(part)[::-1])
        self.assertEqual(numbers(part), [0, 1, 2, 3])

    def test_weights_that_do_not_fit(self):
        part = dense("a")
        for arrays in (
            [("0", np.ones((2, 3))), ("1", np.ones(2))],
            [("0", np.ones((3, 2)))],
        ):
            with self.assertRaisesRegex(
                ValueError, "must fit layer 'a'. Received: shapes .*3, 2"
            ):
                part.assign(arrays)

    def test_arrays_are_converted_first(self):
        layer = dense("a").layers[0]
        part = parts.Part(
            "a", [layer], convert=lambda a: [a[0].T, a[1]], counts=(3, 1)
        )
        self.assertEqual(part.counts(), (3, 1))
        layer.trainable = False
        self.assertEqual(part.counts(), (0, 4))
        part.assign([("0", np.ones((2, 3))), ("1", np.zeros(2))])
        self.assertEqual(numbers(part), [1, 0])


class NestedTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.a, self.b, self.c = dense("a"), dense("b"), dense("c")
        self.inner = parts.Nested("inner", LAYERS.ReLU(), [self.b, self.c])
        self.outer = parts.Nested("outer", LAYERS.ReLU(), [self.a, self.inner])

    def assert_in_order(self):
        found = [numbers(part) for part in (self.a, self.b, self.c)]
        self.assertEqual(found, [[0, 1], [10, 11], [20, 21]])

    def arrays(self):
        return [
            named(part, start)
            for part, start in ((self.a, 0), (self.b, 10), (self.c, 20))
        ]

    def test_trainable_ones_come_first(self):
        self.b.layers[0].trainable = False
        a, b, c = self.arrays()
        self.assertEqual(self.outer.counts(), (4, 2))
        self.outer.assign([*a, *c, *b])
        self.assert_in_order()

    def test_layer_after_layer(self):
        self.b.layers[0].trainable = False
        a, b, c = self.arrays()
        self.outer.assign_in_order([*a, *b, *c], inside=True)
        self.assert_in_order()

    def test_by_the_names_of_layers(self):
        a, b, c = self.arrays()
        self.outer.assign_by_layer({"inner": [*b, *c], "a": a, "none": []})
        self.assert_in_order()

    def test_layers_of_a_model_inside_may_stand_by_themselves(self):
        a, b, c = self.arrays()
        self.outer.assign_by_layer({"c": c, "a": a, "b": b})
        self.assert_in_order()

    def test_other_names_go_by_their_order(self):
        a, b, c = self.arrays()
        self.outer.assign_by_layer({"x": a, "y": [*b, *c]})
        self.assert_in_order()

    def test_numbers_of_arrays_that_do_not_fit(self):
        a, b, c = self.arrays()
        for assign in (self.outer.assign, self.outer.assign_in_order):
            with self.assertRaisesRegex(
                ValueError, "model 'outer'. Received: 4 arrays instead of 6"
            ):
                assign([*a, *b])
        with self.assertRaisesRegex(
            ValueError, r"weights of \['x', 'y', 'z'\]"
        ):
            self.outer.assign_by_layer({"x": a, "y": b, "z": c})


class CroppedTest(parameterized.TestCase):
    @parameterized.parameters(
        ((1, 2), 5, [1, 2]),
        ((1, 0), 3, [1, 2]),
        ((2, 2), 3, []),
        ((3, 0), 3, []),
    )
    def test_a_cropping_may_leave_nothing(self, cropping, size, expected):
        part = parts.Cropped("a", [LAYERS.Cropping1D(cropping)])
        x = np.arange(float(size)).reshape(1, size, 1)
        found = keras.ops.convert_to_numpy(part(x))
        self.assertEqual(found.ravel().tolist(), expected)
        self.assertEqual(found.shape, (1, len(expected), 1))


class AroundTest(absltest.TestCase):
    def test_axes_are_turned_and_turned_back(self):
        part = parts.Part("a", [LAYERS.Conv1D(4, 2, name="a")])
        part = parts.around(part, "a", [2, 1], [2, 1])
        # Channels first: 3 channels, 6 steps.
        self.assertEqual(part(np.ones((1, 3, 6))).shape, (1, 4, 5))
        part = parts.Part("b", [LAYERS.Conv1D(4, 2, name="b")])
        part = parts.around(part, "b", [2, 1], None)
        self.assertEqual(part(np.ones((1, 3, 6))).shape, (1, 5, 4))


if __name__ == "__main__":
    absltest.main()
