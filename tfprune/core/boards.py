"""Microcontroller boards: their memory, and how much a model may use.

Nothing here imports a backend. Memory is that of the chip as its maker
publishes it, in KiB; the program, its stacks and a radio need some of it, so a
model may only use a part.
"""

import dataclasses
import difflib
import re

from tfprune.core import tables

_KIB = 1024


@dataclasses.dataclass(frozen=True)
class Board:
    """One microcontroller board.

    Attributes:
        name: `str`, the name that selects it.
        title: `str`, the maker's name.
        chip: `str`.
        core: `str`, the processor that runs the model.
        mhz: `int`, its highest clock.
        flash_kib, ram_kib: `int`, on the chip; flash on the board if the chip
            has none.
        channel_multiple: `int`, channels that its kernels compute at a time.
        source: `str`, the maker's document with these numbers.
        flash_share, ram_share: `float`, the default fraction of each memory
            that a model may use.
    """

    name: str
    title: str
    chip: str
    core: str
    mhz: int
    flash_kib: int
    ram_kib: int
    channel_multiple: int
    source: str
    flash_share: float = 0.5
    ram_share: float = 0.5

    @property
    def is_arduino(self):
        """`bool`, whether Arduino makes it, whose library has old kernels."""
        return self.title.startswith("Arduino ")

    @property
    def flash_bytes(self):
        """`int`, flash that a model may use."""
        return int(_KIB * self.flash_kib * self.flash_share)

    @property
    def ram_bytes(self):
        """`int`, RAM that a model's arena may use."""
        return int(_KIB * self.ram_kib * self.ram_share)

    def sharing(self, flash_share=None, ram_share=None):
        """Returns this board with other fractions available to a model.

        Args:
            flash_share, ram_share: `float` in (0, 1]; `None` keeps the value.

        Returns:
            A `Board`.

        Raises:
            ValueError: If a share is out of range.
        """
        given = {"flash_share": flash_share, "ram_share": ram_share}
        given = {k: v for k, v in given.items() if v is not None}
        for name, share in given.items():
            if not 0 < share <= 1:
                raise ValueError(
                    "A model must use a fraction in (0, 1] of board memory. "
                    f"Received: {name}={share!r}."
                )
        return dataclasses.replace(self, **given)


def names():
    """Returns the names of all boards, `str`s, in the order of the list."""
    return [board.name for board in BOARDS]


def get(name):
    """Returns the board with a name.

    Args:
        name: `str`, as in `names()`, or a `Board`, which is returned.

    Returns:
        A `Board`.

    Raises:
        ValueError: If the name is unknown; the message lists similar names.

    Example:

    >>> get("nano-33-ble").ram_bytes
    131072
    """
    if isinstance(name, Board):
        return name
    asked = _plain(name)
    known = {_plain(board.name): board for board in BOARDS}
    if asked in known:
        return known[asked]
    within = [n for n in known if asked and asked in n]
    near = within or difflib.get_close_matches(asked, known, 3, 0.5)
    listed = ", ".join(known[n].name for n in near[:5])
    hint = f"Similar: {listed}." if near else f"Known: {', '.join(names())}."
    raise ValueError(
        f"A known board is required. Received: board={name!r}. {hint} "
        "`tfprune boards` lists all; for others give flash_bytes and "
        "ram_bytes."
    )


def _plain(name):
    """A name without the parts that people spell differently."""
    return "-".join(re.split(r"[\s_-]+", str(name).strip().lower()))


def table(boards=None):
    """Returns a `tables.Table` of boards, all of them by default."""
    header = ("board", "chip", "core", "channels at a time", "MHz")
    header += ("flash, KiB", "for a model", "RAM, KiB", "for an arena")
    rows = tuple(
        (
            b.name,
            b.chip,
            b.core,
            str(b.channel_multiple),
            str(b.mhz),
            tables.number(b.flash_kib),
            f"{b.flash_share:.0%}",
            tables.number(b.ram_kib),
            f"{b.ram_share:.0%}",
        )
        for b in (BOARDS if boards is None else boards)
    )
    return tables.Table(header, rows, left=3)


# CMSIS-NN multiplies four int8 values at a time on cores with DSP
# instructions; Ethos-U stores bricks of 16 channels; ESP-NN has kernels for
# multiples of 8 on the ESP32-S3. The plain kernels take any number.
#
# Memory and clocks were compared with pages of the makers, of Zephyr and of
# RIOT: Nano 33 BLE, Nicla Vision, Pico, Pico 2, ESP32-S3, ESP32-C3,
# STM32F4DISCOVERY, STM32F746G-DISCO, NUCLEO-F446RE, -F767ZI, -L476RG, -L4R5ZI
# and -U575ZI-Q, B-U585I-IOT02A, nRF52840, nRF5340 (its clock), SparkFun Edge,
# Teensy 4.1, Wio Terminal, Ensemble E7 (its RAM). The others are as remembered
# from the documents that they name.
_M0, _M4, _M7 = "Cortex-M0+", "Cortex-M4F", "Cortex-M7"
_M33 = "Cortex-M33"

# fmt: off
BOARDS = (
    Board(
        "nano-33-ble", "Arduino Nano 33 BLE Sense", "nRF52840", _M4, 64,
        1024, 256, 4, "Arduino ABX00031 datasheet; Nordic nRF52840 PS",
    ),
    Board(
        "portenta-h7", "Arduino Portenta H7", "STM32H747XI", _M7, 480,
        2048, 1024, 4, "Arduino ABX00042 datasheet; ST DS12930",
    ),
    Board(
        "nicla-vision", "Arduino Nicla Vision", "STM32H747AII6", _M7, 480,
        2048, 1024, 4, "Arduino ABX00051 datasheet; ST DS12930",
    ),
    Board(
        "nano-rp2040", "Arduino Nano RP2040 Connect", "RP2040", _M0, 133,
        16384, 264, 1, "Arduino ABX00053 datasheet; RP2040 datasheet",
    ),
    Board(
        "pico", "Raspberry Pi Pico", "RP2040", _M0, 133,
        2048, 264, 1, "Raspberry Pi Pico datasheet; RP2040 datasheet",
    ),
    Board(
        "pico-2", "Raspberry Pi Pico 2", "RP2350", _M33, 150,
        4096, 520, 4, "Raspberry Pi Pico 2 datasheet; RP2350 datasheet",
    ),
    Board(
        "esp32", "ESP32-DevKitC, WROOM-32E", "ESP32", "Xtensa LX6", 240,
        4096, 520, 1, "Espressif ESP32 and ESP32-WROOM-32E datasheets",
        ram_share=0.25,
    ),
    Board(
        "esp32-s3", "ESP32-S3-DevKitC-1, N8", "ESP32-S3", "Xtensa LX7", 240,
        8192, 512, 8, "Espressif ESP32-S3 and ESP32-S3-WROOM-1 datasheets",
        ram_share=0.25,
    ),
    Board(
        "esp32-c3", "ESP32-C3-DevKitM-1", "ESP32-C3", "RISC-V RV32IMC", 160,
        4096, 400, 1, "Espressif ESP32-C3 and ESP32-C3-MINI-1 datasheets",
        ram_share=0.25,
    ),
    Board(
        "stm32f4-discovery", "STM32F4DISCOVERY", "STM32F407VG", _M4, 168,
        1024, 192, 4, "ST DS8626 (STM32F405xx, STM32F407xx)",
    ),
    Board(
        "stm32f746g-disco", "STM32F746G-DISCO", "STM32F746NG", _M7, 216,
        1024, 320, 4, "ST DS10916 (STM32F745xx, STM32F746xx)",
    ),
    Board(
        "nucleo-f446re", "NUCLEO-F446RE", "STM32F446RE", _M4, 180,
        512, 128, 4, "ST DS10693 (STM32F446xC/E)",
    ),
    Board(
        "nucleo-f767zi", "NUCLEO-F767ZI", "STM32F767ZI", _M7, 216,
        2048, 512, 4, "ST DS11532 (STM32F765xx, STM32F767xx)",
    ),
    Board(
        "nucleo-h743zi", "NUCLEO-H743ZI2", "STM32H743ZI", _M7, 480,
        2048, 1024, 4, "ST DS12110 (STM32H742xI/G, STM32H743xI/G)",
    ),
    Board(
        "nucleo-l476rg", "NUCLEO-L476RG", "STM32L476RG", _M4, 80,
        1024, 128, 4, "ST DS10198 (STM32L476xx)",
    ),
    Board(
        "nucleo-l4r5zi", "NUCLEO-L4R5ZI", "STM32L4R5ZI", _M4, 120,
        2048, 640, 4, "ST DS12023 (STM32L4R5xx)",
    ),
    Board(
        "b-l475e-iot01a", "B-L475E-IOT01A", "STM32L475VG", _M4, 80,
        1024, 128, 4, "ST DS10969 (STM32L475xx)",
    ),
    Board(
        "nucleo-u575zi-q", "NUCLEO-U575ZI-Q", "STM32U575ZI", _M33, 160,
        2048, 786, 4, "ST DS13737 (STM32U575xx)",
    ),
    Board(
        "b-u585i-iot02a", "B-U585I-IOT02A", "STM32U585AI", _M33, 160,
        2048, 786, 4, "ST DS13086 (STM32U585xx)",
    ),
    Board(
        "nrf52840-dk", "nRF52840 DK", "nRF52840", _M4, 64,
        1024, 256, 4, "Nordic nRF52840 product specification",
    ),
    Board(
        "nrf5340-dk", "nRF5340 DK, application core", "nRF5340", _M33, 128,
        1024, 512, 4, "Nordic nRF5340 product specification",
    ),
    Board(
        "sparkfun-edge", "SparkFun Edge", "Apollo3 Blue", _M4, 96,
        1024, 384, 4, "Ambiq Apollo3 Blue datasheet; 96 MHz in bursts",
    ),
    Board(
        "teensy-4.1", "PJRC Teensy 4.1", "i.MX RT1062", _M7, 600,
        7936, 1024, 4, "PJRC Teensy 4.1 technical page; NXP IMXRT1060CEC",
    ),
    Board(
        "wio-terminal", "Seeed Wio Terminal", "ATSAMD51P19", _M4, 120,
        512, 192, 4, "Microchip DS60001507 (SAM D5x/E5x)",
    ),
    Board(
        "alif-e7", "Alif Ensemble E7 DevKit", "AE722F80F55D5",
        "Cortex-M55 and Ethos-U55-256", 400,
        5632, 13824, 16, "Alif Ensemble E7 datasheet; AWPR0003, RAM regions",
        ram_share=0.25,  # of ten banks, the largest one has 4 MiB
    ),
    Board(
        "grove-vision-ai-2", "Seeed Grove Vision AI V2", "HX6538",
        "Cortex-M55 and Ethos-U55-64", 400,
        16384, 2432, 16, "Himax WiseEye2 HX6538 product brief; Seeed wiki",
    ),
)
# fmt: on
