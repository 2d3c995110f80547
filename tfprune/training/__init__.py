"""Training that takes less time."""
