import types
from unittest import mock

import numpy as np
from absl.testing import absltest

from tfprune.export.file import model_file
from tfprune.export.micro import golden

X = model_file.Tensor("x", (1, 3), "int8", 0.5, 0)
Y = model_file.Tensor("y", (1, 3), "int8", 0.5, 0)


def file(inputs=(X,), outputs=(Y,)):
    return types.SimpleNamespace(inputs=inputs, outputs=outputs)


class GoldenTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.gain = 4
        self.enter_context(
            mock.patch.object(golden.interpreter, "stored", self.stored)
        )
        self.enter_context(
            mock.patch.object(
                golden.interpreter,
                "random_inputs",
                lambda file, count: [
                    np.zeros((count, *t.shape[1:]), "float32")
                    for t in file.inputs
                ],
            )
        )

    def stored(self, file, x):
        """A network that multiplies, and saturates."""
        x = x[0] if isinstance(x, (list, tuple)) else x
        stored = file.inputs[0].encode(x)
        y = np.clip(self.gain * stored.astype(int), -128, 127).astype("int8")
        return [stored, y]

    def test_pairs_that_differ_and_do_not_saturate(self):
        x, y = golden.pairs(file())
        self.assertEqual((x.shape, y.shape), ((4, 3), (4, 3)))
        np.testing.assert_array_equal(y, np.clip(4 * x.astype(int), -128, 127))
        self.assertLen({row.tobytes() for row in y}, 4)
        inside = (y > -128) & (y < 127)
        self.assertGreater(inside.mean(), 0.5)
        np.testing.assert_array_equal(golden.pairs(file())[0], x)

    def test_those_of_the_sample_come_first(self):
        sample = np.array([[1.0, 2, 3], [-1, 0, 1]])
        x, y = golden.pairs(file(), sample)
        self.assertLen(x, 4)
        np.testing.assert_array_equal(x[:2], [[2, 4, 6], [-2, 0, 2]])
        np.testing.assert_array_equal(y[:2], 4 * x[:2])

    def test_a_sample_that_is_enough(self):
        sample = np.arange(12.0).reshape(4, 3)
        x, _ = golden.pairs(file(), sample)
        np.testing.assert_array_equal(x, 2 * sample)
        with self.assertRaisesRegex(ValueError, r"sample of 5. Take x\[:4\]"):
            golden.pairs(file(), np.zeros((5, 3)))

    def test_large_ones_are_two(self):
        large = model_file.Tensor("x", (1, 1 << 15), "int8", 0.5, 0)
        x, _ = golden.pairs(file((large,), (large,)))
        self.assertLen(x, 2)

    def test_a_network_that_always_saturates_still_has_its_pairs(self):
        self.gain = 10_000
        x, _ = golden.pairs(file())
        self.assertLen(x, 4)

    def test_noise_that_gives_no_finite_outputs_is_left_out(self):
        floats = file(outputs=(model_file.Tensor("y", (1, 1), "float32"),))

        def roots(file, x):
            stored = file.inputs[0].encode(x[0])
            total = stored.astype("float32").sum(1, keepdims=True)
            with np.errstate(invalid="ignore"):
                return [stored, np.sqrt(12.0 - total)]

        with mock.patch.object(golden.interpreter, "stored", roots):
            x, y = golden.pairs(floats)
            self.assertTrue(np.isfinite(y).all())
            self.assertLen(x, 4)
            # The only noise has 107 in all.
            with mock.patch.object(golden, "_CANDIDATES", 1):
                x, y = golden.pairs(floats, [[[1.0, 2, 3]]])
                np.testing.assert_array_equal(y, [[0.0]])
                _, y = golden.pairs(floats)
                self.assertTrue(np.isnan(y).any())


if __name__ == "__main__":
    absltest.main()
