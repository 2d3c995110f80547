from absl.testing import parameterized

from tfprune.core import boards
from tfprune.core import cores


class CoresTest(parameterized.TestCase):
    @parameterized.parameters(*(board.name for board in boards.BOARDS))
    def test_the_core_of_every_board_is_known(self, name):
        core = cores.get(boards.get(name).core)
        self.assertNotEmpty(cores.variants("auto", core))

    @parameterized.parameters(
        ("Cortex-M4F", "cortex-m4"),
        ("Cortex-M55 and Ethos-U55-256", "cortex-m55"),
        ("RISC-V RV32IMC", "esp32-c3"),
    )
    def test_names_of_makers(self, name, core):
        self.assertEqual(cores.get(name), core)
