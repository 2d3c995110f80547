"""A Zephyr module, with a sample that runs the self-test.

https://docs.zephyrproject.org/latest/develop/modules.html
"""

import string

from tfprune.export.micro import firmware
from tfprune.export.micro.projects import layout

_MODULE = string.Template("""\
# Written by tfprune.
name: "$name"
build:
  cmake: zephyr
  kconfig: zephyr/Kconfig
  depends:
    - tflite-micro
samples:
  - samples
""")
_KCONFIG = string.Template("""\
# Written by tfprune.
config ${upper}_MODEL
    bool "The model $name"
    depends on CPP
    select TENSORFLOW_LITE_MICRO
    help
      The model as C functions; see model_api.h. It runs on CMSIS-NN's kernels
      if TENSORFLOW_LITE_MICRO_CMSIS_NN_KERNELS is set.
""")
# TF_LITE_STATIC_MEMORY changes the layout of tensors, so all code must set it.
_CMAKE = string.Template("""\
# Written by tfprune.
if(CONFIG_${upper}_MODEL)
  zephyr_compile_definitions(TF_LITE_STATIC_MEMORY)
  zephyr_include_directories($${CMAKE_CURRENT_SOURCE_DIR}/..)
  zephyr_library_named(${name}_model)
  zephyr_library_sources(
$sources  )
endif()
""")
_SAMPLE_CMAKE = string.Template("""\
# Written by tfprune as a starting point; later exports do not change it.
#   west config manifest.project-filter -- +tflite-micro
#   west update
#   west build -b qemu_cortex_m3 samples/self_test -t run
cmake_minimum_required(VERSION 3.20.0)
list(APPEND ZEPHYR_EXTRA_MODULES $${CMAKE_CURRENT_SOURCE_DIR}/../..)
find_package(Zephyr REQUIRED HINTS $$ENV{ZEPHYR_BASE})
project(${name}_self_test)
target_sources(app PRIVATE src/main.cc)
""")
_CONFIGURATION = string.Template("""\
CONFIG_CPP=y
CONFIG_STD_CPP17=y
CONFIG_REQUIRES_FULL_LIBCPP=y
CONFIG_STDOUT_CONSOLE=y
CONFIG_MAIN_STACK_SIZE=8192
CONFIG_${upper}_MODEL=y
""")
_SAMPLE = string.Template("""\
sample:
  name: Self-test of $name
common:
  tags: tflite-micro
  modules:
    - tflite-micro
  harness: console
  harness_config:
    type: one_line
    regex:
      - "PASS"
tests:
  sample.$name.self_test:
    integration_platforms:
      - qemu_cortex_m3
""")
_FOLDER = "samples/self_test"


def _names(sources):
    return {"name": sources.name, "upper": sources.name.upper()}


def _files(sources):
    names = _names(sources)
    listed = "".join(
        f"    ${{CMAKE_CURRENT_SOURCE_DIR}}/../{path}\n"
        for path in sources.compiled
    )
    return {
        "zephyr/module.yml": _MODULE.substitute(names),
        "zephyr/Kconfig": _KCONFIG.substitute(names),
        "zephyr/CMakeLists.txt": _CMAKE.substitute(names, sources=listed),
    }


def _starts(sources):
    names = _names(sources)
    return {
        f"{_FOLDER}/CMakeLists.txt": _SAMPLE_CMAKE.substitute(names),
        f"{_FOLDER}/prj.conf": _CONFIGURATION.substitute(names),
        f"{_FOLDER}/sample.yaml": _SAMPLE.substitute(names),
        f"{_FOLDER}/src/main.cc": firmware.main(sources.file, sources.name),
    }


ZEPHYR = layout.Layout(
    starts=_starts,
    files=_files,
    mark=lambda name: "zephyr/module.yml",
    sign=b"Written by tfprune",
)
