"""Programs that test a model on its target: a main program and a sketch."""

import string

_SELF_TEST = string.Template("""\
// Runs the model on inputs whose outputs are known, and times it; written by
// tfprune as a start, and left alone once it is there.
$includes
namespace {

// Counts values that are off by more than kernels may round otherwise.
template <typename T>
bool same(const char* what, int pair, const T* got, const T* wanted, int count,
          float most) {
  float largest = 0.0f;
  int off = 0;
  for (int i = 0; i < count; ++i) {
    const float a = static_cast<float>(got[i]);
    const float b = static_cast<float>(wanted[i]);
    const float difference = a > b ? a - b : b - a;
    // Also where an output is not a number.
    if (!(difference <= most)) ++off;
    if (difference > largest) largest = difference;
  }
  if (off == 0) return true;
  MicroPrintf("%s of pair %d: %d of %d values differ, by up to %d thousandths.",
              what, pair, off, count, static_cast<int>(1000.0f * largest));
  return false;
}

$buffers

bool self_test() {
  const enum ${name}_status status = ${name}_init();
  if (status != ${upper}_OK) {
    MicroPrintf("The model does not start: %s.", ${name}_error(status));
    return false;
  }
  MicroPrintf("Arena used: %d of %d bytes.",
              static_cast<int>(${name}_arena_used()), ${upper}_ARENA_BYTES);
  bool ok = true;
  uint32_t ticks = 0;
  for (int pair = 0; pair < ${upper}_GOLDEN_COUNT; ++pair) {
    bool ran = ${name}_reset() == ${upper}_OK;
    const uint32_t start = tflite::GetCurrentTimeTicks();
    ran = ${name}_run($arguments) == ${upper}_OK && ran;
    ticks = tflite::GetCurrentTimeTicks() - start;
    if (!ran) {
      MicroPrintf("Pair %d: %s.", pair, ${name}_error(${upper}_FAILED));
      return false;
    }
$checks
  }
  // Boards without a clock for TFLite Micro say 0.
  if (tflite::ticks_per_second() > 0) {
    MicroPrintf("An inference took %d ticks of %d in a second.",
                static_cast<int>(ticks),
                static_cast<int>(tflite::ticks_per_second()));
  }
  return ok;
}

}  // namespace
""")

_BUFFER = string.Template("""\
$type output_$i[${upper}_OUTPUT_${i}_SIZE];""")
_CHECK = string.Template("""\
    ok = same("Output $i", pair, output_$i, ${name}_golden_output_$i[pair],
              ${upper}_OUTPUT_${i}_SIZE, $most) &&
         ok;""")

# TFLite Micro built for any Cortex-M is silent until it is told how to print.
_PRINTING = """
extern "C" __attribute__((weak)) void RegisterDebugLogCallback(
    void (*callback)(const char* text));

static void print(const char* text) {
  fputs(text, stdout);
  fflush(stdout);
}
"""
_RUN = """\
  if (RegisterDebugLogCallback != nullptr) RegisterDebugLogCallback(print);
  tflite::InitializeTarget();
  const bool ok = self_test();
  MicroPrintf(ok ? "PASS" : "FAIL");
"""
_MAIN = f"""{_PRINTING}
int main() {{
{_RUN}  return ok ? 0 : 1;
}}
"""
_APP_MAIN = f"""{_PRINTING}
extern "C" void app_main(void) {{
{_RUN}}}
"""
_FUNCTION = string.Template(
    f"""{_PRINTING}
// 0 where all outputs are right.
extern "C" int $${{name}}_self_test(void) {{
{_RUN}  return ok ? 0 : 1;
}}
""".replace("$$", "$")
)

# Lines that are printed before the port is open are lost.
_SKETCH = """
void setup() {
  tflite::InitializeTarget();
}

void loop() {
  MicroPrintf(self_test() ? "PASS" : "FAIL");
  delay(5000);
}
"""

_INCLUDES = """\
#include <stdint.h>
#include <stdio.h>

#include "model_api.h"
#include "model_golden.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/micro_time.h"
#include "tensorflow/lite/micro/system_setup.h"
"""


def main(file, name):
    """`main.cc`, a program that tests the model on the target.

    Args:
        file: `model_file.ModelFile`.
        name: C identifier.

    Returns:
        A `str`.
    """
    return _self_test(file, name, _INCLUDES) + _MAIN


def app_main(file, name):
    """The same where a program begins with `app_main`, as on ESP-IDF."""
    return _self_test(file, name, _INCLUDES) + _APP_MAIN


def function(file, name):
    """The same as a function of C for a program of one's own."""
    return _self_test(file, name, _INCLUDES) + _FUNCTION.substitute(name=name)


def sketch(file, name, *headers):
    """The same as a sketch for Arduino; see `main`.

    Args:
        file, name: as for `main`.
        *headers: `str`s, those that come before all others.
    """
    first = "".join(f"#include <{header}>\n" for header in headers)
    return _self_test(file, name, f"{first}{_INCLUDES}") + _SKETCH


def _self_test(file, name, includes):
    names = {"name": name, "upper": name.upper()}
    inputs = (f"{name}_golden_input_{i}[pair]" for i in range(len(file.inputs)))
    outputs = (f"output_{i}" for i in range(len(file.outputs)))
    buffers = (
        _BUFFER.substitute(names, i=i, type=f"{names['upper']}_OUTPUT_{i}_TYPE")
        for i in range(len(file.outputs))
    )
    checks = (
        _CHECK.substitute(
            names, i=i, most="1e-4f" if tensor.dtype == "float32" else "1.0f"
        )
        for i, tensor in enumerate(file.outputs)
    )
    return _SELF_TEST.substitute(
        names,
        includes=includes,
        arguments=", ".join([*inputs, *outputs]),
        buffers="\n".join(buffers),
        checks="\n".join(checks),
    )
