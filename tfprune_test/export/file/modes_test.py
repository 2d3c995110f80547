from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.file import modes


class Counted:
    """A model of which only the size is known."""

    name = "large"

    def __init__(self, count):
        self._count = count

    def count_params(self):
        return self._count


class SizeTest(parameterized.TestCase):
    @parameterized.parameters(
        ("float32", "micro", 4),
        ("float16", "micro", 2),
        ("dynamic", "micro", 1),
        ("int8", "tflite", 4),
        ("int8", "micro", 4),
        ("int4", "tflite", 4),
    )
    def test_what_reads_two_gibibytes_at_most(self, quantize, runtime, each):
        mode, most = modes.MODES[quantize], (2**31 - 1) // each
        modes.check_size(Counted(most), mode, runtime)
        with self.assertRaisesRegex(ValueError, "smaller than 2 GiB.*large"):
            modes.check_size(Counted(most + 1), mode, runtime)

    @parameterized.parameters("float32", "float16", "dynamic")
    def test_litert_reads_more(self, quantize):
        modes.check_size(Counted(2**33), modes.MODES[quantize], "tflite")


class GetTest(parameterized.TestCase):
    @parameterized.parameters(
        (None, None, "float32", "float32"),
        ("float16", None, "float16", "float32"),
        ("dynamic", "float32", "dynamic", "float32"),
        ("int8", None, "int8", "int8"),
        ("int8", "float32", "int8", "float32"),
        ("int16x8", None, "int16x8", "int16"),
        ("int4", None, "int4", "int8"),
    )
    def test_a_mode_and_its_interface(self, quantize, interface, name, chosen):
        self.assertEqual(
            modes.get(quantize, interface), (modes.MODES[name], chosen)
        )

    @parameterized.parameters("int2", "INT8", 8, (["int8"],), "")
    def test_no_such_mode(self, quantize):
        with self.assertRaisesRegex(
            ValueError, "one of float32, .*, int4. Received: quantize="
        ):
            modes.get(quantize)

    @parameterized.parameters(
        (None, "int8", "float32"),
        ("int8", "int16", "int8, uint8, float32"),
        ("int4", "float32", "int8"),
        ("int8", "", "int8, uint8, float32"),
    )
    def test_no_such_interface(self, quantize, interface, known):
        with self.assertRaisesRegex(
            ValueError, f"one of {known} with .*interface='{interface}'"
        ):
            modes.get(quantize, interface)


class ScalesTest(parameterized.TestCase):
    @parameterized.parameters(
        ("int8", "auto", None, "channel"),
        ("int8", "cmsis-nn", None, "channel"),
        ("int8", "cmsis-nn", "tensor", "tensor"),
        ("int8", "esp-nn", "channel", "channel"),
        # CMSIS-NN's dense layers of int16 read one scale.
        ("int16x8", "auto", None, "tensor"),
        ("int16x8", "cmsis-nn", None, "tensor"),
        ("int16x8", "reference", None, "channel"),
        ("int16x8", "esp-nn", None, "channel"),
        ("int16x8", "auto", "channel", "channel"),
        ("int16x8", "cmsis-nn", "tensor", "tensor"),
        ("float32", "auto", None, None),
        (None, "auto", None, None),
        ("dynamic", "cmsis-nn", None, None),
        ("int4", "auto", None, None),
    )
    def test_how_many(self, quantize, kernels, wanted, expected):
        found = modes.dense_scales(quantize, kernels, wanted)
        self.assertEqual(found, expected)

    @parameterized.parameters(
        ("int8", "cmsis", None, "kernels='cmsis'"),
        ("int8", "auto", "row", "dense_scales='row'"),
        ("float32", "auto", "tensor", "'tensor' with quantize='float32'"),
        (None, "auto", "channel", "'channel' with quantize=None"),
        ("int4", "auto", "channel", "'channel' with quantize='int4'"),
        (
            *("int16x8", "cmsis-nn", "channel"),
            "quantize='int16x8' and kernels='cmsis-nn'. Omit",
        ),
    )
    def test_what_no_kernel_reads(self, quantize, kernels, wanted, message):
        with self.assertRaisesRegex(ValueError, f"Received: .*{message}"):
            modes.dense_scales(quantize, kernels, wanted)


if __name__ == "__main__":
    absltest.main()
