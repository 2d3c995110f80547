from types import SimpleNamespace

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs import core_steps
from tfprune.export.micro import op_sizes
from tfprune.export.micro.arena import flat_ops


def tensor(*shape):
    return flat_ops.Tensor("t", shape, "INT8", 1, False, False)


def op(kind, inputs, outputs, **options):
    return flat_ops.Op(
        kind,
        [None if shape is None else tensor(*shape) for shape in inputs],
        [tensor(*shape) for shape in outputs],
        SimpleNamespace(**options),
        [],
    )


class OfTest(parameterized.TestCase):
    @parameterized.parameters(
        # Kind, inputs, outputs, options; places, window, reads, writes.
        (
            *("CONV_2D", [(1, 8, 8, 3), (4, 3, 5, 3), (4,)], [(1, 4, 8, 4)]),
            *({"strideH": 2, "strideW": 1}, 32, 15, 3, 4, True),
        ),
        (
            *("DEPTHWISE_CONV_2D", [(1, 8, 8, 3), (1, 3, 3, 6)]),
            *([(1, 8, 8, 6)], {"strideH": 1, "strideW": 1}),
            *(64, 9, 3, 6, False),
        ),
        (
            *("MAX_POOL_2D", [(1, 8, 8, 3)], [(1, 4, 4, 3)]),
            {"filterHeight": 2, "filterWidth": 3, "strideH": 2, "strideW": 2},
            *(16, 6, 3, 3, True),
        ),
        ("MEAN", [(1, 4, 4, 6), (2,)], [(1, 6)], {}, 1, 16, 6, 6, False),
        ("FULLY_CONNECTED", [(1, 7), (4, 7)], [(1, 4)], {}, 1, 1, 7, 4, False),
        # The first input that is there and has a shape.
        ("ADD", [None, (), (1, 5)], [(1, 5)], {}, 1, 1, 5, 5, False, True),
        ("MUL", [(1, 5), (5,)], [(1, 5)], {}, 1, 1, 5, 5, False, False),
        (
            *("MUL", [(1, 8, 8, 3), (1, 1, 1, 3)], [(1, 8, 8, 3)], {}),
            *(64, 1, 3, 3, False, True),
        ),
        ("ASSIGN_VARIABLE", [(), (1, 5)], [], {}, 1, 1, 5, 1, False),
        ("VAR_HANDLE", [], [()], {}, 1, 1, 1, 1, False),
    )
    def test_sizes(self, kind, inputs, outputs, options, *expected):
        self.assertEqual(
            op_sizes.of(op(kind, inputs, outputs, **options)),
            core_steps.OpSize(kind, *expected),
        )


if __name__ == "__main__":
    absltest.main()
