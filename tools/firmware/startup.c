// Start of a Cortex-M program in an emulator: memory, FPU, arguments, time.

#include <stdint.h>
#include <stdlib.h>

extern uint32_t __stack_top, __bss_start__, __bss_end__;
extern void __libc_init_array(void);
extern void initialise_monitor_handles(void);
extern int main(int argc, char** argv);

#define REGISTER(address) (*(volatile uint32_t*)(address))
#define SYSTICK_CONTROL REGISTER(0xE000E010)
#define SYSTICK_RELOAD REGISTER(0xE000E014)
#define SYSTICK_VALUE REGISTER(0xE000E018)
#define COPROCESSORS REGISTER(0xE000ED88)

static volatile uint32_t systick_rounds;

void SysTick_Handler(void) { ++systick_rounds; }

// Ticks of the core's clock since the start; with one instruction for each
// nanosecond they are a measure of the instructions.
uint64_t board_ticks(void) {
  uint32_t rounds, value;
  do {
    rounds = systick_rounds;
    value = SYSTICK_VALUE;
  } while (rounds != systick_rounds);
  return ((uint64_t)rounds << 24) + (0xFFFFFF - value);
}

static int semihosting(int operation, void* argument) {
  register int r0 __asm__("r0") = operation;
  register void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

// The command line that the emulator was given, split at spaces.
static int arguments(char** argv, int most) {
  static char line[256];
  struct {
    char* buffer;
    int size;
  } block = {line, sizeof(line)};
  if (semihosting(0x15, &block) != 0) return 0;
  int count = 0;
  for (char* at = line; *at && count < most;) {
    while (*at == ' ') *at++ = 0;
    if (*at) argv[count++] = at;
    while (*at && *at != ' ') ++at;
  }
  return count;
}

static void fault(void) {
  // Told apart from an exit of the program.
  uint32_t block[2] = {0x20026, 86};
  semihosting(0x20, block);
  for (;;) {
  }
}

void Reset_Handler(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
  COPROCESSORS |= 0xFu << 20;
  __asm__ volatile("dsb\n isb");
#endif
  for (uint32_t* word = &__bss_start__; word < &__bss_end__; ++word) *word = 0;
  SYSTICK_RELOAD = 0xFFFFFF;
  SYSTICK_VALUE = 0;
  SYSTICK_CONTROL = 7;
  initialise_monitor_handles();
  __libc_init_array();
  static char* argv[16];
  int argc = arguments(argv, 15);
  exit(main(argc, argv));
}

// Of static objects in C++, which are never taken down here.
void* __dso_handle;

void _init(void) {}
void _fini(void) {}

__attribute__((section(".vectors"), used)) static const void* const vectors[] = {
    &__stack_top,    (void*)Reset_Handler, (void*)fault, (void*)fault,
    (void*)fault,    (void*)fault,         (void*)fault, (void*)fault,
    0,               0,                    0,            (void*)fault,
    (void*)fault,    0,                    (void*)fault,
    (void*)SysTick_Handler,
};
