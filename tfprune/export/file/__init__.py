"""The flatbuffer of a `.tflite` file, read and written.

In: bytes. Out: tensors, ops, bytes.
May import: `core`.
"""
