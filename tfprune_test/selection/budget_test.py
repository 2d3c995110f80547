import dataclasses
import math
from unittest import mock

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.core import boards
from tfprune.costs import counting
from tfprune.selection import budget as budget_lib
from tfprune_test import graphs


class BudgetTest(parameterized.TestCase):
    def test_its_limits(self):
        of_numpy = budget_lib.Budget(macs=np.float32(0.5), params=np.int64(100))
        budget = budget_lib.Budget(macs=0.5, params=100)
        self.assertEqual(of_numpy, budget)
        self.assertEqual(budget.limits(), {"macs": 0.5, "params": 100})
        self.assertEqual(
            budget.ceilings(counting.Meter(graphs.chain(2, 4, 6, 2))),
            {"macs": 22.0, "params": 100},
        )

    def test_it_shows_what_is_given(self):
        budget = budget_lib.Budget(macs=0.5, latency=1.0, target="cortex-m4")
        text = "Budget(macs=0.5, latency=1.0, target='cortex-m4')"
        self.assertEqual(repr(budget), text)

    def test_a_limit_is_required(self):
        with self.assertRaisesRegex(
            ValueError, "at least one limit: macs, params, channels"
        ):
            budget_lib.Budget()

    def test_a_board_stands_for_flash_and_ram(self):
        budget = budget_lib.Budget(board="nano-33-ble")
        self.assertEqual(
            budget.limits(), {"flash_bytes": 524_288, "ram_bytes": 131_072}
        )
        budget = budget_lib.Budget(
            board="nano-33-ble", ram_bytes=40_000, macs=0.5
        )
        self.assertEqual(
            budget.limits(),
            {"macs": 0.5, "flash_bytes": 524_288, "ram_bytes": 40_000},
        )

    def test_a_board_that_nobody_knows(self):
        with self.assertRaisesRegex(ValueError, "Similar: nano-33-ble"):
            budget_lib.Budget(board="nano-33-bel")

    @parameterized.parameters(0.0, -0.1, 1.5, 0, -3, True, "0.5", float("nan"))
    def test_a_limit_out_of_range(self, value):
        with self.assertRaisesRegex(ValueError, "Received: macs="):
            budget_lib.Budget(macs=value)

    def test_the_ends_of_the_range(self):
        budget = budget_lib.Budget(macs=1.0, params=1, depth=0.25)
        self.assertEqual(budget.limits(), {"macs": 1.0, "params": 1})
        self.assertEqual(budget.depth, 0.25)

    def test_depth_alone_is_a_budget_and_is_checked_as_one(self):
        self.assertEqual(budget_lib.Budget(depth=3).limits(), {})
        with self.assertRaisesRegex(ValueError, "Received: depth=1.5"):
            budget_lib.Budget(depth=1.5)

    def test_a_latency_needs_its_table(self):
        with self.assertRaisesRegex(
            ValueError, "latency=0.5, latency_table=None. Give latency_table="
        ):
            budget_lib.Budget(latency=0.5)
        with self.assertRaisesRegex(ValueError, "at least one limit"):
            budget_lib.Budget(latency_table=object())

    def test_one_is_a_channel_and_one_point_nought_is_all_of_them(self):
        # Weights 2*4 + 4*6 + 6*2; channels that may go, 4 + 6.
        meter = counting.Meter(graphs.chain(2, 4, 6, 2))
        all_of_them = budget_lib.Budget(params=1.0, channels=1.0)
        one = budget_lib.Budget(params=1, channels=1)
        self.assertEqual(
            all_of_them.ceilings(meter), {"params": 44.0, "channels": 10.0}
        )
        self.assertEqual(one.ceilings(meter), {"params": 1, "channels": 1})

    @parameterized.parameters(
        (0.29, 100, 29), (0.57, 100, 57), (0.55, 20, 11), (0.5, 11, 5)
    )
    def test_a_share_that_is_a_whole_number_is_that_number(
        self, share, count, left
    ):
        # 0.29 * 100 is 28.999..., and 29 channels are 29 % of them.
        meter = counting.Meter(graphs.chain(2, count, 2))
        budget = budget_lib.Budget(channels=share)
        ceiling = budget.ceilings(meter)["channels"]
        self.assertEqual(int(ceiling), left)
        self.assertEqual(budget_lib.limit("channels", ceiling, meter), left)
        part = count - 1.0 * (count - share * count)
        self.assertEqual(budget_lib.limit("channels", part, meter), left)

    def test_all_of_the_time_is_no_less_than_it(self):
        meter = mock.Mock(latency=lambda: math.nextafter(30, 31))
        self.assertGreater(meter.latency(), 30)
        budget = budget_lib.Budget(latency=1.0, target="cortex-m4")
        ceiling = budget.ceilings(meter)["latency"]
        self.assertEqual(ceiling, meter.latency())
        self.assertEqual(budget_lib.limit("latency", ceiling, meter), 1.0)

    def test_a_board_of_ones_own(self):
        board = dataclasses.replace(boards.get("nano-33-ble"), name="mine")
        budget = budget_lib.Budget(board=board)
        self.assertEqual(budget.board, board)
        self.assertEqual(budget.limits()["ram_bytes"], board.ram_bytes)
        again = dataclasses.replace(budget, ram_bytes=1_000)
        self.assertEqual(again.board, board)
        self.assertEqual(again.limits()["ram_bytes"], 1_000)
        part = boards.get("nano-33-ble").sharing(ram_share=0.125)
        self.assertEqual(budget_lib.Budget(board=part).board, "nano-33-ble")


if __name__ == "__main__":
    absltest.main()
