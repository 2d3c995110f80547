"""What every room stands on: registries, records, tables, files written whole.

In: nothing of tfprune. Out: small tools without a word about models.
May import: the standard library, numpy, rich.
"""
