"""Which ranges tensors get in a quantized file, by calibration samples.

In: a written graph and samples. Out: the graph, changed where one scale would
be given to two tensors that need their own, and the ranges of cells.
May import: what `convert` may.
"""
