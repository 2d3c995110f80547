"""From a Keras model to a file that a microcontroller runs."""
