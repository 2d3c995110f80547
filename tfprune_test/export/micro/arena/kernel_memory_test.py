"""Sizes by hand; `arena_need_test` compares with real interpreters."""

from types import SimpleNamespace

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.micro.arena import flat_ops
from tfprune.export.micro.arena import kernel_memory


def tensor(*shape, dtype="INT8", channels=1, constant=False):
    return flat_ops.Tensor("t", shape, dtype, channels, constant, False)


def op(kind, inputs, outputs, **options):
    return flat_ops.Op(kind, inputs, outputs, SimpleNamespace(**options), [])


def of(found, kernels="reference", extension="plain"):
    return kernel_memory.of(found, kernels, extension)


CONV = op(
    "CONV_2D",
    [tensor(1, 8, 8, 3), tensor(4, 3, 3, 3, channels=4), tensor(4, channels=4)],
    [tensor(1, 8, 8, 4)],
    padding=0,
    strideH=1,
    strideW=1,
)


class KernelMemoryTest(parameterized.TestCase):
    def test_a_convolution(self):
        found = of(CONV)
        self.assertEqual((found.params, found.record), (28, 56))
        # A multiplier and a shift of 4 bytes for each channel.
        self.assertEqual(found.persistent, [16, 16])
        self.assertEqual(found.scratch, [])
        # 52 bytes with one scale, 64 with four; the bias only once.
        self.assertEqual(found.temporary, 2 * (52 + 64 + 52) + 64)

    def test_cmsis_nn_copies_columns(self):
        found = of(CONV, "cmsis-nn", "dsp")
        self.assertEqual(found.record, 60)
        # 3 * 3 * 3 values, in multiples of 4, two columns of int16.
        self.assertEqual(found.scratch, [4 * 28])

    @parameterized.parameters(
        ("CONV_2D", "esp-nn", 80),
        ("CONV_2D", "reference", 56),
        ("RESHAPE", "reference", 0),
        ("TFLM_DECODE", "reference", 0),
        # What is not known is not taken for nothing.
        ("NEW_OP", "reference", 64),
    )
    def test_records(self, kind, kernels, expected):
        found = of(op(kind, CONV.inputs, CONV.outputs), kernels)
        self.assertEqual(found.record, expected)

    def test_a_mean_sums_in_32_bits(self):
        axes = tensor(2, dtype="INT32", channels=0)
        mean = op("MEAN", [tensor(1, 4, 4, 6), axes], [tensor(1, 6)])
        self.assertEqual(of(mean).scratch, [24, 16, 8])

    def test_a_softmax_of_int16_has_two_tables(self):
        x = tensor(1, 6, dtype="INT16")
        found = of(op("SOFTMAX", [x], [x]))
        self.assertEqual(found.persistent, [1026, 1026])
        x = tensor(1, 6)
        self.assertEqual(of(op("SOFTMAX", [x], [x])).persistent, [])

    def test_weights_of_int4_are_unpacked(self):
        weights = tensor(5, 7, dtype="INT4")
        dense = op("FULLY_CONNECTED", [tensor(1, 7), weights], [tensor(1, 5)])
        self.assertEqual(of(dense).scratch, [35])

    def test_a_dense_layer_with_scales_by_channel(self):
        for channels, expected in ((1, []), (5, [20, 20])):
            weights = tensor(5, 7, channels=channels)
            dense = op(
                "FULLY_CONNECTED", [tensor(1, 7), weights], [tensor(1, 5)]
            )
            self.assertEqual(of(dense).persistent, expected)

    @parameterized.parameters(
        (True, [20], []),
        # Decoded for each inference.
        (False, [], [20]),
    )
    def test_sums_of_weights_for_vectors(self, constant, kept, scratch):
        weights = tensor(5, 7, constant=constant)
        dense = op(
            *("FULLY_CONNECTED", [tensor(1, 7), weights, None]),
            [tensor(1, 5)],
        )
        found = of(dense, "cmsis-nn", "mve")
        self.assertEqual((found.persistent, found.scratch), (kept, scratch))

    def test_sums_of_an_svdf_for_vectors(self):
        weights = tensor(6, 7, constant=True)
        svdf = op("SVDF", [tensor(1, 7), weights], [tensor(1, 3)])
        for extension, kept in (("mve", [24]), ("dsp", [])):
            found = of(svdf, "cmsis-nn", extension)
            self.assertEqual(
                (found.persistent, found.scratch), (kept, [24, 12])
            )

    @parameterized.parameters(
        ("NEG", 1),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", 1),
        ("RSQRT", 2),
        ("MEAN", 2),
        # What is not known may request its tensors twice.
        ("NEW_OP", 2),
    )
    def test_tensors_during_preparation(self, kind, times):
        x = tensor(1, 4)
        found = kernel_memory._temporary(op(kind, [x, None], [x]))
        self.assertEqual(found, times * 2 * 52)

    @parameterized.parameters("GATHER", "BATCH_MATMUL", "DEPTH_TO_SPACE")
    def test_kernels_that_copy_the_shape_of_their_output(self, kind):
        x = tensor(1, 2, 4, 4)
        found = of(op(kind, [x, x], [x], adjX=False, adjY=True))
        self.assertIn(4 + 4 * 4, found.persistent)

    def test_an_op_without_inputs(self):
        found = of(op("VAR_HANDLE", [], [tensor(dtype="RESOURCE", channels=0)]))
        self.assertEqual((found.record, found.temporary), (8, 32))


if __name__ == "__main__":
    absltest.main()
