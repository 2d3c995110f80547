"""tfprune makes Keras models smaller."""
