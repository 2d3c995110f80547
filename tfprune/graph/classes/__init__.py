"""Finds the user's own classes and functions again, of models and of layers.

In: a model, and the config of a new one. Out: what Keras needs to read it, and
the new model as one of the user's class. Ops get the config that Keras lacks.
May import: nothing of this floor but `compile_state` and `values`.
"""
