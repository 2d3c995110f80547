"""Trying whole networks: environment, objective, strategies, the search."""
