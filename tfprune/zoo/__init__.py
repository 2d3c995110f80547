"""Networks to prune: plain Keras models, built by name.

No layer of a built network needs tfprune to load.
"""

import functools
import typing

import keras

from tfprune.core import registry
from tfprune.zoo import densenet
from tfprune.zoo import lenet
from tfprune.zoo import mlperf_tiny
from tfprune.zoo import mobilenet
from tfprune.zoo import preact
from tfprune.zoo import resnet
from tfprune.zoo import vgg

__all__ = ["build", "names"]
networks = registry.Registry("network")

_BUILDERS = {
    "resnet20": functools.partial(resnet.resnet_cifar, 20),
    "resnet32": functools.partial(resnet.resnet_cifar, 32),
    "resnet44": functools.partial(resnet.resnet_cifar, 44),
    "resnet56": functools.partial(resnet.resnet_cifar, 56),
    "resnet110": functools.partial(resnet.resnet_cifar, 110),
    "plain20": functools.partial(resnet.plain_cifar, 20),
    "resnet18": functools.partial(resnet.resnet, 18),
    "resnet50": functools.partial(resnet.resnet, 50),
    "preact_resnet18": functools.partial(preact.preact_resnet, 18),
    "wide_resnet28_10": functools.partial(preact.wide_resnet, 28),
    "vgg16": functools.partial(vgg.vgg, 16),
    "vgg19": functools.partial(vgg.vgg, 19, hidden=None),
    "densenet_bc100": functools.partial(densenet.densenet_bc, 100),
    "mobilenet_v2": mobilenet.mobilenet_v2,
    "lenet5": lenet.lenet5,
    "resnet8": mlperf_tiny.resnet8,
    "ds_cnn": mlperf_tiny.ds_cnn,
    "mobilenet_v1_025": mlperf_tiny.mobilenet_v1,
    "autoencoder": mlperf_tiny.autoencoder,
}
for _name, _builder in _BUILDERS.items():
    networks.register(_name)(_builder)


def build(name: str, **kwargs: typing.Any) -> keras.Model:
    """Builds a network with random weights.

    Args:
        name: One of `names()`.
        **kwargs: Arguments of the network's builder (`width`, `widths`,
            `classes`, `input_shape`, ...).

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If the name is unknown, or Keras is set to
            channels_first, which the networks do not support.

    Example:

    >>> build("resnet20", shortcut="B", width=8).count_params()
    69570
    """
    builder = networks.get(name)
    data_format = keras.config.image_data_format()
    if data_format != "channels_last":
        raise ValueError(
            "The networks require channels_last. "
            f"Received: image_data_format={data_format!r}. Call "
            "`keras.config.set_image_data_format('channels_last')`."
        )
    return builder(**kwargs)


def names():
    """Returns the names that `build` accepts, sorted."""
    return networks.names()
