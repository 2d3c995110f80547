"""Self-test programs for the target: a main program and an Arduino sketch."""

import pathlib
import string

from tfprune.core import packages
from tfprune.export.edit import graph_edits
from tfprune.export.file import packing

_SELF_TEST = string.Template("""\
// Runs the model on inputs with known outputs and times it. Written by tfprune
// as a starting point; later exports do not change it.
$includes
namespace {

// Whether all values agree up to the rounding of different kernels: `most`, and
// a share of the largest value.
template <typename T>
bool same(const char* what, int pair, const T* got, const T* wanted, int count,
          float most, float share) {
  float range = 0.0f;
  for (int i = 0; i < count; ++i) {
    const float b = static_cast<float>(wanted[i]);
    if (b > range) range = b;
    if (-b > range) range = -b;
  }
  most += share * range;
  float largest = 0.0f;
  int off = 0;
  for (int i = 0; i < count; ++i) {
    const float a = static_cast<float>(got[i]);
    const float b = static_cast<float>(wanted[i]);
    const float difference = a > b ? a - b : b - a;
    // The negation also counts NaN.
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
  // It is 0 on boards without a clock for TFLite Micro.
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
              ${upper}_OUTPUT_${i}_SIZE, $most, $share) &&
         ok;""")

# TFLite Micro for a generic Cortex-M prints nothing without this callback.
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
// Returns 0 if all outputs are right.
extern "C" int $${{name}}_self_test(void) {{
{_RUN}  return ok ? 0 : 1;
}}
""".replace("$$", "$")
)

# Repeats, because lines that are printed before the port is open are lost.
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
        name: `str`, the C identifier that all names begin with.

    Returns:
        `str`, the text of the file.
    """
    return _self_test(file, name, _INCLUDES) + _MAIN


def app_main(file, name):
    """Like `main`, for ESP-IDF, where a program begins with `app_main`."""
    return _self_test(file, name, _INCLUDES) + _APP_MAIN


def function(file, name):
    """Like `main`, but a C function to call from an existing program."""
    return _self_test(file, name, _INCLUDES) + _FUNCTION.substitute(name=name)


def sketch(file, name, *headers):
    """Like `main`, but an Arduino sketch.

    Args:
        file, name: as for `main`.
        *headers: `str`, headers to include before all others.
    """
    first = "".join(f"#include <{header}>\n" for header in headers)
    return _self_test(file, name, f"{first}{_INCLUDES}") + _SKETCH


def _tolerances(file):
    """The largest differences of each output that pass.

    Optimized kernels may round a quantized value differently, by one step.
    Sums of floats, in another order, are off by a share of the largest.

    Yields:
        `(most, share)`, C literals.
    """
    steps = _steps(file) if "DEQUANTIZE" in file.ops else {}
    for i, tensor in enumerate(file.outputs):
        if tensor.dtype == "float32":
            yield f"{1e-4 + 1.01 * steps.get(i, 0):.6g}f", "0.0001f"
        else:
            yield "0.0f" if tensor.scale is None else "1.0f", "0.0f"


def _steps(file):
    """`dict` from the number of a dequantized output to one step of it."""
    model = packing.unpacked(pathlib.Path(file.path).read_bytes())
    schema = packages.load("ai_edge_litert.schema_py_generated")
    graph = model.subgraphs[0]
    place = graph_edits.Place(schema, model, graph)
    makers = {i: place.maker(index) for i, index in enumerate(graph.outputs)}
    return {
        i: place.steps(op.inputs[0])[0]
        for i, op in makers.items()
        if op is not None and place.kind(op) == "DEQUANTIZE"
    }


def _self_test(file, name, includes):
    names = {"name": name, "upper": name.upper()}
    inputs = (f"{name}_golden_input_{i}[pair]" for i in range(len(file.inputs)))
    outputs = (f"output_{i}" for i in range(len(file.outputs)))
    buffers = (
        _BUFFER.substitute(names, i=i, type=f"{names['upper']}_OUTPUT_{i}_TYPE")
        for i in range(len(file.outputs))
    )
    checks = (
        _CHECK.substitute(names, i=i, most=most, share=share)
        for i, (most, share) in enumerate(_tolerances(file))
    )
    return _SELF_TEST.substitute(
        names,
        includes=includes,
        arguments=", ".join([*inputs, *outputs]),
        buffers="\n".join(buffers),
        checks="\n".join(checks),
    )
