"""The order of steps; `arena_need_test` compares with real interpreters."""

from absl.testing import absltest

from tfprune.export.micro.arena import arena_plan
from tfprune.export.micro.arena import flat_ops


def tensor(size, name="", **facts):
    facts = {"constant": False, "variable": False} | facts
    return flat_ops.Tensor(name, (1, size), "INT8", 1, **facts)


def op(kind, inputs=(), outputs=(), subgraphs=()):
    return flat_ops.Op(kind, list(inputs), list(outputs), None, list(subgraphs))


def graph(ops, inputs=(), outputs=()):
    tensors = dict.fromkeys(
        t for o in ops for t in (*o.inputs, *o.outputs) if t is not None
    )
    return flat_ops.Graph(list(tensors), list(inputs), list(outputs), ops)


class SequenceTest(absltest.TestCase):
    def test_subgraphs_run_where_they_are_called(self):
        ops = {kind: op(kind) for kind in "ABCDE"}
        loop = op("WHILE", subgraphs=[1, 2])
        graphs = [
            graph([ops["A"], loop, ops["B"]]),
            graph([ops["C"]]),
            graph([ops["D"], ops["E"]]),
        ]
        found = arena_plan.sequence(graphs)
        kinds = ["A", "WHILE", "WHILE", "C", "WHILE", "D", "E", "B"]
        self.assertEqual([o.kind for o in found], kinds)
        walk = arena_plan._Walk(graphs, [[]] * 3, {}, [])
        walk._needs = [[_NoScratch] * len(g.ops) for g in graphs]
        walk.graph(0)
        self.assertEqual(walk._now, len(kinds))


class _NoScratch:
    scratch = ()


class PlanTest(absltest.TestCase):
    def test_activations_live_from_op_to_op(self):
        x, y, z = tensor(10, "x"), tensor(40, "y"), tensor(10, "z")
        weights = tensor(400, "w", constant=True)
        graphs = [
            graph(
                [
                    op("FULLY_CONNECTED", [x, weights, None], [y]),
                    op("RELU", [y], [z]),
                ],
                [x],
                [z],
            )
        ]
        plan = arena_plan.plan(graphs, "reference", "plain")
        lives = {b.name: (b.bytes, b.first, b.last) for b in plan.buffers}
        self.assertEqual(
            lives, {"x": (10, 0, 1), "y": (40, 1, 2), "z": (10, 2, 2)}
        )
        # The largest first; then x and z take turns behind it.
        starts = {b.name: b.start for b in plan.buffers}
        self.assertEqual(starts, {"y": 0, "x": 48, "z": 48})
        self.assertEqual(plan.shared_bytes, 64)
        self.assertGreaterEqual(
            plan.bytes, plan.shared_bytes + plan.persistent_bytes
        )
        self.assertEqual(plan.bytes % 16, 0)

    def test_variables_persist(self):
        x, y = tensor(16, "x"), tensor(16, "y")
        state = tensor(1000, "state", variable=True)
        sizes = []
        for inputs in ([x, x], [x, state]):
            graphs = [graph([op("ADD", inputs, [y])], [x], [y])]
            plan = arena_plan.plan(graphs, "reference", "plain")
            sizes.append((plan.shared_bytes, plan.persistent_bytes))
        (shared, least), (shared_too, persistent) = sizes
        self.assertEqual(shared, shared_too)
        self.assertBetween(persistent - least, 1000, 1000 + 64)

    def test_what_sets_the_peak(self):
        """Of small maps, the tensors that an op prepares with."""
        for size, limit in ((10_000, "activations"), (4, "SELECT_V2")):
            x, y = tensor(size, "x"), tensor(size, "y")
            graphs = [graph([op("SELECT_V2", [x] * 9, [y])], [x], [y])]
            plan = arena_plan.plan(graphs, "reference", "plain")
            self.assertEqual(plan.limit, limit)


if __name__ == "__main__":
    absltest.main()
