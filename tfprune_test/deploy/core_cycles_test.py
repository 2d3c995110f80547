import pytest
from absl.testing import absltest

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from tfprune.costs import core_table
from tfprune.deploy import core_cycles
from tfprune.export.micro import op_sizes
from tfprune.export.micro.arena import flat_ops
from tfprune_test.export import hand_made

STEPS = ([0.5], [0])


def file(dtype="int8"):
    """A dense layer, an op of one's own, and one without an output."""
    sketch = hand_made.Sketch()
    steps = None if dtype == "float32" else STEPS
    x = sketch.tensor("x", (1, 16), dtype, steps)
    w = sketch.tensor("w", (8, 16), dtype, steps)
    y, z = (sketch.tensor(n, (1, 8), dtype, steps) for n in "yz")
    sketch.op("FULLY_CONNECTED", [x, w, -1], [y])
    sketch.op("mine", [y], [z])
    sketch.op("ASSIGN_VARIABLE", [z, z], [])
    return sketch.data([x], [z])


class CyclesTest(absltest.TestCase):
    def cycles(self, data, core="cortex-m4"):
        path = self.create_tempfile(content=data, mode="wb").full_path
        return core_cycles.cycles(path, core)

    def test_ops_add_up(self):
        data = file()
        found = self.cycles(data, "Cortex-M4")
        self.assertEqual(found.core, "cortex-m4")
        self.assertEqual(
            [(op.op, op.output) for op in found.ops],
            [("FULLY_CONNECTED", "y"), ("mine", "z"), ("ASSIGN_VARIABLE", "")],
        )
        self.assertAlmostEqual(sum(op.share for op in found.ops), 1.0)
        self.assertAlmostEqual(
            sum(op.instructions for op in found.ops),
            found.instructions,
            delta=len(found.ops),
        )
        table = core_table.of("cortex-m4")
        (graph,) = flat_ops.read(data)
        size = op_sizes.of(graph.ops[0])
        self.assertEqual(
            found.ops[0].instructions, round(table.instructions(size))
        )

    def test_ops_that_were_not_measured_say_so(self):
        found = self.cycles(file(), "cortex-m55")
        self.assertEqual([op.measured for op in found.ops][:2], [True, False])

    def test_files_in_float_are_refused(self):
        with self.assertRaisesRegex(ValueError, 'quantize="int8"'):
            self.cycles(file("float32"))

    def test_cores_that_were_not_measured_are_refused(self):
        with self.assertRaises(ValueError):
            self.cycles(file(), "esp32")


if __name__ == "__main__":
    absltest.main()
