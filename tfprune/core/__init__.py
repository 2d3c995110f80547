"""What every room stands on: registries, records, whole files, processes.

In: nothing of tfprune. Out: small tools without a word about models.
May import: the standard library, numpy, rich.
"""
