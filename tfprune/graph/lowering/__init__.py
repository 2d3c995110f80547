"""What layers become in a .tflite file of integers.

In: a call of a layer. Out: the ops, and the tensors between them.
May import: `graph.rulebook`.
"""
