"""Ops that become other ops which compute the same.

In: a model of objects, changed in place. Out: ops that the kernels of TFLite
Micro run, with every library. May import: `file`, and `graph_edits` of `edit`.
"""
