import types

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs.kernels import cmsis_scratch

KINDS = ("plain", "dsp", "mve")


def window(inputs, kernel, outputs, strides=(1, 1), **kwargs):
    kwargs = {"dilations": (1, 1), "padding": (0, 0), **kwargs}
    return cmsis_scratch.Window(inputs, kernel, outputs, strides, **kwargs)


def by_kind(function, made):
    return [function(made, kind) for kind in KINDS]


class ConvolutionTest(parameterized.TestCase):
    @parameterized.parameters(
        # Two columns of 5*5*3 = 75 int16 values, rounded up to 76; four of 80
        # int8 values, a multiple of 16, where there are vectors.
        (window((8, 8, 3), (5, 5, 3), (4, 4, 7)), [304, 304, 320]),
        # One position at a time needs no columns, but two inputs in int16.
        (window((8, 8, 6), (1, 1, 6), (8, 8, 7)), [0, 24, 0]),
        (window((8, 8, 6), (1, 1, 6), (4, 4, 7), (2, 2)), [0, 0, 0]),
        # With padding or several groups it is like any other: 6 become 8.
        (window((8, 8, 6), (1, 1, 6), (9, 9, 7), padding=(1, 1)),
         [32, 32, 64]),
        (window((8, 8, 6), (1, 1, 3), (8, 8, 6)), [32, 32, 64]),
        # Along one axis the vector code copies the edges alone: three columns
        # of four, and one at the left.
        (window((1, 9, 4), (1, 3, 4), (1, 9, 7), padding=(0, 1)),
         [48, 48, 16]),
    )  # fmt: skip
    def test_of_int8(self, made, expected):
        self.assertEqual(by_kind(cmsis_scratch.convolution, made), expected)

    def test_of_int16(self):
        made = window((8, 8, 3), (5, 5, 3), (4, 4, 7))
        # Two columns of 75; with vectors four of 80, in 16 bits.
        self.assertEqual(
            by_kind(cmsis_scratch.wide_convolution, made), [300, 300, 640]
        )


class DepthwiseTest(parameterized.TestCase):
    @parameterized.parameters(
        # A value in 16 bits for each weight; blocks of 124 channels.
        (window((8, 8, 6), (5, 5, 6), (4, 4, 6)), [0, 300, 4 * 124 * 25]),
        (window((8, 8, 6), (3, 3, 6), (8, 8, 6), padding=(1, 1)),
         [0, 0, 4 * 124 * 9]),
        (window((8, 8, 6), (3, 3, 6), (4, 4, 6), padding=(2, 2)),
         [0, 108, 4 * 124 * 9]),
        # Several outputs a channel, or a dilation: plain code.
        (window((8, 8, 6), (5, 5, 12), (4, 4, 12), depth_multiplier=2),
         [0, 0, 0]),
        (window((9, 9, 6), (3, 3, 6), (5, 5, 6), dilations=(2, 2)),
         [0, 0, 0]),
        # Of one channel the vector code makes a convolution: four columns of
        # 25 values in 32 bytes, and the kernel turned.
        (window((8, 8, 1), (5, 5, 9), (4, 4, 9), depth_multiplier=9),
         [0, 0, 128 + 225]),
        (window((8, 8, 1), (5, 5, 8), (4, 4, 8), depth_multiplier=8),
         [0, 0, 0]),
    )  # fmt: skip
    def test_of_int8(self, made, expected):
        self.assertEqual(by_kind(cmsis_scratch.depthwise, made), expected)


class TransposedTest(absltest.TestCase):
    def test_a_deep_one_runs_reversed(self):
        made = window((4, 4, 17), (3, 3, 17), (8, 8, 5), (2, 2))
        # Columns of 3*3*17 = 153, rounded up to 156 or 160, and the kernel.
        self.assertEqual(
            by_kind(cmsis_scratch.transposed, made),
            [[624, 765], [624, 765], [640, 765]],
        )

    def test_others_add_rows_up(self):
        for made in (
            window((4, 4, 16), (3, 3, 16), (9, 9, 5), (2, 2)),
            window((4, 4, 16), (2, 3, 16), (9, 9, 5), (2, 2)),
        ):
            rows = made.kernel[0]
            # Sums in 32 bits: 3 steps of two and a kernel's width.
            self.assertEqual(
                by_kind(cmsis_scratch.transposed, made),
                [[4 * 9 * 5 * max(rows, 2), 0]] * 3,
            )


class Op:
    """What a `flat_ops.Op` tells of itself."""

    def __init__(self, kind, *shapes, **options):
        self.kind, self.options = kind, options
        *inputs, output = (
            types.SimpleNamespace(shape=shape) for shape in shapes
        )
        self.inputs, self.outputs = inputs, (output,)

    def option(self, name, default):
        return self.options.get(name, default)


class WindowTest(parameterized.TestCase):
    @parameterized.parameters(
        # SAME: (outputs - 1) * stride + reach - inputs, half of it before.
        (8, 8, 3, 1, 1, 1),
        (8, 4, 3, 2, 1, 0),
        (9, 5, 3, 2, 1, 1),
        (8, 8, 3, 1, 2, 2),
        (8, 4, 1, 2, 1, 0),
    )
    def test_padding(self, size, out, kernel, stride, dilation, expected):
        op = Op(
            "CONV_2D",
            *((1, size, size, 2), (5, kernel, kernel, 2), (1, out, out, 5)),
            **{"strideH": stride, "strideW": stride, "padding": 0},
            dilationHFactor=dilation,
            dilationWFactor=dilation,
        )
        made = cmsis_scratch.Window.of(op)
        self.assertEqual(made.padding, (expected, expected))
        op.options["padding"] = 1  # VALID
        self.assertEqual(cmsis_scratch.Window.of(op).padding, (0, 0))

    def test_a_transposed_one_has_its_input_last(self):
        op = Op(
            "TRANSPOSE_CONV",
            *((4,), (5, 3, 3, 2), (1, 4, 4, 2), (1, 9, 9, 5)),
            **{"strideH": 2, "strideW": 2, "padding": 1},
        )
        made = cmsis_scratch.Window.of(op)
        self.assertEqual(
            (made.inputs, made.kernel, made.outputs, made.strides),
            ((4, 4, 2), (3, 3, 2), (9, 9, 5), (2, 2)),
        )


if __name__ == "__main__":
    absltest.main()
