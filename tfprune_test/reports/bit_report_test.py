import json

import keras
from absl.testing import absltest

from tfprune.callbacks import prune_on_schedule
from tfprune.methods import bitpruning
from tfprune.methods import masked
from tfprune.reports import bit_report
from tfprune.sparsity import chain
from tfprune.sparsity import wrapping
from tfprune.training import bit_lengths

layers = keras.layers


def net():
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.SeparableConv2D(4, 3, name="separable")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(5, name="dense")(x), name="net")


def set_bits(model, values):
    for (_, slot), n in zip(bit_lengths.places(model), values, strict=True):
        slot["bit_length"].assign(n)


class BitReportTest(absltest.TestCase):
    def test_averages_and_bytes_written_by_hand(self):
        model = wrapping.wrap(net(), bitpruning.BitPruning())
        set_bits(model, [2.5, 4, 3.5, 4.5, 6, 1.5, 8])
        final = bit_lengths.finalize(model)
        learned, report = bit_report.bits(model), bit_report.bits(final)
        self.assertEqual(
            [
                (row.layer, row.weights, row.weight_bits, row.activation_bits)
                for row in report.layers
            ],
            [
                ("conv", 72, 3, 4),
                ("separable/depthwise_kernel", 36, 4, 6),
                ("separable/pointwise_kernel", 16, 5, 6),
                ("dense", 20, 2, 8),
            ],
        )
        self.assertEqual(report.weight_bits, (3 + 4 + 5 + 2) / 4)
        self.assertEqual(report.activation_bits, (4 + 6 + 8) / 3)
        self.assertEqual(report.average_bits, 32 / 7)
        self.assertEqual(report.learned_average_bits, 30 / 7)
        self.assertEqual(learned.average_bits, 30 / 7)
        self.assertEqual(
            report.weight_bytes, (72 * 3 + 36 * 4 + 16 * 5 + 20 * 2) / 8
        )
        # Biases 4 + 4 + 5 and four vectors of the normalisation.
        self.assertEqual(report.other_bytes, 4 * (13 + 16))

    def test_a_report_warns_of_nothing(self):
        model = wrapping.wrap(net(), bitpruning.BitPruning())
        with self.assertNoLogs("absl", "WARNING"):
            bit_report.bits(model)

    def test_micronet_counts_each_tensor_at_its_bits(self):
        model = wrapping.wrap(net(), bitpruning.BitPruning())
        set_bits(model, [2, 4, 8, 16, 6, 1, 8])
        found = bit_report.bits(model).micronet
        # Kernels, then gamma at 32 bits; beta and the biases are still zero.
        stored = 72 * 2 + 36 * 8 + 16 * 16 + 20 * 1 + 4 * 32
        self.assertAlmostEqual(found.stored, stored / 32, places=6)
        # The larger of weights and inputs; for the separable layer its
        # largest weight counts, the depthwise one of 8 bits, above 6.
        macs = 36 * 72 * 4 + 16 * (36 + 16) * 8 + 20 * 8
        self.assertAlmostEqual(found.macs, macs / 32, places=6)

    def test_zeros_of_masks_are_told_apart(self):
        both = chain.Chain(
            (masked.Masked(), bitpruning.BitPruning(activations=None))
        )
        model = wrapping.wrap(net(), both, "dense")
        prune_on_schedule.prune_now(model, 0.5)
        (row,) = bit_report.bits(model).layers
        self.assertEqual((row.weights, row.nonzero), (20, 10))
        self.assertEqual(row.activation_bits, 32)
        self.assertIsNone(bit_report.bits(model).activation_bits)

    def test_it_is_written_in_three_forms(self):
        model = wrapping.wrap(
            net(), bitpruning.BitPruning(weights=None), "dense"
        )
        report = bit_report.bits(model)
        self.assertIn("average bits", str(report))
        self.assertIn("| dense | 32 | 8 | 20 | 20 | 80 |", report.to_markdown())
        found = json.loads(report.to_json())
        self.assertEqual(found["totals"]["average_bits"], 8)
        self.assertEqual(found["layers"][0]["bytes"], 80)

    def test_plain_models_have_no_bit_lengths(self):
        with self.assertRaisesRegex(ValueError, "bit lengths.*'net'"):
            bit_report.bits(net())
