from absl.testing import absltest

from tfprune.costs import code_size
from tfprune.export.micro import kernels

NET = ("ADD", "AVERAGE_POOL_2D", "CONV_2D", "FULLY_CONNECTED", "SOFTMAX")


class CodeSizeTest(absltest.TestCase):
    def test_the_image_of_resnet_8(self):
        """The linker kept 235,744 bytes with 103,648 of arrays among them."""
        code = code_size.of(NET, "cmsis-nn", "dsp")
        self.assertEmpty(code.unmeasured)
        self.assertAlmostEqual(code.bytes / 132_096, 1, delta=0.05)

    def test_each_kind_of_kernels_has_a_table(self):
        """The linker kept so many bytes of ResNet-8 besides the arrays."""
        for family, extension, core, kept in (
            ("cmsis-nn", "mve", "cortex-m55", 124_516),
            ("reference", "dsp", "cortex-m4", 104_012),
        ):
            code = code_size.of(NET, family, extension)
            self.assertEqual(code.kernels, f"{family} {core}")
            self.assertEmpty(code.unmeasured)
            self.assertAlmostEqual(code.bytes / kept, 1, delta=0.05)

    def test_what_ops_share_counts_once(self):
        both = code_size.of(("CONV_2D", "DEPTHWISE_CONV_2D"))
        alone = [
            code_size.of((op,)).op_bytes
            for op in ("CONV_2D", "DEPTHWISE_CONV_2D")
        ]
        self.assertLess(both.op_bytes, sum(alone))
        self.assertGreater(both.op_bytes, max(alone))

    def test_an_op_that_was_not_measured_is_said(self):
        code = code_size.of(("CONV_2D", "ethos-u"))
        self.assertEqual(code.unmeasured, ("ethos-u",))
        self.assertEqual(code.by_op["ethos-u"], code_size.UNKNOWN_BYTES)

    def test_all_kernels_of_tflite_micro_were_measured(self):
        names = [m.removeprefix("Add") for m in kernels.portable_methods()]
        self.assertEmpty(code_size.of(names).unmeasured)


if __name__ == "__main__":
    absltest.main()
