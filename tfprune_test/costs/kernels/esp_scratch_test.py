from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs.kernels import cmsis_scratch
from tfprune.costs.kernels import esp_scratch


def window(inputs, kernel, outputs, strides=(1, 1), padding=(0, 0), many=1):
    return cmsis_scratch.Window(
        inputs, kernel, outputs, strides, (1, 1), padding, many
    )


class EspTest(parameterized.TestCase):
    @parameterized.parameters(
        # 8 is whole: the kernel, and 16 turned positions of 8 channels.
        (window((4, 4, 8), (1, 1, 8), (4, 4, 5)), 8 * 5 + 16 * 8 + 64),
        # 6 become 8: all 16 positions are copied, too.
        (window((4, 4, 6), (1, 1, 6), (4, 4, 5)),
         16 * 8 + 8 * 5 + 16 * 8 + 64),
        # Fewer than 8 positions are not turned.
        (window((2, 3, 8), (1, 1, 8), (2, 3, 5)), 8 * 5 + 64),
        # Rows of 9 values are too short, the kernel's 27 become 32.
        (window((8, 8, 3), (3, 3, 3), (6, 6, 5)),
         4 * 5 + 32 + 5 * 32 + 32 + 64),
        # Padded inputs, kernels of 16 channels, rows of 32.
        (window((8, 8, 8), (3, 3, 8), (8, 8, 5), padding=(1, 1)),
         100 * 8 + 9 * 16 * 5 + 32 * 3 * 5 + 64 + 20 + 10 * 10 * 8),
    )  # fmt: skip
    def test_a_convolution_on_vectors(self, made, expected):
        self.assertEqual(esp_scratch.convolution(made, "vector"), expected)

    @parameterized.parameters(
        # In 16 bits: kernel and inputs.
        (window((6, 6, 8), (5, 5, 8), (2, 2, 8)), 2 * (200 + 288) + 32),
        # Too many for 48 KiB: twice the kernel and five rows.
        (window((80, 80, 8), (5, 5, 8), (76, 76, 8)),
         2 * 200 + 2 * 80 * 5 * 8 + 32),
        (window((6, 6, 4), (3, 3, 16), (4, 4, 16), many=4),
         2 * (144 + 144) + 32),
        (window((6, 6, 3), (3, 3, 3), (4, 4, 3)), 32),
        # 3x3 on 16 channels: the kernel, and the input with its border.
        (window((6, 6, 16), (3, 3, 16), (6, 6, 16), padding=(1, 1)),
         144 + 8 * 8 * 16 + 16),
        (window((6, 6, 16), (3, 3, 16), (4, 4, 16)), 144 + 16),
    )  # fmt: skip
    def test_a_depthwise_one(self, made, expected):
        self.assertEqual(esp_scratch.depthwise(made, "vector"), expected)

    def test_plain_code_needs_none(self):
        made = window((8, 8, 8), (3, 3, 8), (6, 6, 8))
        self.assertEqual(esp_scratch.convolution(made, "plain"), 0)
        self.assertEqual(esp_scratch.depthwise(made, "plain"), 0)


if __name__ == "__main__":
    absltest.main()
