"""STM32Cube: settings for CubeIDE, and a CMake library for CubeMX.

CubeIDE imports the settings with File, Import, C/C++ Project Settings.
"""

import string
from xml.sax import saxutils

from tfprune.export.micro import firmware
from tfprune.export.micro.projects import layout

# The place for the tree of create_tflm_tree.py in a CubeMX project.
_TREE = "Middlewares/tflite-micro"
_FOLDERS = (
    "",
    "/third_party/flatbuffers/include",
    "/third_party/gemmlowp",
    "/third_party/ruy",
    "/third_party/cmsis_nn",
    "/third_party/cmsis_nn/Include",
)
_MACROS = ("TF_LITE_STATIC_MEMORY", "CMSIS_NN")
_LANGUAGES = ("GNU C", "GNU C++")
_SECTION = "org.eclipse.cdt.internal.ui.wizards.settingswizards"

_README = string.Template("""\
# $name in STM32CubeIDE

Written by tfprune; later exports replace this file.

1. In a checkout of TFLite Micro, generate its source tree:
   `python3 tensorflow/lite/micro/tools/project_generation/create_tflm_tree.py
   --makefile_options="TARGET=cortex_m_generic TARGET_ARCH=cortex-m4+fp
   OPTIMIZED_KERNEL_DIR=cmsis_nn" PROJECT/$tree`
2. Copy the folder that holds `model.cc` into the project as `$name`. Of its
   subfolders, copy only `stm32cube`.
3. File, Import, C/C++ Project Settings, `stm32cube/settings.xml`.
4. Add `$name` and `$tree` under Paths and Symbols, Source Location.
5. In `main.c`, declare `extern int ${name}_self_test(void);` and call it once.
   It prints with `printf` and returns 0 if all outputs are right.

In a project that CubeMX generated for CMake, add
`add_subdirectory($name/stm32cube)` and link `${name}_model` instead of steps 3
and 4.
""")
_CMAKE = string.Template("""\
# Written by tfprune as a starting point; later exports do not change it.
set(TFLM_DIR "$${CMAKE_SOURCE_DIR}/$tree" CACHE PATH "Tree of TFLite Micro")
file(GLOB_RECURSE tflm_sources CONFIGURE_DEPENDS
  $${TFLM_DIR}/tensorflow/*.cc $${TFLM_DIR}/signal/*.cc
  $${TFLM_DIR}/third_party/cmsis_nn/Source/*.c)
if(NOT tflm_sources)
  message(FATAL_ERROR
    "TFLM_DIR must be a tree that create_tflm_tree.py made. Received: "
    "'$${TFLM_DIR}', which has no sources.")
endif()
add_library(tflm STATIC $${tflm_sources})
target_include_directories(tflm PUBLIC
$folders)
target_compile_definitions(tflm PUBLIC $macros)

add_library(${name}_model STATIC
$sources  self_test.cc)
target_include_directories(${name}_model PUBLIC
  $${CMAKE_CURRENT_SOURCE_DIR}/..)
target_link_libraries(${name}_model PUBLIC tflm)
""")


def _settings(name):
    """The include paths and macros that CubeIDE imports."""
    paths = [f"/${{ProjName}}/{name}"]
    paths += [f"/${{ProjName}}/{_TREE}{folder}" for folder in _FOLDERS]
    rows = {
        "IncludePaths": [
            f'<includepath workspace_path="true">{saxutils.escape(path)}'
            "</includepath>"
            for path in paths
        ],
        "Macros": [
            f"<macro><name>{macro}</name><value></value></macro>"
            for macro in _MACROS
        ],
    }
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<!-- Written by tfprune. -->\n<cdtprojectproperties>\n"
    )
    for section, lines in rows.items():
        text += f'<section name="{_SECTION}.{section}">\n'
        for language in _LANGUAGES:
            listed = "\n".join(lines)
            text += f'<language name="{language}">\n{listed}\n</language>\n'
        text += "</section>\n"
    return f"{text}</cdtprojectproperties>\n"


def _files(sources):
    name = sources.name
    return {
        "stm32cube/settings.xml": _settings(name),
        "stm32cube/README.md": _README.substitute(name=name, tree=_TREE),
    }


def _starts(sources):
    names = {"name": sources.name, "tree": _TREE, "macros": " ".join(_MACROS)}
    listed = "".join(f"  ../{path}\n" for path in sources.compiled)
    folders = "\n".join(f"  ${{TFLM_DIR}}{folder}" for folder in _FOLDERS)
    return {
        "stm32cube/CMakeLists.txt": _CMAKE.substitute(
            names, sources=listed, folders=folders
        ),
        "stm32cube/self_test.cc": firmware.function(sources.file, sources.name),
    }


STM32CUBE = layout.Layout(
    starts=_starts,
    files=_files,
    mark=lambda name: "stm32cube/settings.xml",
    sign=b"Written by tfprune",
)
