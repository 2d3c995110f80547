import pytest
from absl.testing import absltest
from absl.testing import parameterized

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from tfprune.export.run import refusals
from tfprune_test.export import hand_made


class CulpritsTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        sketch = hand_made.Sketch()
        tensors = [sketch.tensor(name, (1, 2)) for name in "xabc"]
        for kind, read, made in zip(
            ("SQRT", "NEG", "SQRT"), tensors, tensors[1:], strict=False
        ):
            sketch.op(kind, [read], [made])
        data = sketch.data(tensors[:1], tensors[-1:])
        self.path = self.create_tempfile(content=data, mode="wb").full_path

    @parameterized.parameters(
        # TFLite Micro by number, TFLite by number, both by kind.
        ("Node NEG (number 1f) failed to prepare", "NEG", ["b"]),
        ("Node number 2 (SQRT) failed to prepare.", "SQRT", ["c"]),
        ("Didn't find op for builtin opcode 'SQRT'", "SQRT", ["a", "c"]),
        # A delegate counts its own nodes.
        ("Node number 9 (DELEGATE) failed to invoke.", "DELEGATE", []),
        ("out of memory", None, []),
        ("", None, []),
    )
    def test_ops_and_what_they_compute(self, text, kind, names):
        self.assertEqual(refusals.culprits(self.path, text), (kind, names))

    def test_a_loop_without_end(self):
        sketch = hand_made.Sketch()
        x, y = sketch.tensor("x", (1, 2)), sketch.tensor("y", (1, 2))
        sketch.op("WHILE", [x], [y])
        data = sketch.data([x], [y])
        path = self.create_tempfile(content=data, mode="wb").full_path
        found = refusals.culprits(path, "died of SIGVTALRM")
        self.assertEqual(found, ("WHILE", ["y"]))


if __name__ == "__main__":
    absltest.main()
