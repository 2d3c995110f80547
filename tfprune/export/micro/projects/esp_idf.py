"""ESP-IDF: the model as a component, and a project that runs the self-test.

https://docs.espressif.com/projects/idf-component-manager/
"""

import string

from tfprune.export.micro import firmware
from tfprune.export.micro.projects import layout

_PROJECT = string.Template("""\
# Written by tfprune as a starting point; later exports do not change it.
#   idf.py set-target esp32s3
#   idf.py flash monitor
cmake_minimum_required(VERSION 3.16)
include($$ENV{IDF_PATH}/tools/cmake/project.cmake)
project(${name}_self_test)
""")
_MAIN = string.Template("""\
idf_component_register(SRCS "main.cc" REQUIRES ${name}_model)
""")
_COMPONENT = string.Template("""\
# Written by tfprune.
idf_component_register(
  SRCS
$sources  INCLUDE_DIRS "../../.."
  REQUIRES esp-tflite-micro)
""")
# 1.4.0 is the first version whose dense kernel supports per-channel scales.
_MANIFEST = string.Template("""\
# Written by tfprune.
version: "1.0.0"
description: The model $name for TensorFlow Lite Micro
dependencies:
  idf:
    version: ">=5.1"
  espressif/esp-tflite-micro:
    version: "^1.4.0"
""")
# The self-test and TFLite Micro need more stack than the default 3,584 bytes.
_DEFAULTS = """\
CONFIG_ESP_MAIN_TASK_STACK_SIZE=8192
CONFIG_COMPILER_OPTIMIZATION_PERF=y
"""


def _files(sources):
    listed = "".join(f'    "../../../{path}"\n' for path in sources.compiled)
    # Of the bare names, several are components of ESP-IDF: log, json, main.
    component = f"esp-idf/components/{sources.name}_model"
    return {
        f"{component}/CMakeLists.txt": _COMPONENT.substitute(sources=listed),
        f"{component}/idf_component.yml": _MANIFEST.substitute(
            name=sources.name
        ),
    }


def _starts(sources):
    name = sources.name
    return {
        "esp-idf/CMakeLists.txt": _PROJECT.substitute(name=name),
        "esp-idf/sdkconfig.defaults": _DEFAULTS,
        "esp-idf/main/CMakeLists.txt": _MAIN.substitute(name=name),
        "esp-idf/main/main.cc": firmware.app_main(sources.file, name),
    }


ESP_IDF = layout.Layout(
    starts=_starts, files=_files, mark=lambda name: "esp-idf/CMakeLists.txt"
)
