// Runs models that lie in files.
//
// `ops PATH...` prints what each of their ops takes. `arena PATH BYTES IN OUT
// VARIABLES` starts one in an arena of so many bytes and runs it once; inputs and
// outputs lie in files, one after the other.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers_ops.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/micro/micro_resource_variable.h"
#include "tensorflow/lite/schema/schema_generated.h"

extern "C" uint64_t board_ticks(void);
extern "C" __attribute__((weak)) void RegisterDebugLogCallback(
    void (*callback)(const char*));

namespace {

void print(const char* text) { fputs(text, stderr); }

alignas(16) uint8_t data[LAYERS_DATA_BYTES];
alignas(16) uint8_t memory[LAYERS_ARENA_BYTES];

// Keeps the time of every op, to print it when all are done.
class Times : public tflite::MicroProfilerInterface {
 public:
  uint32_t BeginEvent(const char* tag) override {
    if (count == kMost) return kMost - 1;
    tags[count] = tag;
    ticks[count] = board_ticks();
    return count++;
  }
  void EndEvent(uint32_t event) override {
    ticks[event] = board_ticks() - ticks[event];
  }
  void show() const {
    for (int i = 0; i < count; ++i) {
      printf("op %s %llu\n", tags[i],
             static_cast<unsigned long long>(ticks[i]));
    }
  }
  void clear() { count = 0; }

 private:
  static const int kMost = 1024;
  const char* tags[kMost];
  uint64_t ticks[kMost];
  int count = 0;
};

tflite::MicroMutableOpResolver<LAYERS_OP_COUNT> resolver;

bool load(const char* path) {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) return false;
  const size_t bytes = fread(data, 1, sizeof(data), file);
  fclose(file);
  return bytes < sizeof(data);
}

int start(char** argv) {
  const size_t bytes = strtoul(argv[3], nullptr, 10);
  if (!load(argv[2]) || bytes > sizeof(memory)) return 3;
  tflite::MicroAllocator* allocator =
      tflite::MicroAllocator::Create(memory, bytes);
  if (allocator == nullptr) return 5;
  // Models without variables pass none, which takes nothing.
  tflite::MicroResourceVariables* variables = nullptr;
  const int count = atoi(argv[6]);
  if (count > 0) {
    variables = tflite::MicroResourceVariables::Create(allocator, count);
    if (variables == nullptr) return 5;
  }
  tflite::MicroInterpreter interpreter(tflite::GetModel(data), resolver,
                                       allocator, variables);
  if (interpreter.AllocateTensors() != kTfLiteOk) return 5;
  printf("used %u\n", static_cast<unsigned>(interpreter.arena_used_bytes()));
  FILE* file = fopen(argv[4], "rb");
  if (file == nullptr) return 3;
  for (size_t k = 0; k < interpreter.inputs_size(); ++k) {
    TfLiteTensor* tensor = interpreter.input(k);
    if (fread(tensor->data.raw, 1, tensor->bytes, file) != tensor->bytes) {
      return 3;
    }
  }
  fclose(file);
  const uint64_t began = board_ticks();
  if (interpreter.Invoke() != kTfLiteOk) return 6;
  printf("ticks %llu\n",
         static_cast<unsigned long long>(board_ticks() - began));
  file = fopen(argv[5], "wb");
  if (file == nullptr) return 3;
  for (size_t k = 0; k < interpreter.outputs_size(); ++k) {
    const TfLiteTensor* tensor = interpreter.output(k);
    fwrite(tensor->data.raw, 1, tensor->bytes, file);
  }
  return fclose(file) ? 3 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (RegisterDebugLogCallback) RegisterDebugLogCallback(print);
  if (argc < 3 || !layers_register_ops(resolver)) return 4;
  if (strcmp(argv[1], "arena") == 0) return argc < 7 ? 4 : start(argv);
  static Times times;
  for (int i = 2; i < argc; ++i) {
    if (!load(argv[i])) return 3;
    tflite::MicroInterpreter interpreter(tflite::GetModel(data), resolver,
                                         memory, sizeof(memory), nullptr,
                                         &times);
    if (interpreter.AllocateTensors() != kTfLiteOk) return 5;
    for (size_t k = 0; k < interpreter.inputs_size(); ++k) {
      memset(interpreter.input(k)->data.raw, 1, interpreter.input(k)->bytes);
    }
    times.clear();
    const uint64_t start = board_ticks();
    if (interpreter.Invoke() != kTfLiteOk) return 6;
    const uint64_t all = board_ticks() - start;
    printf("file %d\n", i - 2);
    times.show();
    printf("all %llu\n", static_cast<unsigned long long>(all));
  }
  return 0;
}
