from absl.testing import absltest

from tfprune.costs import code_size

NET = ("ADD", "AVERAGE_POOL_2D", "CONV_2D", "FULLY_CONNECTED", "SOFTMAX")


class CodeSizeTest(absltest.TestCase):
    def test_the_image_of_resnet_8(self):
        """What the linker kept for a self-test of 94,688 bytes of model.

        Inputs and outputs of the self-test and the emulator's own code are
        not counted here.
        """
        code = code_size.of(NET, "cmsis-nn", "dsp")
        self.assertEmpty(code.unmeasured)
        self.assertBetween(code.bytes, 100_000, 135_000)

    def test_what_ops_share_counts_once(self):
        both = code_size.of(("CONV_2D", "DEPTHWISE_CONV_2D"))
        alone = [
            code_size.of((op,)).op_bytes
            for op in ("CONV_2D", "DEPTHWISE_CONV_2D")
        ]
        self.assertLess(both.op_bytes, sum(alone))
        self.assertGreater(both.op_bytes, max(alone))

    def test_an_op_that_was_not_measured_is_said(self):
        code = code_size.of(("CONV_2D", "ZEROS_LIKE"))
        self.assertEqual(code.unmeasured, ("ZEROS_LIKE",))
        self.assertEqual(code.by_op["ZEROS_LIKE"], code_size.UNKNOWN_BYTES)


if __name__ == "__main__":
    absltest.main()
