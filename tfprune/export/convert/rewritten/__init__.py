"""What becomes of ops in a traced graph before the converter reads it.

In: a `GraphDef`. Out: the same one, which computes the same in other ops.
May import: what `convert` may.
"""
