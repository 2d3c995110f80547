"""Calls of layers as Keras 1 and 2 wrote them."""

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy import nodes

ENTRIES = {"a": {}, "b": {}}
# The second tensor of the third call of b.
TENSORS = {("a", 0): ["A"], ("b", 2): ["B0", "B1"]}


class NodesTest(parameterized.TestCase):
    @parameterized.parameters(
        (["a", 0, 0], True),
        (["b", 2, 1, {"mask": None}], True),
        (["c", 0, 0], False),
        (["a", 0], False),
        ([0, 0, 0], False),
        (("a", 0, 0), False),
        ("abc", False),
        (None, False),
    )
    def test_a_reference(self, value, expected):
        self.assertEqual(nodes.is_reference(value, ENTRIES), expected)

    @parameterized.parameters(
        ([["a", 0, 0]], ["a", 0, 0]),
        ([["a", 0, 0], ["b", 0, 0]], [["a", 0, 0], ["b", 0, 0]]),
        ([], []),
        ({"x": 1}, {"x": 1}),
    )
    def test_a_list_of_one(self, nested, expected):
        self.assertEqual(nodes.one(nested), expected)

    def test_all_tensors_of_a_call(self):
        nested = [
            [["a", 0, 0, {"mask": ["b", 2, 1]}], ["b", 1, 0, {}]],
            {"k": [1, "a", ["a", 3, 0]]},
            ["c", 0, 0],
        ]
        self.assertEqual(
            list(nodes.references(nested, ENTRIES)),
            [("a", 0), ("b", 2), ("b", 1), ("a", 3)],
        )

    def test_the_first_call_of_a_model_within_a_model_is_not_0(self):
        config = {
            "layers": [
                {"inbound_nodes": []},
                {"inbound_nodes": [[["a", 2, 0, {}]], [["a", 1, 0, {}]]]},
                {"inbound_nodes": [[["a", 3, 0, {}]]]},
            ],
            "output_layers": [["b", 1, 0]],
        }
        self.assertEqual(nodes.first_calls(config, ENTRIES), {"a": 1, "b": 1})

    def test_tensors_in_the_place_of_references(self):
        self.assertEqual(
            nodes.decoded(
                {"x": [["b", 2, 1], 3, None], "y": ["a", 0, 0]},
                TENSORS,
                ENTRIES,
            ),
            {"x": ["B1", 3, None], "y": "A"},
        )

    @parameterized.parameters(
        ([["a", 0, 0, {}]], ("A",), {}),
        ([["a", 0, 0]], ("A",), {}),
        (["b", 2, 1, {"axis": -1}], ("B1",), {"axis": -1}),
        ([["a", 0, 0, {}], ["b", 2, 0, {}]], (["A", "B0"],), {}),
        (
            [["a", 0, 0, {"initial_state": [["b", 2, 0], ["b", 2, 1]]}]],
            ("A",),
            {"initial_state": ["B0", "B1"]},
        ),
        (["_CONSTANT_VALUE", -1, 2.5, {"y": ["a", 0, 0]}], (2.5,), {"y": "A"}),
        (
            {"x": ["a", 0, 0, {}], "y": ["b", 2, 1, {}]},
            ({"x": "A", "y": "B1"},),
            {},
        ),
        (
            [["a", 0, 0, {"axis": 0}], [["_CONSTANT_VALUE", -1, 2], []]],
            (["A", [2, []]],),
            {"axis": 0},
        ),
    )
    def test_arguments(self, node, args, kwargs):
        self.assertEqual(
            nodes.arguments(node, TENSORS, ENTRIES), (args, kwargs)
        )


if __name__ == "__main__":
    absltest.main()
