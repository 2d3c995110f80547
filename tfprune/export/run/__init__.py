"""Runs `.tflite` files, in a child process wherever a runtime may crash.

In: a file and inputs. Out: outputs, timings, arena sizes.
May import: `file`.
"""
