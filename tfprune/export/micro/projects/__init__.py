"""Project files of build tools, one module per tool.

In: the sources of a model. Out: the files that a tool opens.
May import: what `micro` may.
"""

from tfprune.export.micro.projects.arduino import ARDUINO
from tfprune.export.micro.projects.cmake import CMAKE
from tfprune.export.micro.projects.esp_idf import ESP_IDF
from tfprune.export.micro.projects.layout import Layout
from tfprune.export.micro.projects.layout import Sources
from tfprune.export.micro.projects.platformio import PLATFORMIO
from tfprune.export.micro.projects.stm32cube import STM32CUBE
from tfprune.export.micro.projects.zephyr import ZEPHYR

PROJECTS = {
    "cmake": CMAKE,
    "arduino": ARDUINO,
    "platformio": PLATFORMIO,
    "zephyr": ZEPHYR,
    "esp-idf": ESP_IDF,
    "stm32cube": STM32CUBE,
}

__all__ = [
    "Layout",
    "PROJECTS",
    "Sources",
]
