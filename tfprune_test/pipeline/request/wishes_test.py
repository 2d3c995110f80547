import dataclasses
import types
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.core import boards
from tfprune.deploy import latency
from tfprune.pipeline.request import wishes
from tfprune.selection import budget as budget_lib
from tfprune_test import graphs

Budget = budget_lib.Budget


class WishTest(parameterized.TestCase):
    @parameterized.parameters(
        ({}, "Received: none"),
        ({"macs": 0.5, "max_loss": 0.1}, "Received: macs, max_loss"),
        ({"board": "nano-33-ble", "macs": 1}, "Received: board, macs"),
        ({"max_loss": -0.1}, "max_loss=-0.1"),
        ({"max_loss": float("nan")}, "max_loss=nan"),
        ({"board": "nano-33-bel"}, "Similar: nano-33-ble"),
        ({"macs": 1.5}, "Received: macs=1.5"),
    )
    def test_one_thing_is_asked_for(self, given, message):
        with self.assertRaisesRegex(ValueError, message):
            wishes.Wish(**given)

    def test_a_budget_of_another_kind(self):
        with self.assertRaisesRegex(TypeError, "Received: budget=0.5"):
            wishes.Wish(budget=0.5)

    @parameterized.parameters(
        ({"budget": Budget(macs=0.5)}, False, None),
        ({"budget": Budget(ram_bytes=9, macs=0.5)}, True, None),
        ({"budget": Budget(flash_bytes=9)}, True, None),
        ({"budget": Budget(board="nano-33-ble")}, True, "nano-33-ble"),
        ({"board": "nano-33-ble"}, True, "nano-33-ble"),
        ({"board": boards.get("nano-33-ble")}, True, "nano-33-ble"),
        ({"max_loss": 0}, False, None),
        ({"macs": 0.5}, False, None),
        ({"latency": 0.5}, False, None),
    )
    def test_what_it_is_about(self, given, is_micro, board):
        wish = wishes.Wish(**given)
        self.assertEqual(wish.is_micro, is_micro)
        self.assertEqual(wish.board_name, board)
        title = {"board": "Arduino Nano 33 BLE Sense"}
        self.assertEqual(wish.place(), title if board else {})
        self.assertEqual(wish.needs_table, "latency" in given)
        self.assertEqual(list(wish.given()), list(given))

    def test_a_board_of_ones_own(self):
        board = dataclasses.replace(boards.get("nano-33-ble"), name="mine")
        for given in ({"board": board}, {"budget": Budget(board=board)}):
            wish = wishes.Wish(**given)
            self.assertEqual(wish.place(), {"board": board.title})
            self.assertEqual(wish.core, "cortex-m4")
            self.assertEqual(wish.dense_scales, "tensor")

    @parameterized.parameters(
        ("nano-33-ble", "tensor"), ("nucleo-f446re", None), (None, None)
    )
    def test_scales_that_the_boards_own_library_knows(self, board, scales):
        macs = None if board else 0.5
        wish = wishes.Wish(board=board, macs=macs)
        self.assertEqual(wish.dense_scales, scales)

    def test_a_budget_is_told_by_the_limits_that_are_set(self):
        wish = wishes.Wish(budget=Budget(macs=0.25, ram_bytes=9))
        told = {"budget": "Budget(macs=0.25, ram_bytes=9)"}
        self.assertEqual(wish.given(), told)
        table = Budget(latency=0.5, latency_table=object())
        told = {"budget": "Budget(latency=0.5)"}
        self.assertEqual(wishes.Wish(budget=table).given(), told)

    @parameterized.parameters(
        ({"budget": Budget(params=9)}, Budget(params=9)),
        ({"board": "nano-33-ble"}, Budget(board="nano-33-ble")),
        ({"macs": 9}, Budget(macs=9)),
        ({"max_loss": 0.0}, None),
    )
    def test_the_budget_that_it_is(self, given, expected):
        wish = wishes.Wish(**given)
        self.assertEqual(wish.resolved(None, None, None), expected)

    def test_a_latency_table_is_measured_once(self):
        facts = {"of": "a table"}
        space = types.SimpleNamespace(get=lambda step: facts)
        with mock.patch.object(wishes.latency_lib, "LatencyTable", dict):
            found = wishes.Wish(latency=0.5).resolved(None, space, None)
        self.assertEqual(found.latency_table, facts)
        self.assertEqual(found.limits(), {"latency": 0.5})


class CostsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        # 2*4 + 4*6 + 6*2 MACs.
        self.graph = graphs.chain(2, 4, 6, 2)
        self.recipe = types.SimpleNamespace(criterion="l1")

    def costs(self, budget):
        return wishes.costs(budget, self.graph, self.recipe, None, {})

    def test_of_a_budget(self):
        found = self.costs(Budget(macs=0.5, channels=7))
        self.assertEqual(found.ceilings, {"macs": 22, "channels": 7})
        self.assertEqual(found.dense, {"macs": 44.0, "channels": 10.0})
        self.assertIsNone(found.table)

    def test_a_latency_is_not_cut_to_whole_microseconds(self):
        table = latency.LatencyTable("int8", 1.7, {})
        found = self.costs(Budget(latency=0.5, latency_table=table))
        self.assertEqual(found.ceilings, {"latency": 0.85})
        self.assertEqual(found.dense, {"latency": 1.7})

    def test_of_a_loss(self):
        found = self.costs(None)
        self.assertEqual(found.ceilings, {})
        self.assertEqual(found.dense, {"macs": 44, "params": 44})

    def test_one_out_of_reach(self):
        with self.assertRaisesRegex(ValueError, "within reach"):
            self.costs(Budget(macs=4))


if __name__ == "__main__":
    absltest.main()
