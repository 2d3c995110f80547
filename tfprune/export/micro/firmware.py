"""The parts of a project that run a model: main program, sketch, CMake."""

import string

_SELF_TEST = string.Template("""\
// Runs the model once on an input whose output is known; written by tfprune
// as a start, and left alone once it is there.
$includes
namespace {

// Kernels may round otherwise than those that the output was made with.
template <typename T>
float largest_difference(const T* got, const T* wanted, int count) {
  float largest = 0.0f;
  for (int i = 0; i < count; ++i) {
    const float a = static_cast<float>(got[i]);
    const float b = static_cast<float>(wanted[i]);
    const float difference = a > b ? a - b : b - a;
    // Also where an output is not a number.
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

alignas(16) uint8_t arena[${upper}_ARENA_BYTES];

bool self_test() {
  static tflite::MicroMutableOpResolver<${upper}_OP_COUNT> resolver;
  if (!${name}_register_ops(resolver)) return false;
  static tflite::MicroInterpreter interpreter(
      tflite::GetModel(${name}_data), resolver, arena, sizeof(arena));
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    MicroPrintf("The arena of %d bytes is too small.", ${upper}_ARENA_BYTES);
    return false;
  }
  MicroPrintf("Arena used: %d bytes.",
              static_cast<int>(interpreter.arena_used_bytes()));
$copies
  if (interpreter.Invoke() != kTfLiteOk) return false;
  bool ok = true;
$checks
  return ok;
}

}  // namespace
""")

_COPY = string.Template("""\
  memcpy(interpreter.input($i)->data.raw, ${name}_golden_input_$i,
         sizeof(${name}_golden_input_$i));""")

_CHECK = string.Template("""\
  ok = largest_difference(
           static_cast<const ${upper}_OUTPUT_${i}_TYPE*>(
               interpreter.output($i)->data.data),
           ${name}_golden_output_$i,
           ${upper}_OUTPUT_${i}_SIZE) <= $most && ok;""")

_MAIN = """
int main() {
  tflite::InitializeTarget();
  const bool ok = self_test();
  MicroPrintf(ok ? "PASS" : "FAIL");
  return ok ? 0 : 1;
}
"""

_SKETCH = """
void setup() {
  tflite::InitializeTarget();
  MicroPrintf(self_test() ? "PASS" : "FAIL");
}

void loop() {}
"""

_INCLUDES = """\
#include <stdint.h>
#include <string.h>

#include "model.h"
#include "model_golden.h"
#include "model_ops.h"
#include "model_settings.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"
"""

_CMAKE = string.Template("""\
# Written by tfprune as a start, and left alone once it is there.
#
# The model as a library, which needs nothing else:
#   cmake -B build . && cmake --build build
# With TFLite Micro (https://github.com/tensorflow/tflite-micro), built as
# libtensorflow-microlite.a, the self-test too:
#   cmake -B build -DTFLM_DIR=... -DTFLM_LIBRARY=.../libtensorflow-microlite.a .
cmake_minimum_required(VERSION 3.16)
project($name CXX)
set(CMAKE_CXX_STANDARD 17)

add_library(${name}_model STATIC model.cc model_golden.cc)
target_include_directories(${name}_model PUBLIC $${CMAKE_CURRENT_SOURCE_DIR})

set(TFLM_DIR "" CACHE PATH "Sources of TFLite Micro")
set(TFLM_LIBRARY "" CACHE FILEPATH "TFLite Micro as a static library")
if(TFLM_DIR)
  add_executable(${name}_self_test main.cc)
  # Its makefile downloads these two into its own folder.
  set(downloads $${TFLM_DIR}/tensorflow/lite/micro/tools/make/downloads)
  target_include_directories(
    ${name}_self_test PRIVATE $${TFLM_DIR} $${downloads}/flatbuffers/include
    $${downloads}/gemmlowp)
  target_compile_definitions(${name}_self_test PRIVATE TF_LITE_STATIC_MEMORY)
  target_link_libraries(${name}_self_test PRIVATE ${name}_model
                        $${TFLM_LIBRARY})
endif()
""")


def main(file, name):
    """`main.cc`, a program that tests the model on the target.

    Args:
        file: `model_file.ModelFile`.
        name: C identifier.

    Returns:
        A `str`.
    """
    return _self_test(file, name, _INCLUDES) + _MAIN


def sketch(file, name):
    """The same as a sketch for Arduino; see `main`."""
    includes = f"#include <TensorFlowLite.h>\n{_INCLUDES}"
    return _self_test(file, name, includes) + _SKETCH


def cmake(name):
    """`CMakeLists.txt`."""
    return _CMAKE.substitute(name=name)


def _self_test(file, name, includes):
    names = {"name": name, "upper": name.upper()}
    copies = (_COPY.substitute(names, i=i) for i in range(len(file.inputs)))
    checks = (
        _CHECK.substitute(
            names, i=i, most="1e-4f" if tensor.dtype == "float32" else "1"
        )
        for i, tensor in enumerate(file.outputs)
    )
    return _SELF_TEST.substitute(
        names,
        includes=includes,
        copies="\n".join(copies),
        checks="\n".join(checks),
    )
