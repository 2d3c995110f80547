import pytest
from absl.testing import absltest

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from tfprune.costs import memory
from tfprune.export.micro.arena import arena_need
from tfprune.export.micro.arena import arena_plan
from tfprune.export.micro.arena import flat_ops
from tfprune.export.micro.arena import offline_plan
from tfprune_test.export import hand_made


def chain(*sizes):
    """A file of ops one after the other on maps of these sizes."""
    sketch = hand_made.Sketch()
    steps = ([0.5], [0])
    made = [
        sketch.tensor(f"t{i}", (1, size), "int8", steps)
        for i, size in enumerate(sizes)
    ]
    for x, y in zip(made, made[1:], strict=False):
        sketch.op("NEG", [x], [y])
    return sketch.data(made[:1], made[-1:])


def buffers(rows):
    """Buffers from rows of bytes, first and last step."""
    return [
        arena_plan.Buffer(f"b{i}", False, size, first, last, 0, i)
        for i, (size, first, last) in enumerate(rows)
    ]


def tops(rows):
    """What each order that is tried takes."""
    found = []
    sizes, lives = [r[0] for r in rows], [r[1:] for r in rows]
    bound = offline_plan._bound(sizes, lives)
    for order in offline_plan._orders(buffers(rows), bound):
        starts = memory.offsets(sizes, lives, order)
        found.append(max(s + n for s, n in zip(starts, sizes, strict=True)))
    return found, bound


class OfflinePlanTest(absltest.TestCase):
    def test_a_file_that_cannot_be_bettered_stays(self):
        data = chain(640, 320, 640)
        self.assertIs(offline_plan.planned(data), data)

    def test_a_plan_is_never_worse_and_kept_once_it_is_there(self):
        data = chain(320, 512, 384, 640, 256, 512)
        before = arena_need.of(data, "reference").bytes
        found = offline_plan.planned(data, "reference")
        self.assertLessEqual(arena_need.of(found, "reference").bytes, before)
        self.assertEqual(offline_plan.planned(found, "reference"), found)

    def test_offsets_are_those_of_the_metadata(self):
        data = offline_plan._with_plan(chain(16, 16), 2, {0: 32, 1: 0})
        (graph,) = flat_ops.read(data)
        self.assertEqual([t.planned for t in graph.tensors], [32, 0])
        plan = arena_plan.plan([graph], "reference", "plain")
        self.assertEqual([b.start for b in plan.buffers], [32, 0])

    def test_the_bound_is_the_most_that_is_alive(self):
        lives = [(0, 1), (1, 2), (2, 3)]
        self.assertEqual(offline_plan._bound([16, 32, 64], lives), 96)

    def test_orders_get_better_and_no_better_than_the_bound(self):
        rows = [
            (320, 0, 1),
            (512, 1, 4),
            (384, 2, 3),
            (640, 3, 5),
            (256, 4, 6),
            (512, 5, 7),
            (128, 0, 7),
        ]
        found, bound = tops(rows)
        self.assertEqual(found, sorted(set(found), reverse=True))
        self.assertGreaterEqual(found[-1], bound)

    def test_one_buffer_has_one_order(self):
        self.assertEqual(tops([(16, 0, 1)]), ([16], 16))


if __name__ == "__main__":
    absltest.main()
