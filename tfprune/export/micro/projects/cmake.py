"""A CMake project that links TFLite Micro as a static library."""

import string

from tfprune.export.micro import firmware
from tfprune.export.micro.projects import layout

_CMAKE = string.Template("""\
# Written by tfprune as a starting point; later exports do not change it.
#
# The model alone as a library, without dependencies:
#   cmake -B build . && cmake --build build
# With TFLite Micro (https://github.com/tensorflow/tflite-micro), built as
# libtensorflow-microlite.a, also the functions of model_api.h and a self-test:
#   cmake -B build -DTFLM_DIR=... -DTFLM_LIBRARY=.../libtensorflow-microlite.a .
cmake_minimum_required(VERSION 3.16)
project($name CXX)
set(CMAKE_CXX_STANDARD 17)

add_library(${name}_model STATIC model.cc model_golden.cc)
target_include_directories(${name}_model PUBLIC $${CMAKE_CURRENT_SOURCE_DIR})

set(TFLM_DIR "" CACHE PATH "Sources of TFLite Micro")
set(TFLM_LIBRARY "" CACHE FILEPATH "TFLite Micro as a static library")
set(TFLM_INCLUDES "" CACHE STRING
    "Folders of flatbuffers and gemmlowp, if they are not found")
if(NOT TFLM_DIR AND NOT TFLM_LIBRARY)
  message(STATUS "Model only: set TFLM_DIR and TFLM_LIBRARY to run it")
  return()
endif()

if(NOT EXISTS "$${TFLM_DIR}/tensorflow/lite/micro/micro_interpreter.h")
  message(FATAL_ERROR
    "TFLM_DIR must be the folder of TFLite Micro that holds tensorflow/. "
    "Received: '$${TFLM_DIR}', which has no "
    "tensorflow/lite/micro/micro_interpreter.h.")
endif()
if(NOT EXISTS "$${TFLM_LIBRARY}" OR IS_DIRECTORY "$${TFLM_LIBRARY}")
  message(FATAL_ERROR
    "TFLM_LIBRARY must be TFLite Micro as a static library. Received: "
    "'$${TFLM_LIBRARY}', which is not a file. Build one in TFLM_DIR: "
    "make -f tensorflow/lite/micro/tools/make/Makefile microlite")
endif()

# TFLite Micro's makefile downloads these; other trees include them.
set(found $${TFLM_DIR} $${TFLM_INCLUDES})
set(headers flatbuffers/flatbuffers.h fixedpoint/fixedpoint.h)
foreach(header $${headers})
  unset(folder CACHE)
  find_path(folder $${header} NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH PATHS
    $${TFLM_INCLUDES}
    $${TFLM_DIR}/tensorflow/lite/micro/tools/make/downloads/flatbuffers/include
    $${TFLM_DIR}/tensorflow/lite/micro/tools/make/downloads/gemmlowp
    $${TFLM_DIR}/third_party/flatbuffers/include
    $${TFLM_DIR}/third_party/gemmlowp
    $${TFLM_DIR}/../flatbuffers/include
    $${TFLM_DIR}/../gemmlowp)
  if(NOT folder)
    message(FATAL_ERROR
      "TFLite Micro needs $${header}, which is not near TFLM_DIR. Received: "
      "'$${TFLM_DIR}'. Set TFLM_INCLUDES, or download it: "
      "make -f tensorflow/lite/micro/tools/make/Makefile "
      "third_party_downloads")
  endif()
  list(APPEND found $${folder})
endforeach()

add_library(${name}_api STATIC model_api.cc)
target_include_directories(${name}_api PRIVATE $${found})
target_compile_definitions(${name}_api PUBLIC TF_LITE_STATIC_MEMORY)
# The flags of TFLite Micro itself, which save some kilobytes.
target_compile_options(${name}_api PUBLIC
  -fno-exceptions -fno-rtti -fno-threadsafe-statics
  -ffunction-sections -fdata-sections)
target_link_libraries(${name}_api PUBLIC ${name}_model "$${TFLM_LIBRARY}")

add_executable(${name}_self_test main.cc)
target_include_directories(${name}_self_test PRIVATE $${found})
if(APPLE)
  target_link_options(${name}_self_test PRIVATE -Wl,-dead_strip)
else()
  target_link_options(${name}_self_test PRIVATE -Wl,--gc-sections)
endif()
target_link_libraries(${name}_self_test PRIVATE ${name}_api)
""")


def _starts(sources):
    return {
        "main.cc": firmware.main(sources.file, sources.name),
        "CMakeLists.txt": _CMAKE.substitute(name=sources.name),
    }


CMAKE = layout.Layout(
    starts=_starts, mark=lambda name: "CMakeLists.txt", by_default=True
)
