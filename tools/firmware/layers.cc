// Runs models that lie in files and prints what each of their ops takes.
//
// Arguments: paths of .tflite files.

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "layers_ops.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
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

}  // namespace

int main(int argc, char** argv) {
  if (RegisterDebugLogCallback) RegisterDebugLogCallback(print);
  static tflite::MicroMutableOpResolver<LAYERS_OP_COUNT> resolver;
  if (!layers_register_ops(resolver)) return 4;
  static Times times;
  for (int i = 1; i < argc; ++i) {
    FILE* file = fopen(argv[i], "rb");
    if (file == nullptr) return 3;
    const size_t bytes = fread(data, 1, sizeof(data), file);
    fclose(file);
    if (bytes == sizeof(data)) return 7;
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
    printf("file %d\n", i - 1);
    times.show();
    printf("all %llu\n", static_cast<unsigned long long>(all));
  }
  return 0;
}
