"""The report as one self-contained HTML page.

In: records of a model and its runs. Out: the text of a page.
May import: `reports`.
"""
