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
  int different = 0, values = 0;
  for (int pair = 0; pair < PROBE_PAIRS; ++pair) {
    interpreter.Reset();
    probe_inputs(interpreter, pair);
    if (interpreter.Invoke() != kTfLiteOk) return 6;
    probe_outputs(interpreter, pair, different, values);
  }
  printf("differ %d of %d\n", different, values);
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
