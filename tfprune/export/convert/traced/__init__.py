"""How layers are traced for the converter: names, loops, marks.

In: a model. Out: a context in which its layers are traced otherwise.
May import: what `convert` may.
"""
