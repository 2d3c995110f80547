"""Files on disk: written whole or not at all, read without trust.

In: paths, and arrays or text to write. Out: files, or one error in one line.
May import: what `core` may.
"""
