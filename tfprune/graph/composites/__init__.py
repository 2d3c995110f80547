"""Layers and models that consist of others become parts of one graph.

In: a model. Out: a Functional or Sequential one of the same layers, in which
blocks of the user's own are open and nested models that share layers are gone.
May import: `classes`, and of this floor what does not read a model.
"""
