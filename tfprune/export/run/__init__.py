"""Runtimes for `.tflite` files, each in a process of its own where it may crash.

In: a file and inputs. Out: outputs, timings, sizes of arenas.
May import: `file`.
"""
