"""Changes to a `.tflite` file that leave its outputs as they are.

In: a file. Out: a file with fewer or other ops and buffers.
May import: `run`, `file`.
"""
