"""Reads and writes the flatbuffer of a `.tflite` file.

In: bytes. Out: tensors, ops, bytes.
May import: `core`.
"""
