"""Edits of a `.tflite` file that do not change its outputs.

In: a file. Out: a file with fewer or other ops and buffers.
May import: `run`, `file`.
"""
