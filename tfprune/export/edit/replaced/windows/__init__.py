"""Ops with a window, rewritten where no kernel, or a wrong one, computes them.

In: a `graph_edits.Place` and an op, changed in place. Out: ops that compute the
same on TFLite Micro, with every library. May import: `bias_scales` and
`many_axes` of `replaced`.
"""
