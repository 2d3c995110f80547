"""Child processes that do work and end with their parent.

In: a script and its arguments. Out: what the script answers.
May import: what `core` may, and `files`.
"""
