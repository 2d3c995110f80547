"""Counts a plain model by the arithmetic of the papers, layer by layer."""

import math

import keras


def weights_without_batch_norm(model):
    """Kernels and biases of convolutions and dense layers."""
    return sum(
        math.prod(variable.shape)
        for layer in model.layers
        if not isinstance(layer, keras.layers.BatchNormalization)
        for variable in layer.weights
    )


def trainable_weights(model):
    """The same and the batch normalisation's scale and shift."""
    return sum(math.prod(v.shape) for v in model.trainable_variables)


def macs(model):
    """Multiply-adds of one image; normalisation and pooling cost nothing."""
    return sum(_layer_macs(layer) for layer in model.layers)


def _layer_macs(layer):
    if isinstance(layer, keras.layers.Dense):
        return math.prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
        _, height, width, _ = layer.output.shape
        # (k, k, in, out) or (k, k, channels, multiplier), at every pixel
        return height * width * math.prod(layer.kernel.shape)
    return 0
