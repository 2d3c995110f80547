import os

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.methods import bitpruning
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.surgery import stripping
from tfprune.training import bit_lengths
from tfprune_test.methods import bitpruning_test as nets

BitPruning = bitpruning.BitPruning


class FinalizeTest(parameterized.TestCase):
    @parameterized.parameters(
        ("ceil", [3, 3, 4, 8], 0.01),
        ("ceil", [4, 3, 4, 8], 0.0),
        ("round", [3, 3, 3, 8], 0.01),
    )
    def test_bits_are_rounded(self, rounding, expected, snap):
        model = nets.learner(BitPruning())
        nets.set_bits(model, [3.005, 2.6, 3.02, 8])
        final = bit_lengths.finalize(model, rounding, snap)
        self.assertEqual(nets.bits(final), expected)
        np.testing.assert_allclose(nets.bits(model), [3.005, 2.6, 3.02, 8])
        learned = [
            bit_lengths.lengths(method, slot)[1]
            for method, slot in bit_lengths.places(final)
        ]
        np.testing.assert_allclose(learned, [3.005, 2.6, 3.02, 8])

    def test_weights_learn_on_and_bits_stay(self):
        model = nets.learner(BitPruning())
        model.fit(*nets.data(), batch_size=8, epochs=2, verbose=0)
        nets.set_bits(model, [2.4, 5.5, 3.1, 6.2])
        final = bit_lengths.finalize(model)
        self.assertTrue(final.compiled)
        self.assertLen(final.trainable_variables, 4)
        before = nets.kernels(wrapping.unwrap(final, fold=False))
        fit = final.fit(*nets.data(), batch_size=8, epochs=4, verbose=0)
        self.assertLess(fit.history["loss"][-1], fit.history["loss"][0])
        self.assertEqual(nets.bits(final), [3, 6, 4, 7])
        after = nets.kernels(wrapping.unwrap(final, fold=False))
        self.assertFalse(np.array_equal(before[0], after[0]))
        with self.assertLogs("absl", "WARNING") as logs:
            plain = stripping.strip(final)
        self.assertIn("quantizes those of first, last", logs.output[0])
        self.assertEmpty(wrapper_lib.find(plain))
        for kernel, n in zip(nets.kernels(plain), (3, 4), strict=True):
            levels = np.linspace(kernel.min(), kernel.max(), 2**n)
            distance = np.abs(kernel.reshape(-1, 1) - levels).min(1)
            self.assertLess(distance.max(), 1e-6)
            self.assertLessEqual(len(np.unique(kernel)), 2**n)

    def test_ranges_and_outputs_survive_finalising_and_a_file(self):
        model = nets.learner(BitPruning())
        model.fit(*nets.data(), batch_size=8, verbose=0)
        nets.set_bits(model, [5, 5, 5, 5])
        final = bit_lengths.finalize(model)
        np.testing.assert_array_equal(nets.outputs(final), nets.outputs(model))
        path = os.path.join(self.create_tempdir(), "model.keras")
        final.save(path)
        loaded = keras.saving.load_model(path)
        np.testing.assert_array_equal(nets.outputs(final), nets.outputs(loaded))
        loaded.trainable = True
        loaded.compile("sgd", "mse")
        loaded.train_on_batch(*nets.data())
        self.assertEqual(nets.bits(loaded), [5] * 4)

    def test_only_models_that_learn_bits(self):
        final = bit_lengths.finalize(nets.learner(BitPruning()))
        for model in (nets.net(), final):
            with self.assertRaisesRegex(ValueError, "trainable bit.*'net'"):
                bit_lengths.finalize(model)

    def test_arguments_out_of_range_are_refused(self):
        model = nets.learner(BitPruning())
        with self.assertRaisesRegex(ValueError, "ceil, round.*'floor'"):
            bit_lengths.finalize(model, "floor")
        with self.assertRaisesRegex(ValueError, "snap=0.5"):
            bit_lengths.finalize(model, snap=0.5)


if __name__ == "__main__":
    absltest.main()
