"""Foundations: registries, records, atomic files, child processes.

In: nothing from tfprune. Out: small tools that do not depend on models.
May import: the standard library, numpy, rich.
"""
