// Runs a model in an arena of so many bytes and prints what it takes and gives.
//
// Arguments: the bytes of arena, and how many inferences are timed.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe_names.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

extern "C" uint64_t board_ticks(void);
extern "C" __attribute__((weak)) void RegisterDebugLogCallback(
    void (*callback)(const char*));

namespace {

void print(const char* text) { fputs(text, stderr); }

alignas(16) uint8_t memory[PROBE_ARENA_BYTES];

}  // namespace

int main(int argc, char** argv) {
  if (RegisterDebugLogCallback) RegisterDebugLogCallback(print);
  const size_t bytes = argc > 1 ? strtoul(argv[1], nullptr, 10) : sizeof(memory);
  const int runs = argc > 2 ? atoi(argv[2]) : 0;
  if (bytes > sizeof(memory)) return 3;
  static tflite::MicroMutableOpResolver<PROBE_OP_COUNT> resolver;
  if (!PROBE_REGISTER(resolver)) return 4;
  tflite::MicroInterpreter interpreter(tflite::GetModel(PROBE_DATA), resolver,
                                       memory, bytes);
  if (interpreter.AllocateTensors() != kTfLiteOk) return 5;
  printf("used %u\n", static_cast<unsigned>(interpreter.arena_used_bytes()));
  for (int pair = 0; pair < PROBE_PAIRS; ++pair) {
    probe_inputs(interpreter, pair);
    if (interpreter.Invoke() != kTfLiteOk) return 6;
    for (unsigned i = 0; i < interpreter.outputs_size(); ++i) {
      const TfLiteTensor* output = interpreter.output(i);
      printf("output ");
      for (size_t k = 0; k < output->bytes; ++k) {
        printf("%02x", output->data.uint8[k]);
      }
      printf("\n");
    }
  }
  if (runs > 0) {
    const uint64_t start = board_ticks();
    for (int i = 0; i < runs; ++i) {
      if (interpreter.Invoke() != kTfLiteOk) return 6;
    }
    printf("ticks %llu\n",
           static_cast<unsigned long long>(board_ticks() - start));
  }
  return 0;
}
