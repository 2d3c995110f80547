import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.selection import budget as budget_lib
from tfprune.selection import goal

HALF = budget_lib.Budget(macs=0.5)


class GoalTest(parameterized.TestCase):
    @parameterized.parameters(
        (HALF, {}, HALF),
        (None, {"macs": 0.5}, HALF),
        (None, {"macs": 0.5, "depth": 2}, budget_lib.Budget(0.5, depth=2)),
        (0.25, {}, 0.25),
        (0, {}, 0),
        (None, {"ratio": 0.25}, 0.25),
        (None, {"ratio": {"a": 0.5}}, {"a": 0.5}),
        ({"a": 0.5}, {"ratio": None}, {"a": 0.5}),
    )
    def test_of(self, budget, options, expected):
        given = {**options, "skip": "b"}
        found, rest = goal.of(budget, given)
        self.assertEqual(found, expected)
        self.assertEqual(rest, {"skip": "b"})
        self.assertEqual(given, {**options, "skip": "b"})  # is not changed

    def test_a_number_of_numpy_is_a_ratio(self):
        found, _ = goal.of(np.float32(0.25), {})
        self.assertEqual(found, 0.25)

    def test_something_must_say_it(self):
        with self.assertRaisesRegex(
            TypeError, "how much to remove. Received: none"
        ):
            goal.of(None, {"skip": "a"})

    @parameterized.parameters(
        (HALF, {"ratio": 0.5}, "budget=Budget.*, ratio=0.5"),
        (HALF, {"params": 9}, "budget=Budget.*, params=9"),
        (0.5, {"macs": 0.25, "board": "nano"}, "budget=0.5, macs=0.25, board="),
        (0.5, {"ratio": 0.5}, "budget=0.5, ratio=0.5"),
        (None, {"macs": 0.5, "ratio": 0.5}, "budget=Budget.*, ratio=0.5"),
    )
    def test_only_one_thing_may_say_it(self, budget, options, message):
        with self.assertRaisesRegex(
            TypeError, f"Received: {message}.* Give only one of"
        ):
            goal.of(budget, options)

    @parameterized.parameters(
        ("mac", "Received: mac=0.5. Did you mean macs"),
        ("min_chanels", "Did you mean min_channels"),
        ("zzz", "one of macs, .*Received: zzz=0.5. Leave it out"),
    )
    def test_an_unknown_keyword_is_named(self, name, message):
        for budget in (None, HALF, 0.5):
            with self.assertRaisesRegex(TypeError, message):
                goal.of(budget, {name: 0.5})

    @parameterized.parameters(True, "half", ((0.5,),), 0.5j)
    def test_a_budget_of_another_kind(self, budget):
        with self.assertRaisesRegex(TypeError, "tfprune.Budget, a ratio"):
            goal.of(budget, {})

    @parameterized.parameters(1.0, 50, -0.5, float("nan"))
    def test_a_ratio_out_of_range(self, ratio):
        for budget, options in ((ratio, {}), (None, {"ratio": ratio})):
            with self.assertRaisesRegex(ValueError, "Received: ratio="):
                goal.of(budget, options)


class WithLimitsTest(absltest.TestCase):
    def test_a_core_for_the_latency_beside_a_multiple(self):
        limits = {"latency": 0.5, "target": "cortex-m4"}
        found, rest = goal.with_limits(None, {**limits, "channel_multiple": 8})
        self.assertEqual(found, budget_lib.Budget(**limits))
        self.assertEqual(rest, {"channel_multiple": 8})
        # Without a limit on the time it sets the multiple: one too many.
        given = {"macs": 0.5, "target": "cortex-m4", "channel_multiple": 8}
        _, rest = goal.with_limits(None, given)
        self.assertIn("target", rest)

    def test_without_limits_the_budget_stays_what_it_is(self):
        for budget in (None, HALF, "anything"):
            found, rest = goal.with_limits(budget, {"ratio": 0.5})
            self.assertIs(found, budget)
            self.assertEqual(rest, {"ratio": 0.5})

    def test_every_limit_of_a_budget_is_one(self):
        table = object()
        limits = {
            **{"macs": 0.5, "params": 9, "channels": 8, "peak_bytes": 7},
            **{"flash_bytes": 6, "ram_bytes": 5, "latency": 0.4, "depth": 3},
            **{"latency_table": table, "board": "nano-33-ble"},
        }
        found, rest = goal.with_limits(None, {**limits, "min_channels": 2})
        self.assertEqual(found, budget_lib.Budget(**limits))
        self.assertEqual(rest, {"min_channels": 2})


if __name__ == "__main__":
    absltest.main()
