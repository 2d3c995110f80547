"""What the kernels of TFLite Micro, CMSIS-NN and ESP-NN take.

In: the sizes of an op. Out: bytes of records and scratch buffers, and the terms
that instructions are counted by.
May import: nothing.
"""
