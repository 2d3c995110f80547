"""One tensor arena that several models of a firmware share."""

import pathlib
import string

from tfprune.core.files import atomic
from tfprune.export.micro.arena import arena_need

_ALIGNMENT = 16
_HEADER = string.Template("""\
// One arena for several models. Written by tfprune.
#ifndef SHARED_ARENA_H_
#define SHARED_ARENA_H_

#ifdef __cplusplus
extern "C" {
#endif

// The tflite::MicroAllocator of the arena, for:
$models
// Compile their model_api.cc with -D$macros.
// Start all of them before the first one runs. A model overwrites the tensors
// of the others; the functions of model_api.h copy the outputs out in time.
void* shared_arena_allocator(void);

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // SHARED_ARENA_H_
""")
_SOURCE = string.Template("""\
#include "shared_arena.h"

#include <stdint.h>

#include "tensorflow/lite/micro/micro_allocator.h"

#ifndef SHARED_ARENA_BYTES
$sizes#endif
#endif

void* shared_arena_allocator(void) {
  alignas(16) static uint8_t arena[SHARED_ARENA_BYTES];
  static tflite::MicroAllocator* const allocator =
      tflite::MicroAllocator::Create(arena, sizeof(arena));
  return allocator;
}
""")


def share_arena(sources, out, arena_margin=0.1):
    """Writes an arena that several models of a firmware share.

    The persistent parts add up, while activations share space, so that only the
    largest counts.

    Args:
        sources: list of at least two `MicroSource`, as `export_micro` returned
            them, each in a folder of its own.
        out: `str` or path-like, the folder for `shared_arena.h` and
            `shared_arena.cc`; it is created if it is missing.
        arena_margin: `float` of at least 0, as for `export_micro`.

    Returns:
        `int`, the size of the arena that is reserved on a microcontroller, in
        bytes, as in `MicroSource.arena_bytes`. ESP-IDF and computers have their
        own, as in each `model_settings.h`.

    Raises:
        OSError: If the files cannot be written.
        TypeError: If one of `sources` is no `MicroSource`.
        ValueError: If there are fewer than two models, if two names differ only
            in case (macros are in capitals), or if the margin is negative.

    Example:

    >>> words = export_micro("words.tflite", "firmware/words")
    >>> people = export_micro("people.tflite", "firmware/people")
    >>> share_arena([words, people], "firmware")
    """
    sources = list(sources)
    for source in sources:
        if not hasattr(source, "arena_need"):
            raise TypeError(
                "What export_micro returned is required for each model. "
                f"Received: {source!r}. Call export_micro(path, folder) for "
                "each file first, into a folder of its own."
            )
    names = [source.name for source in sources]
    if len(sources) < 2:
        raise ValueError(
            "At least two models are required to share an arena. Received: "
            f"{len(sources)}."
        )
    if len({name.upper() for name in names}) < len(names):
        raise ValueError(
            "The models' names must differ by more than case, because C macros "
            f"are in capitals. Received: {', '.join(names)}. Export one of "
            "them with another name=."
        )
    arena_need.check_margin(arena_margin)
    out = atomic.writable_folder(out)
    sizes = {
        condition: arena_need.reserved(need, arena_margin)
        for condition, need in _needed_by_compiler(sources)
    }
    reserved, *_ = sizes.values()
    listed = "\n".join(
        f"//   {source.name}, in {pathlib.Path(source.folder).name}"
        for source in sources
    )
    macros = " -D".join(f"{name.upper()}_SHARED_ARENA" for name in names)
    text, word = "", "#if"
    for condition, size in sizes.items():
        text += f"{word} {condition}" if condition else "#else"
        text += f"\n#define SHARED_ARENA_BYTES {size}\n"
        word = "#elif"
    texts = {
        "shared_arena.h": _HEADER.substitute(models=listed, macros=macros),
        "shared_arena.cc": _SOURCE.substitute(sizes=text),
    }
    atomic.write({out / name: t.encode() for name, t in texts.items()})
    return reserved


def needed(needs):
    """The smallest arena in which several models start and run.

    Beside kernels that a model was not planned for, its largest plan counts.

    Args:
        needs: list of `arena_need.Need`, one for each model.

    Returns:
        `int`, bytes.
    """
    keys = {key for need in needs for key in need.plans}
    return max(
        _together([need.plans.get(key, need.plan) for need in needs])
        for key in keys
    )


def _needed_by_compiler(sources):
    """The smallest arena for each condition that the models' settings know.

    Returns:
        List of `(condition, bytes)`, first that of a microcontroller, last "",
        a computer.
    """
    usual = [source.arena_need for source in sources]
    found = [(arena_need.NARROW, needed(usual))]
    if any(source.esp_need for source in sources):
        esp = [source.esp_need or source.arena_need for source in sources]
        found = [
            (f"!{arena_need.ESP} && {arena_need.NARROW}", found[0][1]),
            (arena_need.ESP, needed(esp)),
        ]
    measured = [
        (source.arena.required_bytes, source.arena.persistent_bytes)
        for source in sources
    ]
    return [*found, ("", _summed(measured))]


def _together(plans):
    return _summed([(plan.bytes, plan.persistent_bytes) for plan in plans])


def _summed(sizes):
    """What `(bytes, persistent bytes)` of several arenas are in one."""
    kept = sum(persistent for _, persistent in sizes)
    room = max(size - persistent for size, persistent in sizes)
    return -(-(kept + room) // _ALIGNMENT) * _ALIGNMENT
