"""`model_api.h` and `.cc`: C functions that run the model on TFLite Micro."""

import math
import string

from tfprune.export.micro import c_source

_HEADER = string.Template("""\
// Starts the model; call it first. Returns 0, or the reason why it cannot run.
${upper}_API enum ${name}_status ${name}_init(void);

// A description of a status.
${upper}_API const char* ${name}_error(enum ${name}_status status);

// Runs the model once. The sizes of the arrays are in model_settings.h:
// ${sizes}.
${upper}_API enum ${name}_status ${name}_run($parameters);

// Resets the state of a stateful model; has no effect on others.
${upper}_API enum ${name}_status ${name}_reset(void);

// Bytes of the arena that are in use; 0 before the model has started.
${upper}_API unsigned int ${name}_arena_used(void);
$helpers
// The index of the largest value, the first in case of a tie.
$largest""")

_STATUS = string.Template("""\
enum ${name}_status {
  ${upper}_OK = 0,
  ${upper}_WRONG_VERSION,    // The file has another schema version.
  ${upper}_MISSING_OP,       // The resolver has no kernel for an op.
  ${upper}_ARENA_TOO_SMALL,  // The arena is smaller than the model needs.
  ${upper}_NOT_STARTED,      // A kernel refused it; TFLite Micro logs which.
  ${upper}_FAILED            // A kernel failed while the model ran.
};

#ifdef __cplusplus
#define ${upper}_API extern "C"
#else
#define ${upper}_API extern
#endif
""")

_SOURCE = string.Template("""\
#include "model_api.h"

#include <string.h>

#include "model.h"
#include "model_ops.h"
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_resource_variable.h"
#include "tensorflow/lite/schema/schema_generated.h"
#ifdef ${upper}_SHARED_ARENA
#include "shared_arena.h"
#endif

namespace {

using Resolver = tflite::MicroMutableOpResolver<${upper}_OP_COUNT>;

#ifdef ${upper}_SHARED_ARENA
// Several models take turns in one arena; see shared_arena.h.
const size_t arena_bytes = ${upper}_ARENA_NEEDED;

tflite::MicroAllocator* new_allocator() {
  return static_cast<tflite::MicroAllocator*>(shared_arena_allocator());
}
#else
const size_t arena_bytes = ${upper}_ARENA_BYTES;
alignas(16) uint8_t arena[arena_bytes];

tflite::MicroAllocator* new_allocator() {
  return tflite::MicroAllocator::Create(arena, arena_bytes);
}
#endif
tflite::MicroInterpreter* interpreter = nullptr;

// Logs the first op that has no kernel and returns true, or returns false.
bool misses_op(const tflite::Model* model, const Resolver& resolver) {
  for (const auto* code : *model->operator_codes()) {
    int number = code->builtin_code();
    // Old files have only the deprecated field, which is a byte.
    const int byte = code->deprecated_builtin_code();
    if (byte > number) number = byte;
    const auto kind = static_cast<tflite::BuiltinOperator>(number);
    if (kind == tflite::BuiltinOperator_CUSTOM) {
      const char* custom = code->custom_code()->c_str();
      if (resolver.FindOp(custom) != nullptr) continue;
      MicroPrintf("No kernel for the op %s.", custom);
    } else {
      if (resolver.FindOp(kind) != nullptr) continue;
      MicroPrintf("No kernel for the op %s.",
                  tflite::EnumNameBuiltinOperator(kind));
    }
    return true;
  }
  return false;
}

}  // namespace

enum ${name}_status ${name}_init(void) {
  if (interpreter != nullptr) return ${upper}_OK;
  const tflite::Model* model = tflite::GetModel(${name}_data);
  if (model->version() != ${schema_version}) return ${upper}_WRONG_VERSION;
  static Resolver resolver;
  // Another try must not register them again.
  static const bool registered = ${name}_register_ops(resolver);
  if (!registered || misses_op(model, resolver)) return ${upper}_MISSING_OP;
  tflite::MicroAllocator* allocator = new_allocator();
  if (allocator == nullptr) return ${upper}_ARENA_TOO_SMALL;
$variables
  static tflite::MicroInterpreter started(model, resolver, allocator,
                                          $resources);
  if (started.AllocateTensors() != kTfLiteOk) {
    return arena_bytes < ${upper}_ARENA_NEEDED ? ${upper}_ARENA_TOO_SMALL
                                                : ${upper}_NOT_STARTED;
  }
  interpreter = &started;
  return ${upper}_OK;
}

const char* ${name}_error(enum ${name}_status status) {
  switch (status) {
    case ${upper}_OK:
      return "ready";
    case ${upper}_WRONG_VERSION:
      return "the file has another schema version: export the model again";
    case ${upper}_MISSING_OP:
      return "this TFLite Micro has no kernel for an op of the model";
    case ${upper}_ARENA_TOO_SMALL:
      return "the arena is too small: raise ${upper}_ARENA_BYTES";
    case ${upper}_NOT_STARTED:
      return "a kernel refused the model, or needs more arena than the model "
             "was exported for; the log of TFLite Micro names it";
    case ${upper}_FAILED:
      return "a kernel failed, or the model was not started";
  }
  return "no such status";
}

enum ${name}_status ${name}_run($parameters) {
  if (interpreter == nullptr) return ${upper}_FAILED;
$beginning$copies
  if (interpreter->Invoke() != kTfLiteOk) return ${upper}_FAILED;
$results
  return ${upper}_OK;
}

enum ${name}_status ${name}_reset(void) {
  if (interpreter == nullptr) return ${upper}_FAILED;
  return interpreter->Reset() == kTfLiteOk ? ${upper}_OK : ${upper}_FAILED;
}

unsigned int ${name}_arena_used(void) {
  if (interpreter == nullptr) return 0;
  return static_cast<unsigned int>(interpreter->arena_used_bytes());
}
""")
_SCHEMA_VERSION = 3
_HELPERS = {
    "quantize": string.Template("""
// Quantizes a real value for input $i: rounds half away from zero and
// saturates.
static inline $type ${name}_quantize_input_$i(float value) {
  const float steps = value / ${upper}_INPUT_${i}_SCALE;
  const float rounded = steps + (steps < 0.0f ? -0.5f : 0.5f);
  const float zero = (float)${upper}_INPUT_${i}_ZERO_POINT;
  if (!(rounded + zero > $least.0f)) return $least;
  if (rounded + zero > $most.0f) return $most;
  return ($type)((int32_t)rounded + ${upper}_INPUT_${i}_ZERO_POINT);
}
"""),
    "dequantize": string.Template("""
// The real value of a value of output $i.
static inline float ${name}_dequantize_output_$i($type value) {
  return (float)((int32_t)value - ${upper}_OUTPUT_${i}_ZERO_POINT) *
         ${upper}_OUTPUT_${i}_SCALE;
}
"""),
}
_LARGEST = string.Template("""\
static inline int ${name}_largest_output_$i($parameters) {
  int best = 0;
$values\
  for (int k = 1; k < $classes; ++k) {
    if (values[k] > values[best]) best = k;
  }
  return best;
}
""")
_LABEL = string.Template("""
// The name of the class with the largest value$where.
static inline const char* ${name}_label($parameters) {
  return ${name}_labels[${name}_largest_output_0($arguments)];
}
""")
_RANGES = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
}


def header(file, name, labels=()):
    """`model_api.h`, valid C99 and C++11.

    Args:
        file: `model_file.ModelFile`.
        name: `str`, the C identifier that all names begin with.
        labels: sequence of `str`, the names of the classes.

    Returns:
        `str`, the text of the file.
    """
    names = {"name": name, "upper": name.upper()}
    sizes = ", ".join(
        f"{names['upper']}_{kind}_{i}_SIZE"
        for kind, group in (("INPUT", file.inputs), ("OUTPUT", file.outputs))
        for i in range(len(group))
    )
    helpers = "".join(
        _helper(kind, i, tensor, names)
        for kind, group in (
            ("quantize", file.inputs),
            ("dequantize", file.outputs),
        )
        for i, tensor in enumerate(group)
    )
    largest = "".join(
        _largest(i, tensor, names)
        for i, tensor in enumerate(file.outputs)
        if tensor.dtype != "bool"
    )
    body = _HEADER.substitute(
        names,
        parameters=_parameters(file),
        sizes=sizes,
        helpers=helpers,
        largest=largest,
    )
    if labels:
        found = _compared(file.outputs[0])
        where = " at a position" if "position" in found["parameters"] else ""
        body += _LABEL.substitute(names, where=where, **found)
    return f"""\
// The model as C functions. Written by tfprune.
#ifndef {names["upper"]}_API_H_
#define {names["upper"]}_API_H_

#include <stdbool.h>
#include <stdint.h>

#include "model_settings.h"

{_STATUS.substitute(names)}
{body}
#endif  // {names["upper"]}_API_H_
"""


def source(file, name):
    """`model_api.cc`, valid C++11; see `header`."""
    names = {"name": name, "upper": name.upper()}
    copies = "\n".join(
        f"  memcpy(interpreter->input({i})->data.raw, input_{i},\n"
        f"         sizeof(*input_{i}) * {names['upper']}_INPUT_{i}_SIZE);"
        for i in range(len(file.inputs))
    )
    results = "\n".join(
        f"  memcpy(output_{i}, interpreter->output({i})->data.raw,\n"
        f"         sizeof(*output_{i}) * {names['upper']}_OUTPUT_{i}_SIZE);"
        for i in range(len(file.outputs))
    )
    count = file.ops.get("VAR_HANDLE", 0)
    variables = ""
    if count:
        variables = (
            "  tflite::MicroResourceVariables* variables =\n"
            "      tflite::MicroResourceVariables::Create(allocator, "
            f"{count});\n"
            "  if (variables == nullptr) return "
            f"{names['upper']}_ARENA_TOO_SMALL;"
        )
    beginning = ""
    if "UNIDIRECTIONAL_SEQUENCE_LSTM" in file.ops:
        # The op continues from its last state; a Keras layer starts from zero.
        beginning = (
            "  // Each run is a sequence of its own.\n"
            "  if (interpreter->Reset() != kTfLiteOk) return "
            f"{names['upper']}_FAILED;\n"
        )
    text = _SOURCE.substitute(
        names,
        beginning=beginning,
        schema_version=_SCHEMA_VERSION,
        parameters=_parameters(file),
        copies=copies,
        results=results,
        variables=variables,
        resources="variables" if count else "nullptr",
    )
    return text.replace("\n\n  static tflite", "\n  static tflite")


def _parameters(file):
    inputs = (
        f"const {c_source.c_type(tensor)}* input_{i}"
        for i, tensor in enumerate(file.inputs)
    )
    outputs = (
        f"{c_source.c_type(tensor)}* output_{i}"
        for i, tensor in enumerate(file.outputs)
    )
    return ", ".join([*inputs, *outputs])


def _helper(kind, i, tensor, names):
    if tensor.scale is None or tensor.dtype not in _RANGES:
        return ""
    least, most = _RANGES[tensor.dtype]
    return _HELPERS[kind].substitute(
        names, i=i, type=c_source.c_type(tensor), least=least, most=most
    )


def _largest(i, tensor, names):
    """The function that finds the largest value of output `i`."""
    found = _compared(tensor)
    text = _LARGEST.substitute(names, i=i, **found)
    if "position" not in found["parameters"]:
        return text
    places = math.prod(tensor.shape) // found["classes"]
    return f"// At a position, 0 to {places - 1}: row by row.\n{text}"


def _compared(tensor):
    """The values among which the largest is looked for, in C."""
    kind, classes = c_source.c_type(tensor), c_source.classes(tensor)
    found = {
        "classes": classes,
        "parameters": f"const {kind}* values",
        "arguments": "values",
        "values": "",
    }
    if classes < math.prod(tensor.shape):
        found["parameters"] += ", int position"
        found["arguments"] += ", position"
        found["values"] = f"  values += {classes} * position;\n"
    return found
