"""What layers of Keras 1 and 2 computed, in layers of Keras 3.

In: a layer's old config and weights. Out: layers, arguments and arrays.
May import: `core`.
"""
