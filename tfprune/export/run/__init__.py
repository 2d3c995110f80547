"""Runtimes for `.tflite` files, in child processes where they may crash.

In: a file and inputs. Out: outputs, timings, sizes of arenas.
May import: `file`.
"""
