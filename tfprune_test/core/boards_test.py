"""Tests for boards as data."""

import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized

from tfprune.core import boards


class BoardsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("nano-33-ble", "nRF52840", 1024, 256),
        ("pico", "RP2040", 2048, 264),
        ("pico-2", "RP2350", 4096, 520),
        ("portenta-h7", "STM32H747XI", 2048, 1024),
        ("stm32f4-discovery", "STM32F407VG", 1024, 192),
        ("nrf5340-dk", "nRF5340", 1024, 512),
    )
    def test_memory_is_that_of_the_chip(self, name, chip, flash, ram):
        board = boards.get(name)
        self.assertEqual(board.chip, chip)
        self.assertEqual((board.flash_kib, board.ram_kib), (flash, ram))

    def test_a_model_may_take_a_share(self):
        board = boards.get("nano-33-ble")
        self.assertEqual(board.flash_bytes, 1024 * 1024 // 2)
        self.assertEqual(board.ram_bytes, 256 * 1024 // 2)
        shared = board.sharing(ram_share=0.25)
        self.assertEqual(shared.ram_bytes, 65_536)
        self.assertEqual(shared.flash_bytes, board.flash_bytes)

    def test_an_arena_has_to_lie_in_one_bank(self):
        self.assertLessEqual(boards.get("alif-e7").ram_bytes, 4096 * 1024)

    @parameterized.parameters(0.0, 1.5, -1)
    def test_a_share_lies_between_none_and_all(self, share):
        with self.assertRaisesRegex(ValueError, f"ram_share={share}"):
            boards.get("pico").sharing(ram_share=share)

    def test_every_entry_is_complete_and_has_a_source(self):
        self.assertGreaterEqual(len(boards.BOARDS), 20)
        self.assertLen(set(boards.names()), len(boards.BOARDS))
        for board in boards.BOARDS:
            self.assertGreater(len(board.source), 10, board.name)
            self.assertBetween(board.mhz, 48, 1000, board.name)
            self.assertGreater(board.flash_kib, board.ram_kib // 4)
            self.assertIn(board.channel_multiple, (1, 4, 8, 16))

    @parameterized.parameters("Nano 33 BLE", "nano_33_ble", "NANO-33-BLE")
    def test_writing_it_another_way_finds_it(self, name):
        self.assertEqual(boards.get(name).name, "nano-33-ble")

    @parameterized.parameters(
        ("nano-33-bel", "nano-33-ble"),
        ("nucleo", "nucleo-f446re, nucleo-f767zi"),
        ("esp32-s2", "esp32-s3"),
    )
    def test_a_typing_error_lists_the_near_ones(self, name, near):
        with self.assertRaisesRegex(ValueError, f"{name}.*Similar: .*{near}"):
            boards.get(name)

    def test_a_name_near_none_lists_all(self):
        with self.assertRaisesRegex(ValueError, "Known: nano-33-ble, .*pico"):
            boards.get("zzzz")

    def test_the_table_has_a_row_for_each(self):
        table = boards.table()
        self.assertLen(table.rows, len(boards.BOARDS))
        row = table.rows[0]
        self.assertEqual(
            row[4:], ("64", "1,024", "50%", "256", "50%"), table.header
        )

    def test_the_module_needs_neither_keras_nor_numpy(self):
        script = (
            "import importlib.util, sys\n"
            f"path = {boards.__file__!r}\n"
            "spec = importlib.util.spec_from_file_location('b', path)\n"
            "sys.modules['tfprune'] = type(sys)('tfprune')\n"
            "sys.modules['tfprune.core'] = type(sys)('tfprune.core')\n"
            "tables = type(sys)('tfprune.core.tables')\n"
            "sys.modules['tfprune.core'].tables = tables\n"
            "sys.modules['tfprune.core.tables'] = tables\n"
            "module = importlib.util.module_from_spec(spec)\n"
            "sys.modules['b'] = module\n"
            "spec.loader.exec_module(module)\n"
            "assert module.get('pico').mhz == 133\n"
            "assert not {'keras', 'numpy'} & set(sys.modules)\n"
        )
        subprocess.run([sys.executable, "-c", script], check=True)


if __name__ == "__main__":
    absltest.main()
