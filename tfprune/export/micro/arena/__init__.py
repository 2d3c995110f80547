"""The tensor arena that TensorFlow Lite Micro needs to run a model.

In: a `.tflite` file and a processor. Out: bytes, and a plan of tensors.
May import: what `micro` may.
"""
