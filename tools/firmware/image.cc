// The least program that runs a model, to see what its code takes.

#include <stddef.h>
#include <stdint.h>

#include "image_ops.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_resource_variable.h"
#include "tensorflow/lite/schema/schema_generated.h"

extern const unsigned char image_model[];
alignas(16) const unsigned char image_model[16] = {};
alignas(16) static uint8_t arena[64];
volatile int image_result;

int main() {
  static tflite::MicroMutableOpResolver<IMAGE_OP_COUNT> resolver;
  if (!image_register_ops(resolver)) return 1;
  tflite::MicroAllocator* allocator =
      tflite::MicroAllocator::Create(arena, sizeof(arena));
  static tflite::MicroInterpreter interpreter(
      tflite::GetModel(image_model), resolver, allocator, nullptr);
  if (interpreter.AllocateTensors() != kTfLiteOk) return 2;
  image_result = *interpreter.input(0)->data.raw;
  if (interpreter.Invoke() != kTfLiteOk || interpreter.Reset() != kTfLiteOk) {
    return 3;
  }
  image_result = *interpreter.output(0)->data.raw;
  return static_cast<int>(interpreter.arena_used_bytes());
}
