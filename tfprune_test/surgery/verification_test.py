import types
import warnings
from unittest import mock

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.surgery import verification


def model(kernel, dtype="float32", outputs=1):
    """Outputs that are inputs times a kernel, several alike."""
    kernel = np.asarray(kernel, "float32")
    inputs = keras.Input((kernel.shape[0],))
    layers = [
        keras.layers.Dense(kernel.shape[1], use_bias=False, dtype=dtype)
        for _ in range(outputs)
    ]
    made = keras.Model(inputs, [layer(inputs) for layer in layers], name="net")
    for layer in layers:
        layer.kernel.assign(kernel)
    return made


class CheckEqualTest(parameterized.TestCase):
    def test_equal_ones(self):
        net = model([[1, 2], [3, 4]])
        self.assertEqual(verification.check_equal(net, net), 0.0)

    @parameterized.parameters(0.5, 1e-3)
    def test_a_difference_relative_to_the_largest_output(self, share):
        # One output is a share larger everywhere, and is the larger one.
        one, other = model([[1.0]]), model([[1.0 + share]])
        with self.assertRaisesRegex(
            ArithmeticError,
            f"difference of {share:.3g}, more than 0.0001, for model='net'",
        ):
            verification.check_equal(one, other)
        found = verification.check_equal(one, other, tolerance=1)
        self.assertAlmostEqual(found, share, places=5)
        self.assertAlmostEqual(
            verification.output_difference(one, other), share, places=5
        )

    def test_half_precision_is_given_more(self):
        one = model([[1.0]], "float16")
        other = model([[1.005]], "float16")
        verification.check_equal(one, other)
        with self.assertRaises(ArithmeticError):
            verification.check_equal(one, model([[1.02]], "float16"))

    def test_half_precision_before_the_last_layer(self):
        nets = []
        for weight in (1.0, 1.005):
            half = model([[weight]], "float16")
            last = keras.layers.Activation("linear", dtype="float32")
            nets.append(keras.Sequential([half, last]))
        (output,) = nets[0].outputs
        self.assertEqual(output.dtype, "float32")
        verification.check_equal(*nets)

    def test_the_worst_of_several_outputs(self):
        one, other = model([[1.0]], outputs=2), model([[1.0]], outputs=2)
        other.layers[-1].kernel.assign([[1.25]])
        self.assertAlmostEqual(
            verification.output_difference(one, other), 0.25, places=5
        )
        with self.assertRaises(ArithmeticError):
            verification.check_equal(one, other)

    def test_what_is_not_a_number_is_not_equal(self):
        one, other = model([[1.0]]), model([[np.nan]])
        for pair in ((one, other), (other, one)):
            with self.assertRaises(ArithmeticError):
                verification.check_equal(*pair)
        self.assertEqual(verification.check_equal(other, other), 0.0)

    def test_infinity_of_the_other_sign_is_not_equal(self):
        plus, minus = model([[np.inf]]), model([[-np.inf]])
        self.assertEqual(verification.check_equal(plus, plus), 0.0)
        with self.assertRaises(ArithmeticError):
            verification.check_equal(plus, minus)

    def test_outputs_of_zero(self):
        zero, other = model([[0.0]]), model([[1e-3]])
        self.assertEqual(verification.check_equal(zero, zero), 0.0)
        with self.assertRaises(ArithmeticError):
            verification.check_equal(zero, other)

    def test_the_state_stays_as_it_is(self):
        inputs = keras.Input((3,))
        norm = keras.layers.BatchNormalization()
        net = keras.Model(inputs, norm(inputs))
        before = [keras.ops.convert_to_numpy(v) for v in net.weights]
        verification.check_equal(net, net)
        for a, b in zip(before, net.weights, strict=True):
            np.testing.assert_array_equal(a, b)


class RandomInputsTest(absltest.TestCase):
    def test_the_structure_and_the_sizes(self):
        image = keras.Input((None, None, 3), name="image")
        tokens = keras.Input((None,), dtype="int32", name="tokens")
        x = keras.layers.GlobalAveragePooling2D()(image)
        net = keras.Model({"tokens": tokens, "image": image}, [x, tokens])
        found = verification.random_inputs(net, batch=3)
        self.assertEqual(found["image"].shape, (3, 64, 64, 3))
        self.assertEqual(found["tokens"].shape, (3, 16))
        self.assertLessEqual(set(np.unique(found["tokens"])), {0, 1})
        again = verification.random_inputs(net, batch=3)
        np.testing.assert_array_equal(found["image"], again["image"])
        other = verification.random_inputs(net, seed=1, batch=3)
        self.assertFalse(np.array_equal(found["image"], other["image"]))

    def test_of_a_sequential_model(self):
        net = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
        self.assertEqual(verification.random_inputs(net).shape, (2, 5))


class WarnTest(absltest.TestCase):
    def test_the_layers_and_the_difference_are_named(self):
        graph = types.SimpleNamespace(inexact=("a", "b", "c", "d", "e"))
        cut = types.SimpleNamespace(graph=graph)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with mock.patch.object(
                verification.shrinking, "masked", lambda cut: model([[1.0]])
            ):
                found = verification.warn_of_change(cut, model([[1.25]]))
        self.assertAlmostEqual(found, 0.25, places=5)
        (warning,) = caught
        self.assertIn(
            "channels (a, b, c and 2 more): the outputs differ by up to 0.25 ",
            str(warning.message),
        )


if __name__ == "__main__":
    absltest.main()
