"""The file formats of Keras 1 and 2: HDF5, archives, SavedModels.

In: a path. Out: a model's config and weights, as they were written.
May import: `core`.
"""
