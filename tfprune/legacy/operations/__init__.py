"""What functions of TensorFlow in old models computed, as `keras.ops`.

In: the name of an operation. Out: a function of tensors.
May import: `core`.
"""
