"""The report as one HTML page without scripts from elsewhere.

In: records of a model and its runs. Out: the text of a page.
May import: `reports`.
"""
