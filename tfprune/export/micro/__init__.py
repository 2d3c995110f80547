"""For the board: C sources, firmware, NPUs, compressed weights.

In: a `.tflite` file. Out: a folder of sources or a smaller file.
May import: `edit`, `run`, `file`.
"""
