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
        # Kind, inputs, outputs, options; places, window, reads, writes,
        # stride, broadcast, groups, way, columns.
        (
            *("CONV_2D", [(1, 8, 8, 3), (4, 3, 5, 3), (4,)], [(1, 4, 8, 4)]),
            *({"strideH": 2, "strideW": 1}, 32, 15, 3, 4, 2),
            *(False, 1, "", 5),
        ),
        (
            *("DEPTHWISE_CONV_2D", [(1, 8, 8, 3), (1, 3, 3, 6)]),
            *([(1, 8, 8, 6)], {"strideH": 1, "strideW": 1}),
            *(64, 9, 3, 6),
        ),
        (
            *("MAX_POOL_2D", [(1, 8, 8, 3)], [(1, 4, 4, 3)]),
            {"filterHeight": 2, "filterWidth": 3, "strideH": 2, "strideW": 2},
            *(16, 6, 3, 3, 4),
        ),
        ("MEAN", [(1, 4, 4, 6), (2,)], [(1, 6)], {}, 1, 16, 6, 6),
        ("REDUCE_MIN", [(1, 4, 4, 6), (2,)], [(1, 6)], {}, 1, 16, 6, 6),
        ("FULLY_CONNECTED", [(1, 7), (4, 7)], [(1, 4)], {}, 1, 1, 7, 4),
        ("FULLY_CONNECTED", [(1, 3, 4), (5, 12)], [(1, 5)], {}, 1, 1, 12, 5),
        # The first input that is there and has a shape.
        ("ADD", [None, (), (1, 5)], [(1, 5)], {}, 1, 1, 5, 5, 1, True),
        ("MUL", [(1, 5), (5,)], [(1, 5)], {}, 1, 1, 5, 5),
        (
            *("MUL", [(1, 8, 8, 3), (1, 1, 1, 3)], [(1, 8, 8, 3)], {}),
            *(64, 1, 3, 3, 1, True),
        ),
        # Damaged files: too few axes.
        ("CONV_2D", [(3,), (4,)], [(4,)], {}, 1, 1, 1, 4, 1, False, 3),
        ("TRANSPOSE_CONV", [(4,), (4,), ()], [(4,)], {}, 1, 1, 1, 4),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", [(3,)], [(5,)], {}, 1, 1, 3, 5),
        ("ASSIGN_VARIABLE", [(), (1, 5)], [], {}, 1, 1, 5, 1),
        ("VAR_HANDLE", [], [()], {}, 1, 1, 1, 1),
        (
            *("CONV_2D", [(1, 8, 8, 6), (4, 3, 3, 3), (4,)], [(1, 6, 6, 4)]),
            *({}, 36, 9, 3, 4, 1, False, 2, "", 3),
        ),
        (
            *("CONV_2D", [(1, 1, 8, 3), (4, 1, 5, 3), (4,)], [(1, 1, 4, 4)]),
            *({}, 4, 5, 3, 4, 1, False, 1, "row", 5),
        ),
        (
            "DEPTHWISE_CONV_2D",
            *([(1, 8, 8, 3), (1, 3, 3, 3)], [(1, 4, 4, 3)]),
            *({"dilationHFactor": 2, "dilationWFactor": 2}, 16, 9, 3, 3),
            *(1, False, 1, "gaps"),
        ),
        (  # Its first input is the shape of the output.
            *("TRANSPOSE_CONV", [(4,), (5, 2, 2, 3), (1, 4, 4, 3)]),
            *([(1, 8, 8, 5)], {"strideH": 2, "strideW": 2}, 64, 4, 3, 5, 4),
        ),
        (
            *("CONCATENATION", [(1, 4, 6), (1, 2, 6)], [(1, 6, 6)]),
            *({"axis": 1}, 6, 1, 6, 6, 1, False, 1, "outer"),
        ),
        (
            *("CONCATENATION", [(1, 4, 6), (1, 4, 2)], [(1, 4, 8)]),
            *({"axis": 2}, 4, 1, 6, 8),
        ),
        (
            *("UNIDIRECTIONAL_SEQUENCE_LSTM", [(1, 9, 3)], [(1, 9, 5)]),
            *({}, 9, 1, 3, 5),
        ),
    )
    def test_sizes(self, kind, inputs, outputs, options, *expected):
        self.assertEqual(
            op_sizes.of(op(kind, inputs, outputs, **options)),
            core_steps.OpSize(kind, *expected),
        )


if __name__ == "__main__":
    absltest.main()
