from absl.testing import absltest

from tfprune.costs import code_size

NET = ("ADD", "AVERAGE_POOL_2D", "CONV_2D", "FULLY_CONNECTED", "SOFTMAX")


class CodeSizeTest(absltest.TestCase):
    def test_the_image_of_resnet_8(self):
        """The linker kept 235,744 bytes with 103,648 of arrays among them."""
        code = code_size.of(NET, "cmsis-nn", "dsp")
        self.assertEmpty(code.unmeasured)
        self.assertAlmostEqual(code.bytes / 132_096, 1, delta=0.05)

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
