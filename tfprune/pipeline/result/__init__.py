"""The result of `compress`: its folder, its page, its workspace.

In: a compressed model and its record. Out: complete files.
May import: every room below `pipeline`.
"""
