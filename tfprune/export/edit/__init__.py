"""Rewrites a `.tflite` file without changing what it computes.

In: a file. Out: a file with fewer or different ops and buffers.
May import: `run`, `file`.
"""
