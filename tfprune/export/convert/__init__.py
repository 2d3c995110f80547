"""From a Keras model to a `.tflite` file.

In: a model and calibration samples. Out: a file, checked.
May import: the other rooms of `export`.
"""
